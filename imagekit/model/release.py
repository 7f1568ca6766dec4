"""Releases and withdrawals: signed statements that say when a tag got an image.

Each publish signs one release. Its sequence rises with every release of a tag, so that a verifier
who has seen a higher one knows that the tag was moved back.
"""

from dataclasses import dataclass
from datetime import datetime

from imagekit.oci.digest import Digest

RELEASE = "https://imagekit.dev/release/v1"
WITHDRAWAL = "https://imagekit.dev/withdrawal/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a release statement says besides its subject."""

    repository: str
    """``HOST/PATH``."""
    sequence: int
    """From 1; higher than that of every earlier release of these tags."""
    tags: tuple[str, ...]
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What a withdrawal statement says besides its subject."""

    reason: str
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The highest that was seen under a name, and what it was."""

    sequence: int
    digest: Digest

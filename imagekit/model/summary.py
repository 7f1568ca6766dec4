"""Verification summaries: what a verifier signs of its own verdict, for others to rely on.

https://slsa.dev/spec/v1.1/verification_summary
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from imagekit.oci.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """Something that a summary names: a policy, or an attestation that was used."""

    uri: str = ""
    digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a verification summary says besides its subject."""

    verifier: str
    """URI of who verified; what policies of others list."""
    resource: str
    """What was verified, as it was asked for: ``HOST/PATH:TAG`` or ``HOST/PATH@DIGEST``."""
    policy: Descriptor
    result: Literal["PASSED", "FAILED"]
    levels: tuple[str, ...]
    """What the resource was found to be, such as ``SLSA_BUILD_LEVEL_2``."""
    time: datetime | None = None
    versions: tuple[tuple[str, str], ...] = ()
    """Of the verifier's parts, by their names."""
    inputs: tuple[Descriptor, ...] = ()
    """The attestations that were used."""

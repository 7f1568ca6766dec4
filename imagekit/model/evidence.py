"""What a registry offers for an image, and what of it somebody trusted has really signed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from imagekit.model.digest import Digest
from imagekit.model.key import PublicKey


class Form(StrEnum):
    """The two forms that signatures have on registries."""

    BUNDLE = "bundle"
    """A Sigstore bundle as referrer."""
    LEGACY = ".sig"
    """A layer of the image that the tag ``sha256-<hex>.sig`` points to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Bytes that may prove something; nothing in them may be believed yet."""

    form: Form
    source: Digest
    """Digest of the blob, to name it by."""
    raw: bytes
    signature: str = ""
    """The legacy form's signature in base64, which stands beside its payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something that was offered proves nothing."""

    code: str
    message: str
    hint: str = ""
    claim: str = ""
    """Predicate type that the refused statement claims to have; nobody vouches for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Everything that was found beside an image."""

    candidates: tuple[Candidate, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    trace: str = ""
    """What shows that there were referrers once which are not listed any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A statement under a signature that was verified with this key."""

    form: Form
    source: Digest
    key: PublicKey
    about: bool
    """Whether the image's digest is among its subjects."""
    identities: tuple[str, ...]
    """Names of the subjects that have the image's digest; those of others say nothing."""
    predicate_type: str
    predicate: Mapping[str, object] = field(hash=False)

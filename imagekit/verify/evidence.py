"""What a registry offers for an image, and what of it somebody trusted has really signed."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, field

from imagekit.oci.digest import Digest
from imagekit.signatures.results import Refusal, Signatory, TransparencyResult

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Form(StrEnum):
    """The two forms that signatures have on registries."""

    BUNDLE = "bundle"
    """A Sigstore bundle as referrer."""
    LEGACY = ".sig"
    """A layer of the image that the tag ``sha256-<hex>.sig`` points to."""


class Candidate(Struct, frozen=True, kw_only=True):
    """Bytes that may prove something; nothing in them may be believed yet."""

    form: Form
    source: Digest
    """Digest of the blob, to name it by."""
    raw: bytes
    annotations: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Of the legacy form's layer: its signature, and certificate and log entry if there are."""


class Attachments(Struct, frozen=True, kw_only=True):
    """Everything that was found beside an image."""

    candidates: tuple[Candidate, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    trace: str = ""
    """What shows that there were referrers once which are not listed any more."""
    cut: bool = False
    """Whether a bound left something unread that may be a withdrawal."""
    lost: Digest | None = None
    """What is listed, may be a withdrawal, and was not had from the registry."""


class Evidence(Struct, frozen=True, kw_only=True):
    """A statement under a signature that was verified with this key or certificate."""

    form: Form
    source: Digest
    signatory: Signatory
    about: bool
    """Whether the image's digest is among its subjects."""
    identities: tuple[str, ...]
    """Names of the subjects that have the image's digest; those of others say nothing."""
    predicate_type: str
    predicate: Mapping[str, object]
    witnesses: tuple[TransparencyResult, ...] = ()
    """One for each trusted root of the policy that verifies it."""

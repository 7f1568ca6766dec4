"""What a registry offers for an image, and what of it somebody trusted has really signed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from imagekit.model.key import PublicKey
from imagekit.oci.digest import Digest

_NOTHING: Mapping[str, str] = MappingProxyType({})


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
    annotations: Mapping[str, str] = field(default_factory=lambda: _NOTHING, hash=False)
    """Of the legacy form's layer: its signature, and certificate and log entry if there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something that was offered proves nothing."""

    code: str
    message: str
    hint: str = ""
    claim: str = ""
    """Predicate type that the refused statement claims to have; nobody vouches for it."""
    fingerprint: str = ""
    """Of the key that a refused signature says is its own; nobody vouches for it either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Everything that was found beside an image."""

    candidates: tuple[Candidate, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    trace: str = ""
    """What shows that there were referrers once which are not listed any more."""
    cut: bool = False
    """Whether a bound left something unread that may be a withdrawal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """Who a certificate of Fulcio says signed: no key stays, but this identity."""

    subject: str
    """The subject alternative name: an e-mail address or a URI."""
    issuer: str
    """The OIDC issuer that vouched for it."""

    def __str__(self) -> str:
        return f"{self.subject} ({self.issuer})"


Signatory = PublicKey | Certified
"""Who signed: what a policy lists, and what a threshold counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """What services of one kind, logs or timestamp authorities, testify of a signature."""

    there: bool = False
    """At least one that the trusted root knows testifies of this very signature."""
    times: tuple[datetime, ...] = ()
    """Verified moments at which the signature was there."""
    fault: Refusal | None = None
    """Why something that bears the name of a service of the trusted root does not hold."""
    foreign: bool = False
    """Something is of a service that the trusted root does not know: it proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What the services of one trusted root testify of a signature."""

    root: Digest
    """Digest of the trusted root."""
    log: Witnessed = Witnessed()
    """Transparency logs: entry, inclusion proof or promise were verified."""
    stamps: Witnessed = Witnessed()
    """Timestamp authorities (RFC 3161)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A statement under a signature that was verified with this key or certificate."""

    form: Form
    source: Digest
    signatory: Signatory
    about: bool
    """Whether the image's digest is among its subjects."""
    identities: tuple[str, ...]
    """Names of the subjects that have the image's digest; those of others say nothing."""
    predicate_type: str
    predicate: Mapping[str, object] = field(hash=False)
    witnesses: tuple[Witness, ...] = ()
    """One for each trusted root of the policy that verifies it."""

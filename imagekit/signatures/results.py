"""What verifying a signature gives: who signed, and what logs and timestamps testify."""

from dataclasses import dataclass
from datetime import datetime

from imagekit.oci.digest import Digest
from imagekit.signatures.publickey import PublicKey


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
class Certified:
    """Who a certificate of Fulcio says signed: no key stays, but this identity."""

    subject: str
    """The subject alternative name (RFC 5280, section 4.2.1.6): an e-mail address, a URI, or a user
    name in Fulcio's form."""
    issuer: str
    """The OIDC issuer that vouched for it."""

    def __str__(self) -> str:
        return f"{self.subject} ({self.issuer})"


Signatory = PublicKey | Certified
"""Who signed: what a policy lists, and what a threshold counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceResult:
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
class TransparencyResult:
    """What the services of one trusted root testify of a signature."""

    root: Digest
    """Digest of the trusted root."""
    log: ServiceResult = ServiceResult()
    """Transparency logs: entry, inclusion proof or promise were verified."""
    timestamps: ServiceResult = ServiceResult()
    """Timestamp authorities (RFC 3161)."""

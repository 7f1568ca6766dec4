"""What verifying a signature gives: who signed, and what logs and timestamps prove."""

from datetime import datetime

from msgspec import Struct

from imagekit.oci.digest import Digest
from imagekit.signatures.publickey import PublicKey


class Refusal(Struct, frozen=True, kw_only=True):
    """Why something that was offered proves nothing."""

    code: str
    message: str
    hint: str = ""
    claim: str = ""
    """Predicate type that the refused statement claims to have; it is not verified."""
    fingerprint: str = ""
    """Of the key that a refused signature names; it is not verified either."""


class Certified(Struct, frozen=True, kw_only=True):
    """Who signed, by a certificate of Fulcio: the key was thrown away, and this identity counts."""

    subject: str
    """The subject alternative name (RFC 5280, section 4.2.1.6): an e-mail address, a URI, or a user
    name in Fulcio's form."""
    issuer: str
    """The OIDC issuer that authenticated it."""

    def __str__(self) -> str:
        return f"{self.subject} ({self.issuer})"


Signatory = PublicKey | Certified
"""Who signed: what a policy lists, and what a threshold counts."""


class ServiceResult(Struct, frozen=True, kw_only=True):
    """What services of one kind, logs or timestamp authorities, prove of a signature."""

    there: bool = False
    """At least one that the trusted root knows has recorded or stamped this very signature."""
    times: tuple[datetime, ...] = ()
    """Verified moments at which the signature was there."""
    fault: Refusal | None = None
    """Why an entry or timestamp that names a service of the trusted root does not hold."""
    foreign: bool = False
    """One is of a service that the trusted root does not know: it proves nothing."""


class TransparencyResult(Struct, frozen=True, kw_only=True):
    """What the services of one trusted root prove of a signature."""

    root: Digest
    """Digest of the trusted root."""
    log: ServiceResult = ServiceResult()
    """Transparency logs: entry, inclusion proof or promise were verified."""
    timestamps: ServiceResult = ServiceResult()
    """Timestamp authorities (RFC 3161)."""

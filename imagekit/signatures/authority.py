"""Whose signatures count: keys, identities and the trusted roots that verify them."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from imagekit.oci.digest import Digest
from imagekit.signatures.publickey import PublicKey


class Need(StrEnum):
    """Whether more than the signature is wanted: a log entry, a timestamp, earlier verdicts."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    """It may be missing; where it is there, it must hold."""
    OFF = "off"
    """It is not looked at."""


class TrustRoot(Struct, frozen=True, kw_only=True):
    """A Sigstore trusted root, as the file that a policy names: nothing is fetched."""

    name: str
    raw: bytes
    """The JSON document, already read strictly."""
    digest: Digest


class Pattern(Struct, frozen=True, kw_only=True):
    """A text that must be met wholly: as it is, or as a regular expression (RE2)."""

    text: str
    regexp: bool = False


class Identity(Struct, frozen=True, kw_only=True):
    """Whose certificates count: the issuer of the identity, and the subject."""

    issuer: Pattern
    subject: Pattern


class Authority(Struct, frozen=True, kw_only=True):
    """A signer whose signatures count: a name for people, a key or identities for the verifier.

    Exactly one of ``key`` and ``identities`` is there.
    """

    name: str
    key: PublicKey | None = None
    identities: tuple[Identity, ...] = ()
    """Keyless: certificates for one of these, under ``trust_root``."""
    trust_root: TrustRoot | None = None
    """What verifies certificates, log entries and timestamps."""
    not_before: datetime | None = None
    not_after: datetime | None = None
    """Signatures count that were made in this time; without a trusted time, now must be in it."""
    tlog: Need = Need.OPTIONAL
    """Entry in a transparency log; keyless signatures always need one."""
    timestamp: Need = Need.OPTIONAL
    """Signed timestamp (RFC 3161)."""

"""What we need of sigstore-python beyond its public interface; no other module knows it.

The library verifies a bundle as a whole, against a trusted root whose services it takes as valid at
any time. To say which part does not hold, to judge keys and legacy signatures by the same logs, and
to check every service against its own period, its parts are needed one by one. All of them are
here, and ``tests/unit/signatures/sigstore/test_internals.py`` says clearly which one a new version
changed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import SignedCheckpoint, verify_checkpoint
from sigstore._internal.rekor.client import RekorClient
from sigstore._internal.sct import verify_sct
from sigstore._internal.timestamp import TimestampSource, TimestampVerificationResult
from sigstore._internal.trust import Keyring, KeyringPurpose, RekorKeyring
from sigstore._utils import KeyID

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore._internal.trust import CertificateAuthority
    from sigstore.models import Bundle, ClientTrustConfig, TransparencyLogEntry, TrustedRoot
    from sigstore.verify import Verifier

__all__ = ["RekorKeyring"]


def root_message(trusted: "TrustedRoot") -> Any:
    """Return the message of a trusted root (protobuf-specs, ``sigstore_trustroot.proto``)."""
    return trusted._inner


def entry_message(entry: "TransparencyLogEntry") -> Any:
    """Return the message of a log entry (protobuf-specs, ``sigstore_rekor.proto``)."""
    return entry._inner


def bundle_message(bundle: "Bundle") -> Any:
    """Return the message of a bundle (protobuf-specs, ``sigstore_bundle.proto``)."""
    return bundle._inner


def authority_period(authority: "CertificateAuthority") -> Any:
    """Return the time in which a timestamp authority counts."""
    return authority._inner.valid_for


def log_keyring(keys: Sequence[Any]) -> RekorKeyring:
    """Return the keys of a log, as the library verifies by them."""
    return RekorKeyring(Keyring(list(keys)))


def verify_by_log(keys: RekorKeyring, log_id: bytes, *, signature: bytes, data: bytes) -> None:
    """Verify what a log has signed.

    Raises:
        sigstore.errors.VerificationError: none of the keys signed it.
    """
    keys.verify(key_id=KeyID(log_id), signature=signature, data=data)


def verify_inclusion(entry: "TransparencyLogEntry", keys: RekorKeyring) -> int | None:
    """Verify an entry's inclusion proof and the checkpoint's signature.

    RFC 9162, section 2.1.3.2, and C2SP's tlog-checkpoint.md and signed-note.md.

    Returns:
        The size of the tree by the checkpoint, None where there is none.

    Raises:
        Exception: what the library raises.
    """
    verify_merkle_inclusion(entry)
    verify_checkpoint(keys, entry)
    checkpoint = entry._inner.inclusion_proof.checkpoint
    if checkpoint is None:
        return None
    return SignedCheckpoint.from_text(checkpoint.envelope).checkpoint.log_size


def verify_promise(entry: "TransparencyLogEntry", keys: RekorKeyring) -> None:
    """Verify the log's promise of an entry, its SET (sigstore_rekor.proto, InclusionPromise).

    Raises:
        Exception: what the library raises.
    """
    entry._verify_set(keys)


def verify_chain(
    verifier: "Verifier", certificate: "Certificate", time: datetime
) -> list["Certificate"]:
    """Verify a certificate at a time (RFC 5280, section 6.1); return the chain above it.

    Raises:
        Exception: what the library raises.
    """
    moment = TimestampVerificationResult(source=TimestampSource.TRANSPARENCY_SERVICE, time=time)
    return verifier._verify_chain_at_time(certificate, moment)


def verify_embedded_sct(
    trusted: "TrustedRoot", certificate: "Certificate", chain: list["Certificate"]
) -> None:
    """Verify that a log of certificates has promised to log this one (RFC 6962, section 3.2).

    Raises:
        Exception: what the library raises.
    """
    verify_sct(certificate, chain, trusted.ct_keyring(KeyringPurpose.VERIFY))


def logs_in_rekor_v1(config: "ClientTrustConfig") -> bool:
    """Return whether what is signed by this configuration is logged in a Rekor v1."""
    return isinstance(config.signing_config.get_tlogs()[0], RekorClient)


def root_json(config: "ClientTrustConfig") -> bytes:
    """Return the trusted root of a configuration as its document."""
    return config.trusted_root._inner.to_json().encode()

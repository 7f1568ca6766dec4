"""What Fulcio would never certify, certified by its own key: the verifier is the last to look.

The stack's keys lie in its folder; an attacker has none of them. A certificate by a key that is
trusted, with the log's signature (SCT, RFC 6962) in it, breaks only what the test says.
"""

import hashlib
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from sigstore.dsse import Statement
from sigstore.models import ClientTrustConfig
from sigstore.sign import Signer, SigningContext

from tests.support.sigstore.issuer import EMAIL
from tests.support.sigstore.trust import PASSWORD
from tests.support.sigstore_stack import Sigstore

_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the certificate says."""

    names: Sequence[x509.GeneralName] = (x509.RFC822Name(EMAIL),)
    issuers: Sequence[str] | None = None
    """Issuers of the identity, one for each extension that has one; None for the right one."""
    begins: timedelta = timedelta(minutes=-1)
    lasts: timedelta = timedelta(minutes=10)
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING
    logged: bool = True
    """Whether the log of certificates signed it."""
    authority: Callable[[], tuple[x509.Certificate, ec.EllipticCurvePrivateKey]] | None = None
    """Who certifies instead of Fulcio."""
    extra: Sequence[x509.ExtensionType] = field(default=())


class _Forger(Signer):
    """sigstore-python's signer, with a certificate of our own."""

    def __init__(
        self,
        context: SigningContext,
        certificate: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
    ) -> None:
        self._signing_ctx = context
        self._certificate = certificate
        self._key = key

    @property
    def _private_key(self) -> ec.EllipticCurvePrivateKey:
        return self._key

    def _signing_cert(self) -> x509.Certificate:
        return self._certificate


def forged_bundle(stack: Sigstore, wish: Wish, statement: bytes) -> bytes:
    """Sign a statement by a forged certificate, logged by Rekor v1 and timestamped for real."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = forged_certificate(stack, wish, key)
    config = ClientTrustConfig.from_json(stack.trust_config_v1.read_text())
    signer = _Forger(SigningContext.from_trust_config(config), certificate, key)
    return signer.sign_dsse(Statement(statement)).to_json().encode()


def forged_certificate(
    stack: Sigstore, wish: Wish, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """Return a certificate for a key, by Fulcio's own."""
    above, holder = (wish.authority or (lambda: fulcio(stack)))()
    builder = _builder(wish, above, key, stack.issuer)
    bare = builder.sign(holder, hashes.SHA256())
    if not wish.logged:
        return bare
    raw = _sct_list(stack.folder, above, bare.tbs_certificate_bytes)
    return builder.add_extension(x509.UnrecognizedExtension(_SCTS, raw), critical=False).sign(
        holder, hashes.SHA256()
    )


def fulcio(stack: Sigstore) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the authority of the stack, with its key."""
    key = _key(stack.folder / "ca.key")
    return x509.load_pem_x509_certificate(stack.fulcio_pem.read_bytes()), key


def namesake(stack: Sigstore) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return an authority that calls itself as Fulcio does, with a key of its own."""
    real, _ = fulcio(stack)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder(
            real.subject, real.subject, key.public_key(), x509.random_serial_number()
        )
        .not_valid_before(real.not_valid_before_utc)
        .not_valid_after(real.not_valid_after_utc)
    )
    for extension in real.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectKeyIdentifier):
            value = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(value, critical=extension.critical)
    return builder.sign(key, hashes.SHA256()), key


def _builder(
    wish: Wish, above: x509.Certificate, key: ec.EllipticCurvePrivateKey, issuer: str, /
) -> x509.CertificateBuilder:
    begin = datetime.now(UTC) + wish.begins
    usage: dict[str, Any] = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    )
    usage |= dict.fromkeys(("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False)
    builder = (
        x509.CertificateBuilder(
            above.subject, x509.Name([]), key.public_key(), x509.random_serial_number()
        )
        .not_valid_before(begin)
        .not_valid_after(begin + wish.lasts)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([wish.usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()),  # type: ignore[arg-type]  # an EC key
            critical=False,
        )
    )
    if wish.names:
        builder = builder.add_extension(x509.SubjectAlternativeName(wish.names), critical=True)
    issuers = [issuer, issuer] if wish.issuers is None else wish.issuers
    for oid, text in zip((_ISSUER_V2, _ISSUER), issuers, strict=False):
        raw = text.encode()
        value = raw if oid == _ISSUER else bytes([0x0C, len(raw)]) + raw
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder


def _sct_list(folder: Path, above: x509.Certificate, tbs: bytes, /) -> bytes:
    """Return the extension's value: the log's signature over the certificate without it."""
    key = _key(folder / "ct.key")
    log = hashlib.sha256(_public(key.public_key())).digest()
    now = int(time.time() * 1000)
    issuer = hashlib.sha256(_public(above.public_key())).digest()
    # RFC 6962 section 3.2: version 1, a promise about a precertificate, without extensions.
    signed = struct.pack(">BBQH", 0, 0, now, 1) + issuer
    signed += len(tbs).to_bytes(3, "big") + tbs + b"\0\0"
    signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    sct = struct.pack(">B32sQHBBH", 0, log, now, 0, 4, 3, len(signature)) + signature
    inner = struct.pack(">HH", len(sct) + 2, len(sct)) + sct
    # An OCTET STRING (X.690) of less than 128 bytes.
    assert len(inner) < 0x80 or len(inner) < 0x100
    length = bytes([len(inner)]) if len(inner) < 0x80 else bytes([0x81, len(inner)])
    return b"\x04" + length + inner


def _public(key: Any) -> bytes:
    raw: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return raw


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), PASSWORD.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key

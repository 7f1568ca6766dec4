"""Public keys as PEM, and which kinds of keys are taken at all.

Nearly every key is ECDSA P-256 in PEM as all programs write it. Such a key is read here: the part
of cryptography that knows every format of keys, those of ssh among them, costs a cold verification
a tenth of its imports. A key of another kind, or written otherwise, is left to that part.
"""

import base64
import binascii
import functools
import hashlib
from typing import assert_never

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from msgspec import Struct

from imagekit.errors import SigningKeyError

KINDS = ("ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-3072")
"""The kinds of keys that can be generated; the first is the default."""


class PublicKey(Struct, frozen=True):
    """A public key as its DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7)."""

    der: bytes

    @property
    def fingerprint(self) -> str:
        """``SHA256:`` and the hexadecimal digest of the DER, what people compare."""
        return f"SHA256:{hashlib.sha256(self.der).hexdigest()}"

    @property
    def hint(self) -> str:
        """What bundles carry as ``publicKey.hint`` (cosign, sigstore-go): a hint only."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode()


Verifying = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

MAX_KEY_FILE = 64 << 10
"""Largest key file that is read, in bytes."""

_PEM_BEGIN, _PEM_END = b"-----BEGIN PUBLIC KEY-----\n", b"-----END PUBLIC KEY-----\n"
_PEM_WIDTH = 64
_P256_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
"""The DER of a P-256 key up to the coordinates of its uncompressed point (RFC 5480 section 2)."""
_P256_COORDINATES = 64

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
# PublicKeyDetails (sigstore_common.proto) begins with 2048 bits; the other end bounds the work.
_RSA_LEAST, _RSA_MOST = 2048, 8192
_KINDS = "taken are ECDSA P-256 (the best choice), P-384, P-521, Ed25519, and RSA of 2048 to 8192"


def parse_public_key(raw: bytes, *, what: str = "the public key") -> PublicKey:
    """Read a public key from PEM.

    However it was written, the same key gives the same value.

    Raises:
        SigningKeyError: it is not one public key, or of a kind that is not taken.
    """
    if len(raw) > MAX_KEY_FILE:
        raise SigningKeyError(f"{what} has {len(raw)} bytes, too many for a key", code="BAD_KEY")
    if b"PRIVATE KEY-----" in raw:
        raise SigningKeyError(
            f"{what} is a private key",
            hint="give the public one (imagekit.pub, cosign.pub), and mind who saw this file",
            code="BAD_KEY",
        )
    # RFC 7468, section 2, lets anything stand in front of a block; of two, programs differ in which
    # they take.
    if raw.count(b"-----BEGIN ") != 1:
        raise SigningKeyError(
            f"{what} must hold exactly one PEM block",
            hint="it begins with -----BEGIN PUBLIC KEY-----",
            code="BAD_KEY",
        )
    der = _usual_der(raw)
    try:
        if _is_p256(der):
            _load(der)
            return PublicKey(der)
        loaded = _load_pem(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(
            f"{what} is not a public key in PEM: {error}", hint=_KINDS, code="BAD_KEY"
        ) from error
    return public_key_of(loaded, what=what)


def public_key_pem(public_key: PublicKey) -> bytes:
    """Write a public key as PEM.

    Raises:
        SigningKeyError: it is not a key of a kind that is taken.
    """
    verifying_key(public_key)
    return _pem(public_key.der)


def public_key_of(loaded: object, *, what: str = "the public key") -> PublicKey:
    """Return the value of a key that cryptography loaded.

    Raises:
        SigningKeyError: it is of a kind that is not taken.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    # DER has one encoding of a value (ITU-T X.690, section 10), so that equal keys are equal bytes,
    # compressed points and odd PEM notwithstanding.
    accepted = _accepted(loaded, what=what)
    return PublicKey(accepted.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@functools.lru_cache(maxsize=256)
def verifying_key(public_key: PublicKey) -> Verifying:
    """Return the key that cryptography verifies with; a policy's few keys are read once.

    Raises:
        SigningKeyError: it is not a key of a kind that is taken.
    """
    try:
        loaded = _load(public_key.der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(
            f"the public key cannot be read: {error}", hint=_KINDS, code="BAD_KEY"
        ) from error
    return _accepted(loaded, what="the public key")


def describe(public_key: PublicKey) -> str:
    """Return the kind of a key for people: ``ECDSA P-256``.

    Raises:
        SigningKeyError: it is not a key of a kind that is taken.
    """
    match verifying_key(public_key):
        case ec.EllipticCurvePublicKey() as key:
            return f"ECDSA {_CURVES[key.curve.name]}"
        case rsa.RSAPublicKey() as key:
            return f"RSA {key.key_size}"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case never:
            assert_never(never)


def _load_pem(raw: bytes) -> object:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    return load_pem_public_key(raw)


def _load(der: bytes) -> object:
    """Return the key of a DER.

    Raises:
        ValueError: it is none, or its point does not lie on its curve.
        UnsupportedAlgorithm: cryptography does not know its kind.
    """
    if _is_p256(der):
        # The point with the octet 04 in front, which says that it is uncompressed (RFC 5480,
        # section 2.2). That it lies on the curve is checked.
        point = der[len(_P256_HEAD) - 1 :]
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    return load_der_public_key(der)


def _is_p256(der: bytes) -> bool:
    return len(der) == len(_P256_HEAD) + _P256_COORDINATES and der.startswith(_P256_HEAD)


def _usual_der(raw: bytes) -> bytes:
    """Return the DER of a PEM, none unless the PEM is exactly what ``_pem`` writes for it."""
    # a2b_base64 passes over what is no base64; the comparison does not.
    try:
        der = binascii.a2b_base64(raw.removeprefix(_PEM_BEGIN).removesuffix(_PEM_END))
    except binascii.Error:
        return b""
    return der if _pem(der) == raw else b""


def _pem(der: bytes) -> bytes:
    """Write a key as PEM (RFC 7468 sections 3 and 13)."""
    text = base64.b64encode(der)
    lines = [text[at : at + _PEM_WIDTH] + b"\n" for at in range(0, len(text), _PEM_WIDTH)]
    return b"".join([_PEM_BEGIN, *lines, _PEM_END])


def _accepted(loaded: object, *, what: str) -> Verifying:
    match loaded:
        case ec.EllipticCurvePublicKey() if loaded.curve.name in _CURVES:
            return loaded
        case rsa.RSAPublicKey() if _RSA_LEAST <= loaded.key_size <= _RSA_MOST:
            return loaded
        case ed25519.Ed25519PublicKey():
            return loaded
        case ec.EllipticCurvePublicKey():
            kind = f"on the curve {loaded.curve.name}"
        case rsa.RSAPublicKey():
            kind = f"RSA of {loaded.key_size} bits"
        case _:
            kind = f"a {type(loaded).__name__}"
    raise SigningKeyError(f"{what} is {kind}, which is not taken", hint=_KINDS, code="BAD_KEY")

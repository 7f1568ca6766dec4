"""Private key files: cosign's encrypted format, and what else is taken.

A cosign key is PEM around JSON: scrypt makes a key of the password, nacl/secretbox seals a PKCS#8
DER with it (sigstore/pkg/cryptoutils and secure-systems-lab/go-securesystemslib/encrypted).
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields, base64_text, strict_base64
from imagekit.errors import DocumentError, SigningKeyError
from imagekit.signatures.publickey import MAX_KEY_FILE, public_key_of

Signing = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

SALT_SIZE: Final = 32
NONCE_SIZE: Final = SecretBox.NONCE_SIZE

_COSIGN_LABELS = frozenset({"ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"})
# PKCS#8 (RFC 5958, RFC 7468 section 10), SEC1 (RFC 5915) and PKCS#1 (RFC 8017, appendix A.1.2).
_PLAIN_LABELS = frozenset({"PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"})
# RFC 7468, section 11.
_PKCS8_ENCRYPTED = "ENCRYPTED PRIVATE KEY"
# cosign takes these and no others; each bounds the memory, 128 * N * r bytes, before it is spent.
_SCRYPT_N = frozenset({1 << 15, 1 << 16, 1 << 17})
_SCRYPT_R, _SCRYPT_P = 8, 1
_WRITTEN_N = 1 << 16
_BAD_KEY = "BAD_KEY"
_BOM = b"\xef\xbb\xbf"
_MAY_SIGN = (
    "sign with ECDSA P-256 (imagekit key generate, cosign generate-key-pair), P-384, P-521, "
    "Ed25519, or RSA of 2048 to 8192 bits"
)


def is_encrypted(raw: bytes, *, what: str) -> bool:
    """Return whether a private key file asks for a password.

    Raises:
        SigningKeyError: it is not a private key file.
    """
    label, body = _private_block(raw, what=what)
    # The header of RFC 1421, section 4.6.1.1, is what openssl marks its older encryption with.
    return label in _COSIGN_LABELS or label == _PKCS8_ENCRYPTED or b"Proc-Type:" in body


def load_private_key(raw: bytes, *, password: str | None, what: str) -> Signing:
    """Read a private key that may sign: cosign's format, PKCS#8, SEC1 or PKCS#1, in PEM.

    Args:
        raw: the file.
        password: of an encrypted key; the empty one is legal. None where none was asked for.
        what: the name of the file, for messages.

    Raises:
        SigningKeyError: the password is wrong, or it is not a key that may sign.
    """
    label, body = _private_block(raw, what=what)
    if label in _COSIGN_LABELS:
        der = _open(body, password=password or "", what=what)
        return _signing(_load_der(der, what=what), what=what)
    secret = password.encode() if password and is_encrypted(raw, what=what) else None
    try:
        loaded = serialization.load_pem_private_key(_reassembled(label, body), password=secret)
    except TypeError as error:  # what cryptography raises for a missing password
        raise _wrong_password(what) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if secret is not None:
            raise _wrong_password(what) from error
        raise SigningKeyError(
            f"{what} cannot be read as a private key: {error}", code=_BAD_KEY
        ) from error
    return _signing(loaded, what=what)


def cosign_key_pem(key: Signing, *, password: str, salt: bytes, nonce: bytes) -> bytes:
    """Write a private key in cosign's encrypted format.

    Args:
        key: the private key.
        password: seals it.
        salt: 32 random bytes.
        nonce: 24 random bytes.
    """
    der = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    box = SecretBox(_stretched(password, salt, _WRITTEN_N))
    document = {
        "kdf": {
            "name": "scrypt",
            "params": {"N": _WRITTEN_N, "r": _SCRYPT_R, "p": _SCRYPT_P},
            "salt": base64_text(salt),
        },
        "cipher": {"name": "nacl/secretbox", "nonce": base64_text(nonce)},
        "ciphertext": base64_text(box.encrypt(der, nonce).ciphertext),
    }
    text = base64_text(json.dumps(document, separators=(",", ":")).encode())
    # 64 characters a line (RFC 7468, section 2).
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    label = "ENCRYPTED SIGSTORE PRIVATE KEY"
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def _private_block(raw: bytes, *, what: str) -> tuple[str, bytes]:
    if len(raw) > MAX_KEY_FILE:
        raise SigningKeyError(f"{what} has {len(raw)} bytes, too many for a key", code=_BAD_KEY)
    blocks = list(_blocks(raw))
    known = _COSIGN_LABELS | _PLAIN_LABELS | {_PKCS8_ENCRYPTED}
    private = [block for block in blocks if block[0] in known]
    if len(private) == 1:
        return private[0]
    hint = "expected a key of imagekit key generate or cosign, or PEM: PKCS#8, SEC1 or PKCS#1"
    if any(label == "PUBLIC KEY" for label, _ in blocks):
        hint = "this is a public key; sign with the private one (imagekit.key, cosign.key)"
    raise SigningKeyError(
        f"{what} holds {len(private)} private keys where one is needed", hint=hint, code=_BAD_KEY
    )


def _blocks(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the label and the inner lines of each PEM block."""
    begin, end, close = b"-----BEGIN ", b"-----END ", b"-----"
    label, body = b"", b""
    # Editors put a byte order mark in front, and blanks around lines, as a block of YAML does:
    # readers of public keys accept both. The blanks are those of RFC 7468's lax form (section 3).
    for line in (raw_line.strip(b" \t\v\f") for raw_line in raw.removeprefix(_BOM).splitlines()):
        if line.startswith(begin) and line.endswith(close):
            label, body = line[len(begin) : -len(close)], b""
        elif label and line == end + label + close:
            yield label.decode("ascii", "replace"), body
            label = b""
        else:
            body += line + b"\n"


def _reassembled(label: str, body: bytes) -> bytes:
    """Return the block alone: openssl writes EC PARAMETERS before a SEC1 key."""
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label.encode(), body, label.encode())


def _open(body: bytes, *, password: str, what: str) -> bytes:
    sealed = strict_base64(body.decode("ascii", "replace").replace("\r", "").replace("\n", ""))
    if sealed is None:
        raise SigningKeyError(f"{what} is not base64 within its PEM", code=_BAD_KEY)
    try:
        salt, cost, nonce, ciphertext = _sealed(sealed, what=what)
    except DocumentError as error:
        raise SigningKeyError(error.message, code=_BAD_KEY) from error
    try:
        return SecretBox(_stretched(password, salt, cost)).decrypt(ciphertext, nonce)
    except CryptoError as error:
        raise _wrong_password(what) from error


def _sealed(raw: bytes, *, what: str) -> tuple[bytes, int, bytes, bytes]:
    fields = Fields.of(strictjson.loads(raw, what=what), what=what, code=_BAD_KEY)
    derivation, cipher = fields.object("kdf"), fields.object("cipher")
    if derivation.text("name") != "scrypt" or cipher.text("name") != "nacl/secretbox":
        raise fields.fault("is not sealed by scrypt and nacl/secretbox")
    parameters = derivation.object("params")
    cost = parameters.get("N")
    factors = (parameters.get("r"), parameters.get("p"))
    if not isinstance(cost, int) or cost not in _SCRYPT_N or factors != (_SCRYPT_R, _SCRYPT_P):
        raise parameters.fault("are not ones that cosign takes: N 32768, 65536 or 131072, r 8, p 1")
    # nacl/secretbox has nonces of 24 bytes; PyNaCl's own complaint would pass for a wrong password.
    nonce = cipher.base64("nonce")
    if len(nonce) != NONCE_SIZE:
        raise cipher.fault(f"has a nonce of {len(nonce)} bytes and not {NONCE_SIZE}")
    return derivation.base64("salt"), cost, nonce, fields.base64("ciphertext")


def _stretched(password: str, salt: bytes, cost: int, /) -> bytes:
    # RFC 7914. OpenSSL stops at 32 MiB of its own accord, which is too little for cosign's
    # parameters; this is twice what scrypt takes by them.
    return hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=cost,
        r=_SCRYPT_R,
        p=_SCRYPT_P,
        maxmem=256 * cost * _SCRYPT_R,
        dklen=SecretBox.KEY_SIZE,
    )


def _load_der(der: bytes, *, what: str) -> object:
    try:
        return serialization.load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(f"{what} seals no private key: {error}", code=_BAD_KEY) from error


def _signing(loaded: object, *, what: str) -> Signing:
    match loaded:
        case ec.EllipticCurvePrivateKey() | ed25519.Ed25519PrivateKey() | rsa.RSAPrivateKey():
            # What is refused for verifying, by its curve or size, is not signed with either.
            public_key_of(loaded.public_key(), what=what)
            return loaded
        case _:
            raise SigningKeyError(
                f"{what} is a key of a kind that does not sign images",
                hint=_MAY_SIGN,
                code=_BAD_KEY,
            )


def _wrong_password(what: str) -> SigningKeyError:
    return SigningKeyError(
        f"the password does not open {what}",
        hint="set IMAGEKIT_KEY_PASSWORD, or give --password-file",
        code="WRONG_PASSWORD",
    )

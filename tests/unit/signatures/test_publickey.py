"""Public keys in PEM: what is read here is what cryptography reads, and the rest goes to it."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import SigningKeyError
from imagekit.signatures.publickey import (
    PublicKey,
    Verifying,
    parse_public_key,
    public_key_of,
    public_key_pem,
    verifying_key,
)

_P256 = ec.generate_private_key(ec.SECP256R1()).public_key()
_PEM = _P256.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
_DER = _P256.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
_KEYS = (
    _P256,
    ec.generate_private_key(ec.SECP384R1()).public_key(),
    ec.generate_private_key(ec.SECP521R1()).public_key(),
    ed25519.Ed25519PrivateKey.generate().public_key(),
    rsa.generate_private_key(65537, 2048).public_key(),
)


def _pem(der: bytes) -> bytes:
    lines = base64.encodebytes(der).replace(b"\n", b"")
    body = b"\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))
    return b"-----BEGIN PUBLIC KEY-----\n" + body + b"\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize("key", _KEYS, ids=["P-256", "P-384", "P-521", "Ed25519", "RSA"])
def test_a_key_of_every_kind_is_read_and_written_as_cryptography_does(key: Verifying) -> None:
    """What is read without it has no other result than with it."""
    raw = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    read = parse_public_key(raw)

    assert read == public_key_of(load_pem_public_key(raw)) == public_key_of(key)
    assert public_key_pem(read) == raw
    assert verifying_key(read) == key


@pytest.mark.parametrize(
    "raw",
    [
        _PEM.replace(b"\n", b"\r\n"),
        _PEM.rstrip(b"\n"),
        b"a comment\n" + _PEM,
        _P256.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) + b"\n",
    ],
    ids=["CRLF", "no last newline", "text before", "blank line"],
)
def test_the_same_key_written_in_another_way_is_the_same_value(raw: bytes) -> None:
    """Policies compare keys as values, so that nothing about the writing may count."""
    assert parse_public_key(raw) == PublicKey(_DER)


def test_a_compressed_point_is_the_same_key() -> None:
    """RFC 5480 section 2.2 allows both forms."""
    point = _P256.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    head = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")

    assert parse_public_key(_pem(head + point)) == PublicKey(_DER)


@pytest.mark.parametrize(
    "der",
    [
        _DER[:-1] + bytes([_DER[-1] ^ 1]),
        _DER[:27] + bytes(64),
        _DER[:27] + b"\xff" * 64,
        _DER[:-1],
        _DER + b"\0",
    ],
    ids=["off the curve", "no point", "beyond the field", "cut", "a byte more"],
)
def test_a_key_that_is_none_is_refused(der: bytes) -> None:
    """The head of a good key does not make one."""
    with pytest.raises(SigningKeyError, match=r"^the release key is not a public key in PEM"):
        parse_public_key(_pem(der), what="the release key")
    with pytest.raises(SigningKeyError):
        verifying_key(PublicKey(der))


@given(st.integers(0, len(_PEM) - 1), st.integers(0, 255))
def test_no_changed_byte_is_read_otherwise_than_by_cryptography(at: int, byte: int) -> None:
    """The writing that is read here is one exact form."""
    raw = _PEM[:at] + bytes([byte]) + _PEM[at + 1 :]
    try:
        read = parse_public_key(raw)
    except SigningKeyError:
        return
    assert read == public_key_of(load_pem_public_key(raw))

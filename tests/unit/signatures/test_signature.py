"""Public keys and the signatures that they verify."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa

from imagekit.errors import SigningKeyError
from imagekit.signatures.publickey import (
    PublicKey,
    describe,
    parse_public_key,
    public_key_of,
    public_key_pem,
)
from imagekit.signatures.signature import verify_legacy_signature, verify_signature

MESSAGE = b"message"
Verify = Callable[[PublicKey, bytes, bytes], bool]
P256 = ec.generate_private_key(ec.SECP256R1())
SHORT = 1024
RSA = rsa.generate_private_key(65537, 2048)
EDWARDS = ed25519.Ed25519PrivateKey.generate()


def _pem(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | dsa.DSAPublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(b"", "exactly one PEM block", id="empty"),
        pytest.param(_pem(P256.public_key()) * 2, "exactly one PEM block", id="two"),
        pytest.param(b"-----BEGIN PUBLIC KEY-----\nx\n", "not a public key", id="cut"),
        pytest.param(b"x" * 65537, "too many", id="huge"),
        pytest.param(b"-----BEGIN PRIVATE KEY-----", "is a private key", id="private"),
        pytest.param(
            _pem(ec.generate_private_key(ec.SECP256K1()).public_key()), "secp256k1", id="curve"
        ),
        pytest.param(
            _pem(rsa.generate_private_key(65537, SHORT).public_key()), "1024 bits", id="short RSA"
        ),
        pytest.param(_pem(dsa.generate_private_key(SHORT).public_key()), "not taken", id="DSA"),
    ],
)
def test_parse_public_key_refuses(raw: bytes, said: str) -> None:
    """What is not one key of a kind that is taken is refused when it is loaded."""
    with pytest.raises(SigningKeyError, match=said):
        parse_public_key(raw)


def test_verify_refuses_a_value_that_is_no_key() -> None:
    """A key that cannot be read is an error and not merely a bad signature."""
    with pytest.raises(SigningKeyError):
        verify_signature(PublicKey(b"x"), b"", b"")


def test_a_key_has_one_value_however_it_was_written() -> None:
    """A compressed point is the same key, so that a threshold counts it once."""
    numbers = P256.public_key()
    plain = numbers.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    compressed = numbers.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    der = public_key_of(numbers).der
    # The same SubjectPublicKeyInfo with the shorter point: two lengths shrink by 32.
    shorter = der.replace(b"\x03\x42\x00" + plain, b"\x03\x22\x00" + compressed)
    shorter = bytes([shorter[0], shorter[1] - 32]) + shorter[2:]
    loaded = serialization.load_der_public_key(shorter)

    assert shorter != der
    assert public_key_of(loaded).der == der


def test_public_keys_survive_a_round_trip() -> None:
    """PEM is read back as the same key."""
    key = public_key_of(P256.public_key())

    assert parse_public_key(public_key_pem(key)) == key


@pytest.mark.parametrize(
    ("curve", "hashed", "kind"),
    [
        (ec.SECP256R1(), hashes.SHA256(), "ECDSA P-256"),
        (ec.SECP384R1(), hashes.SHA384(), "ECDSA P-384"),
        (ec.SECP521R1(), hashes.SHA512(), "ECDSA P-521"),
    ],
    ids=["P-256", "P-384", "P-521"],
)
def test_the_curve_chooses_the_hash_of_a_bundle(
    curve: ec.EllipticCurve, hashed: hashes.HashAlgorithm, kind: str
) -> None:
    """Bundles use the hash of the curve, the legacy form always SHA-256."""
    private = ec.generate_private_key(curve)
    key = public_key_of(private.public_key())
    signature = private.sign(MESSAGE, ec.ECDSA(hashed))

    assert describe(key) == kind
    assert verify_signature(key, signature, MESSAGE)
    assert verify_legacy_signature(key, signature, MESSAGE) == (kind == "ECDSA P-256")
    assert verify_legacy_signature(key, private.sign(MESSAGE, ec.ECDSA(hashes.SHA256())), MESSAGE)


def test_rsa_and_ed25519_verify() -> None:
    """RSA is PKCS #1 v1.5 with SHA-256; Ed25519 is the pure one."""
    rsa_key, edwards_key = public_key_of(RSA.public_key()), public_key_of(EDWARDS.public_key())
    signature = RSA.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())

    assert verify_signature(rsa_key, signature, MESSAGE)
    assert verify_signature(edwards_key, EDWARDS.sign(MESSAGE), MESSAGE)
    assert (describe(rsa_key), describe(edwards_key)) == ("RSA 2048", "Ed25519")


@pytest.mark.parametrize("verify", [verify_signature, verify_legacy_signature])
def test_verify_says_no(verify: Verify) -> None:
    """Another message, another key, an altered or a missing signature: no."""
    key = public_key_of(P256.public_key())
    signature = P256.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    other = public_key_of(ec.generate_private_key(ec.SECP256R1()).public_key())

    assert not verify(key, signature, b"other")
    assert not verify(other, signature, MESSAGE)
    assert not verify(key, signature[:-1], MESSAGE)
    assert not verify(key, signature + b"\0", MESSAGE)
    assert not verify(key, b"", MESSAGE)
    assert not verify(public_key_of(RSA.public_key()), signature, MESSAGE)

"""Keys and signatures."""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from imagekit.signatures.keys.cosign import cosign_key_pem, is_encrypted, load_private_key
from imagekit.signatures.keys.uri import is_key_uri, parse_key_uri
from imagekit.signatures.publickey import (
    PublicKey,
    describe,
    parse_public_key,
    public_key_of,
    public_key_pem,
)
from imagekit.signatures.signature import verify_legacy_signature, verify_signature
from tests.attacks.fuzz.target import Target, same
from tests.support.fakes import MemorySigner

_SIGNER = MemorySigner()
_P384 = ec.generate_private_key(ec.SECP384R1())
_EDWARDS = ed25519.Ed25519PrivateKey.generate()
_COSIGN = cosign_key_pem(_SIGNER.key, password="", salt=b"s" * 32, nonce=b"n" * 24)
_MESSAGE = b"message"


def _public_key(raw: bytes) -> None:
    key = parse_public_key(raw)
    same(parse_public_key(public_key_pem(key)), key)
    same(bool(describe(key)), second=True)


def _private_key(raw: bytes) -> None:
    # Opening a sealed key takes the time that scrypt was made to take.
    password = None if is_encrypted(raw, what="the key") else ""
    if password is not None:
        key = load_private_key(raw, password=password, what="the key")
        public_key_of(key.public_key())


def _cosign_key(raw: bytes) -> None:
    pem = b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n%b\n-----END ENCRYPTED SIGSTORE"
    is_encrypted(pem % raw + b" PRIVATE KEY-----\n", what="the key")
    is_encrypted(raw, what="the key")


def _signature(raw: bytes) -> None:
    size = int.from_bytes(raw[:2], "big")
    key, signature = PublicKey(raw[2 : 2 + size]), raw[2 + size :]
    for verify in (verify_signature, verify_legacy_signature):
        verify(_SIGNER.public_key, signature, _MESSAGE)
        verify(key, signature, _MESSAGE)


def _key_uri(raw: bytes) -> None:
    text = raw.decode("utf-8", "replace")
    if is_key_uri(text):
        same(parse_key_uri(text).text, text)


def _signed(der: bytes, signature: bytes) -> bytes:
    return len(der).to_bytes(2, "big") + der + signature


def _pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


TARGETS = {
    "public-key": Target(
        check=_public_key,
        seeds=tuple(
            public_key_pem(public_key_of(key.public_key()))
            for key in (_SIGNER.key, _P384, _EDWARDS)
        ),
    ),
    "private-key": Target(
        check=_private_key, seeds=(_pem(_SIGNER.key), _pem(_P384), _pem(_EDWARDS), _COSIGN)
    ),
    "key-uri": Target(
        check=_key_uri,
        seeds=(
            b"hsm:10?label=YubiKey+PIV+%2315",
            b"pkcs11:model=a%20b;id=%0A%01;object=c?module-path=/d.so&pin-source=file:///e",
            b"awskms:///alias/images",
            b"gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            b"azurekms://v.vault.azure.net/keys/k/0a",
            b"hv:images/3",
        ),
    ),
    "cosign-key": Target(check=_cosign_key, seeds=(_COSIGN, b"e30=")),
    "signature": Target(
        check=_signature,
        seeds=(
            _signed(_SIGNER.public_key.der, _SIGNER.sign(_MESSAGE)),
            _signed(public_key_of(_EDWARDS.public_key()).der, _EDWARDS.sign(_MESSAGE)),
        ),
    ),
}

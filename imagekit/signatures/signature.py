"""Verifying a signature over bytes with a public key.

The key alone decides the algorithm: nothing that came with the signature changes it.
"""

from typing import assert_never

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from imagekit.signatures.publickey import PublicKey, verifying_key

# sigstore_common.proto, PublicKeyDetails: there is one hash for each curve, as in
# PKIX_ECDSA_P384_SHA_384, and bundles are signed so.
_CURVE_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


def verify_signature(public_key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Return whether the signature of a bundle is good: the hash goes with the curve.

    Raises:
        SigningKeyError: the key is of a kind that is not taken.
    """
    return _verify(public_key, signature, message, legacy=False)


def verify_legacy_signature(public_key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Return whether the signature of a ``.sig`` payload is good.

    cosign and c/image use SHA-256 there, whatever the curve (SIGNATURE_SPEC.md, Hashing
    Algorithms: that of the registry's digests).

    Raises:
        SigningKeyError: the key is of a kind that is not taken.
    """
    return _verify(public_key, signature, message, legacy=True)


def bundle_hash(curve: str) -> hashes.HashAlgorithm:
    """Return the hash that goes with a curve, by the name that cryptography gives it."""
    return _CURVE_HASHES[curve]


def _verify(public_key: PublicKey, signature: bytes, message: bytes, /, *, legacy: bool) -> bool:
    try:
        # SIGNATURE_SPEC.md, Signature Schemes: no scheme is stored with a signature, verifiers have
        # to know it. The same holds for bundles (sigstore_common.proto, MessageSignature).
        match verifying_key(public_key):
            case ec.EllipticCurvePublicKey() as key:
                hashed = hashes.SHA256() if legacy else bundle_hash(key.curve.name)
                key.verify(signature, message, ec.ECDSA(hashed))
            case rsa.RSAPublicKey() as key:
                # RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2.2), which cosign makes; not PSS.
                key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            case ed25519.Ed25519PublicKey() as key:
                # Ed25519 as c/image verifies it (RFC 8032, section 5.1.7). Ed25519ph, which cosign
                # makes of such a key, hashes first and does not hold here.
                key.verify(signature, message)
            case never:
                assert_never(never)
    except InvalidSignature:
        return False
    return True

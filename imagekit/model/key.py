"""Public keys, as policies list them and signatures name them."""

import base64
import hashlib
from dataclasses import dataclass

KINDS = ("ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-3072")
"""The kinds of keys that can be generated; the first is the default."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key as its DER SubjectPublicKeyInfo (RFC 5280 section 4.1)."""

    der: bytes

    @property
    def fingerprint(self) -> str:
        """``SHA256:`` and the hexadecimal digest of the DER, what people compare."""
        return f"SHA256:{hashlib.sha256(self.der).hexdigest()}"

    @property
    def hint(self) -> str:
        """What bundles carry as ``publicKey.hint`` (cosign, sigstore-go): a hint only."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode()

"""Signing with a private key, wherever it is: in a file, on a token, in a cloud."""

from collections.abc import Mapping

from imagekit.documents.fields import base64_text, strict_base64
from imagekit.oci.types import IN_TOTO
from imagekit.signatures.authority import Authority
from imagekit.signatures.bundle import KeyBundle, key_bundle_bytes, parse_bundle
from imagekit.signatures.dsse import pae
from imagekit.signatures.ports import OpenedLater, PrivateKey
from imagekit.signatures.publickey import PublicKey
from imagekit.signatures.signature import verify_legacy_signature, verify_signature
from imagekit.signatures.simplesigning import SIGNATURE_ANNOTATION


class KeySigner:
    """Signs with a private key: an implementation of ``ports.Signer``.

    Args:
        key: the holder of the key.
        name: of the signer, in findings.
    """

    def __init__(self, key: PrivateKey, *, name: str = "publisher") -> None:
        self._key = key
        self._name = name

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._key.public_key

    def open(self) -> None:
        """Open the key, where that was put off: a wrong password is found now.

        Raises:
            SigningKeyError: the password is wrong, or the key may not sign.
        """
        if isinstance(self._key, OpenedLater):
            self._key.open()

    @property
    def authority(self) -> Authority:
        """The authority that a policy must list: the public key."""
        return Authority(name=self._name, key=self.public_key)

    def bundle(self, statement: bytes) -> bytes:
        """Sign a statement; the bundle has the key's hint and no log entry.

        DSSE protocol.md, Signature Definition: the pre-authentication encoding is signed.
        """
        signature = self._key.sign(pae(IN_TOTO, statement))
        return key_bundle_bytes(statement, signature, self.public_key)

    def legacy(self, payload: bytes) -> Mapping[str, str]:
        """Sign a payload; the annotation is the signature (cosign SIGNATURE_SPEC, Signature)."""
        return {SIGNATURE_ANNOTATION: base64_text(self._key.sign_legacy(payload))}

    def made(self, bundle: bytes) -> bool:
        """Return whether the key made a bundle."""
        parsed = parse_bundle(bundle)
        return isinstance(parsed, KeyBundle) and any(
            verify_signature(self.public_key, signature, parsed.envelope.signed_bytes)
            for signature in parsed.envelope.signatures
        )

    def made_legacy(self, payload: bytes, annotations: Mapping[str, str]) -> bool:
        """Return whether the key made a legacy signature."""
        signature = strict_base64(annotations.get(SIGNATURE_ANNOTATION, ""))
        return bool(signature) and verify_legacy_signature(
            self.public_key, signature or b"", payload
        )

    def __str__(self) -> str:
        return f"key {self.public_key.fingerprint[:19]}…"

    def __repr__(self) -> str:
        return f"KeySigner({self.public_key.fingerprint})"

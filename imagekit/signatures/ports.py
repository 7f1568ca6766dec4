"""What signing and verifying ask of keys and of Sigstore."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from imagekit.signatures.authority import Authority, TrustRoot
from imagekit.signatures.bundle import KeyBundle
from imagekit.signatures.publickey import PublicKey
from imagekit.signatures.results import Certified, TransparencyResult


class PrivateKey(Protocol):
    """A private key, which never leaves its holder: a file, a token (PKCS #11), a cloud's KMS."""

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a bundle: for ECDSA in ASN.1 DER, the hash by the curve.

        Raises:
            SigningKeyError: the holder refused.
        """
        ...

    def sign_legacy(self, message: bytes) -> bytes:
        """Return the signature of a ``.sig`` payload: SHA-256 whatever the curve.

        Raises:
            SigningKeyError: the holder refused, or cannot sign so.
        """
        ...


@runtime_checkable
class OpenedLater(Protocol):
    """A key, or its signer, that may be opened only when something is to be signed."""

    def open(self) -> object:
        """Open it: a wrong password is found now, and not when an image was built for an hour.

        Raises:
            SigningKeyError: the password is wrong, or the key may not sign.
        """
        ...


class Signer(Protocol):
    """Signs statements about images: with a private key, or keyless under a certificate."""

    @property
    def authority(self) -> Authority:
        """What a policy must list so that these signatures count."""
        ...

    def bundle(self, statement: bytes) -> bytes:
        """Sign an in-toto statement and return the Sigstore bundle.

        Raises:
            SigningKeyError: the key refused.
            ToolError: a service of Sigstore refused or did not answer.
        """
        ...

    def legacy(self, payload: bytes) -> Mapping[str, str]:
        """Sign a simple signing payload; return the annotations of its layer, or none at all.

        None at all are returned where this signer has no legacy form.

        Raises:
            SigningKeyError, ToolError: as ``bundle``.
        """
        ...

    def made(self, bundle: bytes) -> bool:
        """Return whether this signer made a bundle, so that nothing is signed twice.

        Raises:
            DocumentError: it is not a bundle.
        """
        ...

    def made_legacy(self, payload: bytes, annotations: Mapping[str, str]) -> bool:
        """Return whether this signer made a legacy signature."""
        ...


class CertificateVerifier(Protocol):
    """Verifies by Sigstore's trusted roots, offline: certificates, log entries, timestamps."""

    def bundle(self, raw: bytes, root: TrustRoot) -> tuple[Certified, TransparencyResult]:
        """Verify a bundle: chain, log entry, times and the envelope's signature.

        Raises:
            VerificationError: it does not hold; ``code`` says which part.
        """
        ...

    def legacy(
        self, payload: bytes, annotations: Mapping[str, str], root: TrustRoot
    ) -> tuple[Certified, TransparencyResult]:
        """Verify a legacy signature by its certificate and the log's promise beside it.

        Raises:
            VerificationError: it does not hold; ``code`` says which part.
        """
        ...

    def key_bundle(
        self, bundle: KeyBundle, key: PublicKey, *, root: TrustRoot
    ) -> TransparencyResult:
        """Judge the log entries and timestamps of a bundle whose envelope this key signed.

        What does not hold is a fault in the result: only a policy knows whether it matters.
        """
        ...

    def key_legacy(
        self, payload: bytes, annotations: Mapping[str, str], key: PublicKey, *, root: TrustRoot
    ) -> TransparencyResult:
        """Judge the log's promise and the timestamp beside a legacy signature of this key.

        Faults are in the result, as with ``key_bundle``.
        """
        ...

"""The ports: everything that imagekit needs of the world, on one page.

Each is small and named by its capability. ``imagekit.adapters`` implements them with real tools,
``tests.fakes`` in memory, and the same contract tests run on both.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from imagekit.formats.bundle import KeyBundle
from imagekit.model.evidence import Certified, Witness
from imagekit.model.face import Ruling
from imagekit.model.key import PublicKey
from imagekit.model.policy import Authority, TrustRoot
from imagekit.model.release import Seen
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference


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
        """Tell whether this signer made a bundle, so that nothing is signed twice.

        Raises:
            DocumentError: it is not a bundle.
        """
        ...

    def made_legacy(self, payload: bytes, annotations: Mapping[str, str]) -> bool:
        """Tell whether this signer made a legacy signature."""
        ...


class CertificateVerifier(Protocol):
    """Verifies by Sigstore's trusted roots, offline: certificates, log entries, timestamps."""

    def bundle(self, raw: bytes, root: TrustRoot) -> tuple[Certified, Witness]:
        """Verify a bundle: chain, log entry, times and the envelope's signature.

        Raises:
            VerificationError: it does not hold; ``code`` says which part.
        """
        ...

    def legacy(
        self, payload: bytes, annotations: Mapping[str, str], root: TrustRoot
    ) -> tuple[Certified, Witness]:
        """Verify a legacy signature by its certificate and the log's promise beside it.

        Raises:
            VerificationError: it does not hold; ``code`` says which part.
        """
        ...

    def key_bundle(self, bundle: KeyBundle, key: PublicKey, *, root: TrustRoot) -> Witness:
        """Judge the log entries and timestamps of a bundle whose envelope this key signed.

        What does not hold is in the witness, as a fault: only a policy knows whether it matters.
        """
        ...

    def key_legacy(
        self, payload: bytes, annotations: Mapping[str, str], key: PublicKey, *, root: TrustRoot
    ) -> Witness:
        """Judge the log's promise and the timestamp beside a legacy signature of this key.

        Faults are in the witness, as ``key_bundle`` has them.
        """
        ...


class Memory(Protocol):
    """What a verifier has seen before, so that nothing goes back in silence.

    A memory that cannot be read or written raises MemoryFaultError; whether that denies is the
    policy's to say.
    """

    def highest(self, name: str) -> Seen | None:
        """Return the highest that was seen under a name, or None where it is new."""
        ...

    def remember(self, name: str, seen: Seen) -> None:
        """Keep what was seen, unless the same or something higher is kept already."""
        ...


class ImageJudge(Protocol):
    """Judges images for a host's runtimes: by its policy, or by asking a gate."""

    def __call__(self, reference: Reference) -> Ruling:
        """Judge an image.

        Raises:
            ImagekitError: there is no verdict; whoever asks refuses.
        """
        ...


class ContainerRuntime(Protocol):
    """What pulls images into a user's storage and runs them."""

    def pull(self, reference: PinnedReference, *, among: Collection[Digest] | None = None) -> str:
        """Pull by digest and return the image's id in the local storage.

        Of an index, only a manifest ``among`` those that were judged may be chosen; any, where
        that is None.
        """
        ...

    def run(
        self,
        reference: PinnedReference,
        arguments: Sequence[str],
        *,
        among: Collection[Digest] | None = None,
    ) -> int:
        """Run a container in the foreground, streams passed through; return its exit code."""
        ...

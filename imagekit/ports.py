"""The ports: everything that imagekit needs of the world, on one page.

Each is small and named by its capability. ``imagekit.adapters`` implements them with real tools,
``tests.fakes`` in memory, and the same contract tests run on both.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from imagekit.formats.bundle import KeyBundle
from imagekit.model.digest import Digest
from imagekit.model.evidence import Certified, Witness
from imagekit.model.face import Ruling
from imagekit.model.key import PublicKey
from imagekit.model.oci import Descriptor, RawManifest
from imagekit.model.policy import Authority, TrustRoot
from imagekit.model.reference import PinnedReference, Reference, Repository, TaggedReference
from imagekit.model.release import Seen


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


class RegistryReader(Protocol):
    """The pull half of a registry or of an OCI layout.

    Every byte that is returned was checked against its digest. Each method raises RegistryError
    (NotFoundError, AuthError) where there is no good answer, and IntegrityError where the bytes
    are not what was asked for.
    """

    def resolve(self, reference: TaggedReference) -> PinnedReference:
        """Return what the tag points to now, by the digest of the manifest's exact bytes."""
        ...

    def manifest(self, reference: Reference) -> RawManifest:
        """Return the exact bytes of a manifest or index of at most 4 MiB."""
        ...

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Return a small blob whole; more than ``limit`` bytes are an IntegrityError."""
        ...

    def stream(
        self, repository: Repository, descriptor: Descriptor
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Yield a blob in pieces; the last piece only comes when size and digest were right."""
        ...

    def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        """Return all that name the manifest as their subject, by the API or the fallback tag.

        A listing that fails is an error and never an empty answer.
        """
        ...

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the tags of a repository; none where it does not exist."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A reader that keeps some of what it read by digest."""

    def remembers(self, repository: Repository, digest: Digest) -> bool:
        """Tell whether a manifest or blob is kept, so that nobody is asked for it again."""
        ...


class RegistryWriter(RegistryReader, Protocol):
    """The push half."""

    def has_blob(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Tell whether the blob is there."""
        ...

    def put_blob(self, repository: Repository, descriptor: Descriptor, source: Path) -> None:
        """Upload a file as a blob in flat memory; the digest is checked on the way."""
        ...

    def put_bytes(self, repository: Repository, media_type: str, raw: bytes) -> Descriptor:
        """Upload a small blob, unless it is there, and return its descriptor."""
        ...

    def put_manifest(self, repository: Repository, media_type: str, raw: bytes) -> PinnedReference:
        """Store a manifest by its digest only, without a tag.

        Where it has a subject, it is listed among the subject's referrers when this returns: by
        the API, or in the fallback tag, which is read back and merged.
        """
        ...

    def tag(self, reference: TaggedReference, manifest: RawManifest) -> None:
        """Let the tag point to the manifest, which is there already."""
        ...

    def tag_once(self, reference: TaggedReference, manifest: RawManifest) -> PinnedReference:
        """Let the tag point to the manifest if it is not there, and return what it points to then.

        Of several writers whose manifests differ at most one is returned its own.

        Raises:
            TagRaceError: that cannot be promised, since writing took too long.
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


class BlobStore(Protocol):
    """Content by digest on this machine: the local layout that builds write into."""

    @property
    def folder(self) -> Path:
        """The folder of the layout."""
        ...

    def path(self, digest: Digest) -> Path:
        """Return where the blob lies or would lie."""
        ...

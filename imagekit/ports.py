"""The ports: everything that imagekit needs of the world, on one page.

Each is small and named by its capability. ``imagekit.adapters`` implements them with real tools,
``tests.fakes`` in memory, and the same contract tests run on both.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from imagekit.model.digest import Digest
from imagekit.model.key import PublicKey
from imagekit.model.oci import Descriptor, RawManifest
from imagekit.model.reference import PinnedReference, Reference, Repository, TaggedReference


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Return the present time, with its zone."""
        ...


class Signer(Protocol):
    """A private key that signs; it never leaves its holder."""

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature of the message: for P-256, ECDSA with SHA-256 in ASN.1 DER."""
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


class ContainerRuntime(Protocol):
    """What pulls images into a user's storage and runs them."""

    def pull(self, reference: PinnedReference) -> str:
        """Pull by digest and return the image's id in the local storage."""
        ...

    def run(self, reference: PinnedReference, arguments: Sequence[str]) -> int:
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

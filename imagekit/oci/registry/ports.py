"""What imagekit asks of registries and layouts; tests/support has them in memory."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, Repository, TaggedReference
from imagekit.oci.types import Descriptor, RawManifest

if TYPE_CHECKING:
    from imagekit.progress import Count


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


class CatalogReader(RegistryReader, Protocol):
    """The pull half of what can list its repositories."""

    def repositories(self, host: str) -> tuple[Repository, ...]:
        """Return the repositories that a registry lists for this user; of a layout all.

        No specification of OCI's has it: where a registry has no such list, that is an error.
        """
        ...


@runtime_checkable
class CachingReader(Protocol):
    """A reader that keeps some of what it read by digest."""

    def remembers(self, repository: Repository, digest: Digest) -> bool:
        """Return whether a manifest or blob is kept, so that nobody is asked for it again."""
        ...


class RegistryWriter(RegistryReader, Protocol):
    """The push half."""

    def has_blob(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Return whether the blob is there."""
        ...

    def put_blob(
        self,
        repository: Repository,
        descriptor: Descriptor,
        source: Path,
        *,
        known_in: Sequence[Repository] = (),
        count: "Count | None" = None,
    ) -> bool:
        """Upload a file as a blob in flat memory, unless it is there or can be mounted.

        The digest is checked on the way.

        Args:
            repository: where it is put.
            descriptor: what it is.
            source: the file.
            known_in: repositories of the same registry that may have it.
            count: gets how many of its bytes were read.

        Returns:
            Whether its bytes had to be sent.
        """
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

    def put_referrers(
        self, subject: PinnedReference, manifests: Sequence[RawManifest]
    ) -> tuple[Descriptor, ...]:
        """Store manifests that name one subject, and list them all at once.

        Returns:
            The subject's referrers as they were read back; the manifests are among them.
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


class BlobStore(Protocol):
    """Content by digest on this machine: the local layout that builds write into."""

    @property
    def folder(self) -> Path:
        """The folder of the layout."""
        ...

    def path(self, digest: Digest) -> Path:
        """Return where the blob lies or would lie."""
        ...

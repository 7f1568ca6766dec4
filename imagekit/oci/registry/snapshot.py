"""A registry at one moment: each question is asked once, and its answer holds from then on.

Whoever decides by several answers decides by one state of the registry. After a write, and where
the present state is wanted, a new snapshot is taken.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager

from imagekit.errors import NotFoundError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, Repository, TaggedReference
from imagekit.oci.registry.kept import KeptContent
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import Descriptor, RawManifest


class RegistrySnapshot:
    """Reads every tag and every list of referrers once: an implementation of ``RegistryReader``.

    Args:
        inner: the way to the registry.
        kept: content that earlier runs read, and where what is read now is kept; None for none.
        reread: whether content is read from the registry also where it is kept: whoever has just
            written it wants to know that it is there.
    """

    def __init__(
        self, inner: RegistryReader, *, kept: KeptContent | None = None, reread: bool = False
    ) -> None:
        self._inner = inner
        self._kept = kept
        self._reread = reread
        self._tagged: dict[TaggedReference, RawManifest | NotFoundError] = {}
        self._listed: dict[tuple[Repository, Digest], tuple[Descriptor, ...]] = {}

    def resolve(self, reference: TaggedReference) -> PinnedReference:
        """Return what the tag points to."""
        return reference.pin(self.manifest(reference).digest)

    def manifest(self, reference: Reference) -> RawManifest:
        """Return the exact bytes of a manifest."""
        if isinstance(reference, TaggedReference):
            return self._by_tag(reference)
        kept = None
        if self._kept is not None and not self._reread:
            kept = self._kept.manifest(reference)
        return kept or self._keep(reference.repository, self._inner.manifest(reference))

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Return a small blob whole."""
        kept = None
        if self._kept is not None and not self._reread:
            kept = self._kept.blob(repository, descriptor, limit=limit)
        if kept is not None:
            return kept
        raw = self._inner.blob(repository, descriptor, limit=limit)
        if self._kept is not None:
            self._kept.keep(repository, descriptor.digest, raw)
        return raw

    def stream(
        self, repository: Repository, descriptor: Descriptor
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Yield a blob in pieces; it is not kept."""
        return self._inner.stream(repository, descriptor)

    def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        """Return all that name the manifest as their subject."""
        key = (reference.repository, reference.digest)
        if key not in self._listed:
            self._listed[key] = self._inner.referrers(reference)
        return self._listed[key]

    def listed(self, reference: PinnedReference, entries: tuple[Descriptor, ...]) -> None:
        """Take a list of referrers that was read just now."""
        self._listed[reference.repository, reference.digest] = entries

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the tags of a repository as they are now."""
        return self._inner.tags(repository)

    def _by_tag(self, reference: TaggedReference) -> RawManifest:
        if reference not in self._tagged:
            self._tagged[reference] = self._ask(reference)
        answer = self._tagged[reference]
        if isinstance(answer, NotFoundError):
            raise answer
        return answer

    def _ask(self, reference: TaggedReference) -> RawManifest | NotFoundError:
        try:
            return self._keep(reference.repository, self._inner.manifest(reference))
        except NotFoundError as error:
            return error

    def _keep(self, repository: Repository, manifest: RawManifest) -> RawManifest:
        if self._kept is not None:
            self._kept.keep(repository, manifest.digest, manifest.raw)
        return manifest

"""Saved evidence: what a registry has of an image and its signatures, kept in a layout folder.

``EvidenceRecorder`` keeps what is read of a registry through it; ``SavedReader`` gives it back as
that registry would. No layers are among it: verifying needs none.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from imagekit.errors import NotFoundError
from imagekit.oci.layout import LayoutReader, LayoutRegistry, LayoutStore, entries
from imagekit.oci.reference import (
    LAYOUT_HOST,
    PinnedReference,
    Reference,
    Repository,
    TaggedReference,
)
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import REF_NAME, Descriptor, RawManifest

_T = TypeVar("_T")
_SHOWN = 3


class SavedReader:
    """Reads from a layout as if it were the registry of every repository: ``ports.RegistryReader``.

    A tag is looked for under the full name, ``HOST/PATH:TAG``, as the recorder writes it; then
    under ``localhost/PATH:TAG``, as ``imagekit publish --to oci:FOLDER`` does. No other name stands
    for it, also not where the layout has a single image: a test would be of another image then.

    Args:
        folder: the layout.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._layout = LayoutReader(LayoutStore(folder))

    def resolve(self, reference: TaggedReference) -> PinnedReference:
        """Return what the tag pointed to when it was saved."""
        return reference.pin(self.manifest(reference).digest)

    def manifest(self, reference: Reference) -> RawManifest:
        """Return the exact bytes of a manifest."""
        return self._found(
            reference.repository,
            lambda repository: self._layout.manifest(replace(reference, repository=repository)),
            what=str(reference),
        )

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Return a small blob whole."""
        return self._layout.blob(repository, descriptor, limit=limit)

    def stream(
        self, repository: Repository, descriptor: Descriptor
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Yield a blob in pieces."""
        return self._layout.stream(repository, descriptor)

    def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        """Return all that name the manifest as their subject."""
        return self._layout.referrers(reference)

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the tags that were saved."""
        return self._layout.tags(repository)

    def _found(self, repository: Repository, look: Callable[[Repository], _T], *, what: str) -> _T:
        try:
            return look(repository)
        except NotFoundError:
            pass
        try:
            return look(Repository(LAYOUT_HOST, repository.path))
        except NotFoundError as error:
            raise NotFoundError(
                f"the evidence in {self._folder} has no {what}",
                hint=f"it has {self._names()}; save more: imagekit policy save REFERENCE "
                f"--to {self._folder}",
                code="NO_EVIDENCE",
            ) from error

    def _names(self) -> str:
        names = [
            entry.annotations[REF_NAME]
            for entry in entries(self._folder)
            if REF_NAME in entry.annotations
        ]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"{', '.join(names[:_SHOWN])}{more}" if names else "no image at all"


class EvidenceRecorder:
    """Passes on what is read from a registry, and keeps it: ``ports.RegistryReader``.

    Args:
        inner: the way to the registry.
        folder: the layout that is written to; it may hold other images already.
    """

    def __init__(self, inner: RegistryReader, folder: Path) -> None:
        self._inner = inner
        self._layout = LayoutRegistry(LayoutStore.create(folder))

    def resolve(self, reference: TaggedReference) -> PinnedReference:
        """Keep what the tag points to, and return it."""
        return reference.pin(self.manifest(reference).digest)

    def manifest(self, reference: Reference) -> RawManifest:
        """Keep a manifest, and the tag that it was asked for by."""
        raw = self._inner.manifest(reference)
        self._layout.put_manifest(reference.repository, raw.media_type, raw.raw)
        if isinstance(reference, TaggedReference):
            self._tag(reference, raw)
        return raw

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Keep a blob."""
        raw = self._inner.blob(repository, descriptor, limit=limit)
        self._layout.put_bytes(repository, descriptor.media_type, raw)
        return raw

    def stream(
        self, repository: Repository, descriptor: Descriptor
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Pass on; nothing is kept of what is too large to be evidence."""
        return self._inner.stream(repository, descriptor)

    def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        """Pass on; each referrer is kept when it is read."""
        return self._inner.referrers(reference)

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Pass on."""
        return self._inner.tags(repository)

    def _tag(self, reference: TaggedReference, raw: RawManifest) -> None:
        """Keep a tag, unless it is kept: what is in version control changes only for a reason."""
        try:
            known = self._layout.manifest(reference).digest == raw.digest
        except NotFoundError:
            known = False
        if not known:
            self._layout.tag(reference, raw)

"""A reader that remembers all that it read for one judgement.

What was judged and what is served are the same bytes because both come from here.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from imagekit.errors import ImagekitError, RegistryError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, Repository, TaggedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import Descriptor, RawManifest

T = TypeVar("T")


class RecordingReader:
    """An implementation of ``ports.RegistryReader`` for one judgement and its threads.

    What two threads ask for at the same moment may be asked for twice; by digest it is the same.
    """

    def __init__(self, inner: RegistryReader) -> None:
        self._inner = inner
        self._known: dict[object, object] = {}

    @property
    def manifests(self) -> dict[Digest, RawManifest]:
        """The manifests that were read, by digest."""
        known = self._known.values()
        return {answer.digest: answer for answer in known if isinstance(answer, RawManifest)}

    def resolve(self, reference: TaggedReference) -> PinnedReference:
        """Return what the tag points to."""
        return reference.pin(self.manifest(reference).digest)

    def manifest(self, reference: Reference) -> RawManifest:
        """Return a manifest; the same bytes whenever it is asked for again."""
        if isinstance(reference, TaggedReference):
            manifest = self._once(("tag", reference), lambda: self._inner.manifest(reference))
            # A second GET of the tag could bring other bytes than those that are judged (Kyverno:
            # CVE-2022-47633).
            self._known.setdefault(("digest", reference.repository, manifest.digest), manifest)
            return manifest
        key = ("digest", reference.repository, reference.digest)
        return self._once(key, lambda: self._inner.manifest(reference))

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Return a small blob."""
        key = ("blob", repository, descriptor.digest, descriptor.size, limit)
        return self._once(key, lambda: self._inner.blob(repository, descriptor, limit=limit))

    def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        """Return all that name the manifest as their subject."""
        key = ("referrers", reference.repository, reference.digest)
        return self._once(key, lambda: self._inner.referrers(reference))

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the tags of a repository."""
        return self._once(("tags", repository), lambda: self._inner.tags(repository))

    def stream(
        self, repository: Repository, descriptor: Descriptor
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Refuse: a judgement reads no layers.

        Raises:
            RegistryError: always.
        """
        raise RegistryError(f"{descriptor.digest} of {repository} is not read for a judgement")

    def _once(self, key: object, ask: Callable[[], T]) -> T:
        if key not in self._known:
            try:
                self._known[key] = ask()
            except ImagekitError as error:
                # Also a refusal: one judgement must not see two states of a registry.
                self._known[key] = error
                raise
        answer = self._known[key]
        if isinstance(answer, ImagekitError):
            raise answer
        return answer  # type: ignore[return-value]  # what was put there under this key

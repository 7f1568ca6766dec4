"""The ports: everything that imagekit needs of the world, on one page.

Each is small and named by its capability. ``imagekit.adapters`` implements them with real tools,
``tests.fakes`` in memory, and the same contract tests run on both.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from imagekit.model.face import Ruling
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference


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

"""The ports: everything that imagekit needs of the world, on one page.

Each is small and named by its capability. ``imagekit.adapters`` implements them with real tools,
``tests.fakes`` in memory, and the same contract tests run on both.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from imagekit.model.face import Ruling
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The highest that was seen under a name, and what it was."""

    sequence: int
    digest: Digest


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

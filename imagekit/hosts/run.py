"""Verify first, then pull or run exactly what was verified: ``imagekit pull``, ``imagekit run``."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference
from imagekit.verify.verdict import Judge, Verdict, allowed


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PullResult:
    """The verdict, and what was pulled where it allowed that."""

    verdict: Verdict
    reference: PinnedReference | None = None
    image: str = ""
    """The image's id in the local storage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The verdict, and how the container ended where it was started."""

    verdict: Verdict
    status: int | None = None


def pull(reference: Reference, *, judge: Judge, runtime: ContainerRuntime) -> PullResult:
    """Pull the image by the digest that was judged, if the verdict allows it.

    Raises:
        ImagekitError: no verdict was reached, or the runtime failed.
    """
    verdict = judge(reference)
    pinned = allowed(reference, verdict)
    if pinned is None:
        return PullResult(verdict=verdict)
    image = runtime.pull(pinned, among=verdict.judged)
    return PullResult(verdict=verdict, reference=pinned, image=image)


def run(
    reference: Reference,
    arguments: Sequence[str],
    *,
    judge: Judge,
    runtime: ContainerRuntime,
    show: Callable[[Verdict], None],
) -> RunResult:
    """Run the image by the digest that was judged, if the verdict allows it.

    ``show`` gets the verdict before the container starts.

    Raises:
        ImagekitError: no verdict was reached, or the runtime failed.
    """
    verdict = judge(reference)
    show(verdict)
    pinned = allowed(reference, verdict)
    if pinned is None:
        return RunResult(verdict=verdict)
    status = runtime.run(pinned, arguments, among=verdict.judged)
    return RunResult(verdict=verdict, status=status)

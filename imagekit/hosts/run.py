"""Verify first, then pull or run exactly what was verified: ``imagekit pull``, ``imagekit run``."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from msgspec import Struct

from imagekit.build.tools.podman import Podman
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference
from imagekit.verify.verdict import Judge, Verdict, allowed


class ContainerEngine(Protocol):
    """What pulls and runs containers."""

    def run(
        self, reference: PinnedReference, arguments: Sequence[str], *, among: Collection[Digest]
    ) -> int:
        """Run the image by its digest in the foreground, and return the container's exit code.

        Args:
            reference: the image or index that was judged.
            arguments: what goes to the entrypoint.
            among: the manifests that were judged, one of which it must be.
        """
        ...


class EngineOnDemand(Struct, frozen=True, kw_only=True):
    """An engine that is asked what it can only when it is to run something."""

    make: Callable[[], ContainerEngine]

    def run(
        self, reference: PinnedReference, arguments: Sequence[str], *, among: Collection[Digest]
    ) -> int:
        """Make the engine, and run by it."""
        return self.make().run(reference, arguments, among=among)


class PullResult(Struct, frozen=True, kw_only=True):
    """The verdict, and what was pulled where it allowed that."""

    verdict: Verdict
    reference: PinnedReference | None = None
    image: str = ""
    """The image's id in the local storage."""


class RunResult(Struct, frozen=True, kw_only=True):
    """The verdict, and how the container ended where it was started."""

    verdict: Verdict
    status: int | None = None


def pull(
    reference: Reference,
    *,
    judge: Judge,
    make_podman: Callable[[], Podman],
    show: Callable[[Verdict], None],
) -> PullResult:
    """Pull the image by the digest that was judged, if the verdict allows it.

    Args:
        reference: the image.
        judge: judges it.
        make_podman: returns what pulls it; to ask Podman takes a while, in which the verdict is
            shown already.
        show: gets the verdict before anything is pulled.

    Raises:
        ImagekitError: no verdict was reached, or Podman failed.
    """
    verdict = judge(reference)
    show(verdict)
    pinned = allowed(reference, verdict)
    if pinned is None:
        return PullResult(verdict=verdict)
    image = make_podman().pull(pinned, among=verdict.judged)
    return PullResult(verdict=verdict, reference=pinned, image=image)


def run(
    reference: Reference,
    arguments: Sequence[str],
    *,
    judge: Judge,
    engine: ContainerEngine,
    show: Callable[[Verdict], None],
) -> RunResult:
    """Run the image by the digest that was judged, if the verdict allows it.

    ``show`` gets the verdict before the container starts.

    Raises:
        ImagekitError: no verdict was reached, or the engine failed.
    """
    verdict = judge(reference)
    show(verdict)
    pinned = allowed(reference, verdict)
    if pinned is None:
        return RunResult(verdict=verdict)
    status = engine.run(pinned, arguments, among=verdict.judged)
    return RunResult(verdict=verdict, status=status)

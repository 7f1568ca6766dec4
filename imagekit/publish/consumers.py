"""Who must accept an image before any of its tags is written: what will pull it.

A publisher's own verifier and a node's can differ: in what their policies say, in what they can
read, and in what reaches them. A tag that moved to an image which a consumer refuses stops a site.
"""

import time
from collections.abc import Sequence
from typing import Protocol

from imagekit.errors import ImagekitError, InputError
from imagekit.oci.location import Location
from imagekit.oci.reference import PinnedReference
from imagekit.progress import Done, Failed, Progress, Started

_STAGE = "consumers"


class Consumer(Protocol):
    """Something that pulls images, or decides for what does."""

    def __str__(self) -> str:
        """Return what it is, for messages: ``skopeo``, ``the gate https://...``."""
        ...

    def check(self) -> None:
        """Look whether it can be asked at all, before anything is built.

        Raises:
            ToolNotFoundError: its program is not installed.
        """
        ...

    def ask(self, image: PinnedReference) -> None:
        """Ask for an image of a registry, by its digest.

        Raises:
            ConsumerRefusedError: it does not accept it, or gave no answer in time.
        """
        ...


def check_consumers(consumers: Sequence[Consumer], location: Location) -> None:
    """Look whether all consumers can be asked, before anything is built.

    Raises:
        InputError: the images go where no consumer finds them.
        ToolNotFoundError: a program is not installed.
    """
    if consumers and not location.is_remote:
        raise InputError(
            f"consumers are asked for images of a registry, and these go to {location.shown('')}",
            hint="leave --consumers out, or publish to a registry",
            code="publish/consumers-of-layout",
        )
    for consumer in consumers:
        consumer.check()


def ask_consumers(
    consumers: Sequence[Consumer], image: PinnedReference, *, progress: Progress
) -> None:
    """Ask all consumers, one after the other.

    Raises:
        ConsumerRefusedError: one does not accept the image.
    """
    began = time.monotonic()
    for consumer in consumers:
        progress(Started(stage=_STAGE, detail=str(consumer)))
        try:
            consumer.ask(image)
        except ImagekitError:
            seconds = time.monotonic() - began
            progress(Failed(stage=_STAGE, summary=f"{consumer} does not accept", seconds=seconds))
            raise
    if consumers:
        summary = f"accepted by {', '.join(map(str, consumers))}"
        progress(Done(stage=_STAGE, summary=summary, seconds=time.monotonic() - began))

"""What is done while an image's tests run: it is catalogued, and its blobs are sent.

Nothing names what was sent until the tests have passed: without a manifest a registry shows no
image, and removes the blobs by its next garbage collection.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

from imagekit.build.image import BuiltImage

Catalogued = TypeVar("Catalogued")
Sent = TypeVar("Sent")
Proceed = Callable[[], bool]
"""Returns whether somebody waits for what is done, and raises where it was given up."""


class Ahead(Generic[Catalogued, Sent]):
    """Both, each in a thread; whoever leaves early waits until they have stopped.

    Args:
        catalogue: returns what an image is made of.
        send: sends the blobs of an image, and asks before each piece whether to proceed.
    """

    def __init__(
        self,
        catalogue: Callable[[BuiltImage], Catalogued],
        send: Callable[[BuiltImage, Proceed], Sent],
    ) -> None:
        self._catalogue = catalogue
        self._send = send
        self._given_up, self._waited_for = threading.Event(), threading.Event()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="ahead")
        self._futures: tuple[Future[Catalogued], Future[Sent]] | None = None

    def begin(self, image: BuiltImage) -> tuple[Future[Catalogued], Future[Sent]]:
        """Begin, unless that was done."""
        if self._futures is None:
            self._futures = (
                self._threads.submit(self._catalogue, image),
                self._threads.submit(self._send, image, self._proceed),
            )
        return self._futures

    def catalogued(self, image: BuiltImage) -> Catalogued:
        """Return what the image is made of; begin, unless that was done."""
        return self.begin(image)[0].result()

    def sent(self, image: BuiltImage) -> Sent:
        """Return what was sent; begin, unless that was done."""
        self._waited_for.set()
        return self.begin(image)[1].result()

    def _proceed(self) -> bool:
        if self._given_up.is_set():
            raise _GivenUpError
        return self._waited_for.is_set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._given_up.set()
        self._threads.shutdown(cancel_futures=True)


class _GivenUpError(Exception):
    """Nobody wants what is being done any more."""

"""A socket whose reads and writes end with the time of the request that they belong to.

A socket's own timeout begins again with every byte: whoever sends one a second is waited for
without end. Here what is left of the whole time is the timeout of each read and write.
"""

import io
import socket
import time
from typing import Any

_PIECE = 64 << 10


class Limit:
    """The time that one request may take.

    Args:
        seconds: until the whole answer has to be here.
        silence: the longest time without a byte.
    """

    def __init__(self, seconds: float, *, silence: float) -> None:
        self._ends = time.monotonic() + seconds
        self._silence = silence

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._ends

    def left(self) -> float:
        """Return how many seconds the next read or write may take.

        Raises:
            TimeoutError: the time is over.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, self._silence)


class DeadlineSocket:
    """What ``http.client`` needs of a socket; ``limit`` is that of the present request."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self.limit = Limit(0, silence=0)

    def sendall(self, raw: bytes) -> None:
        """Send everything.

        Raises:
            TimeoutError: the other side does not take it in time.
        """
        left = memoryview(raw)
        while left:
            self._inner.settimeout(self.limit.left())
            left = left[self._inner.send(left[:_PIECE]) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return what the answer is read from."""
        del mode
        return io.BufferedReader(_Reading(self._inner, self.limit))

    def close(self) -> None:
        """Close it; an answer that is still being read keeps it open."""
        self._inner.close()


class _Reading(io.RawIOBase):
    def __init__(self, inner: socket.socket, limit: Limit) -> None:
        self._inner = inner
        self._limit = limit
        self._raw = inner.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._inner.settimeout(self._limit.left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()

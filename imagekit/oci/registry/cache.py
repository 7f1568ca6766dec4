"""What was read by digest, kept in this process: such an answer cannot change."""

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache

Value = TypeVar("Value")

MAX_KEPT = 64 << 20
"""Most bytes that are kept of all answers together."""
MAX_ONE = 8 << 20
"""Largest answer that is kept: one large one must not drive out all the others."""
_OVERHEAD = 1 << 10
"""What it costs to keep a value, besides its bytes: a million empty ones are not free."""


class AnswerCache(Generic[Value]):
    """The answers that were used last, of a bounded number of bytes; safe in several threads."""

    def __init__(self, *, most: int = MAX_KEPT, largest: int = MAX_ONE) -> None:
        self._largest = min(largest, most - _OVERHEAD)
        self._values: LRUCache[Hashable, tuple[Value, int]] = LRUCache(most, _cost)
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Value | None:
        """Return what is kept under a key."""
        with self._lock:
            entry = self._values.get(key)
        return None if entry is None else entry[0]

    def keep(self, key: Hashable, value: Value, *, size: int) -> None:
        """Keep a value that has so many bytes, and let go of those that were not used longest."""
        if size > self._largest:
            return
        with self._lock:
            self._values[key] = (value, size)


def _cost(entry: tuple[object, int]) -> int:
    return entry[1] + _OVERHEAD

"""What was read by digest, kept in this process: such an answer cannot change."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")

MAX_KEPT = 64 << 20
"""Most bytes that are kept of all answers together."""
MAX_ONE = 8 << 20
"""Largest answer that is kept: one large one must not drive out all the others."""
_OVERHEAD = 1 << 10
"""What it costs to keep a value, besides its bytes: a million empty ones are not free."""


class Known(Generic[Value]):
    """The answers that were used last, of a bounded number of bytes; safe in several threads."""

    def __init__(self, *, most: int = MAX_KEPT, largest: int = MAX_ONE) -> None:
        self._most = most
        self._largest = largest
        self._size = 0
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Value | None:
        """Return what is kept under a key."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def keep(self, key: Hashable, value: Value, *, size: int) -> None:
        """Keep a value that has so many bytes, and let go of those that were not used longest."""
        cost = size + _OVERHEAD
        if size > self._largest or cost > self._most:
            return
        with self._lock:
            self._size += cost - self._values.pop(key, (None, 0))[1]
            self._values[key] = (value, cost)
            while self._size > self._most:
                _, (_, freed) = self._values.popitem(last=False)
                self._size -= freed

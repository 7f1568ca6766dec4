"""Mappings that are bounded: what was used least recently goes first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """A bounded mapping, for one thread.

    Args:
        limit: the most weight that is kept.
        weigh: of one value; by default each weighs one.
    """

    def __init__(self, limit: int, weigh: Callable[[V], int] = lambda _value: 1) -> None:
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._limit = limit
        self._weigh = weigh
        self._weight = 0

    def get(self, key: K) -> V | None:
        """Return a value and note that it was used."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: K, value: V) -> None:
        """Keep a value; others go where it would be too much."""
        self.drop(key)
        weight = self._weigh(value)
        if weight > self._limit:
            return
        self._kept[key] = value
        self._weight += weight
        while self._weight > self._limit:
            _, gone = self._kept.popitem(last=False)
            self._weight -= self._weigh(gone)

    def drop(self, key: K) -> None:
        """Forget a value."""
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._weight -= self._weigh(gone)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._kept)

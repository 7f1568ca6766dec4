"""How often somebody may do something: a bucket of tokens for each, and few buckets in all."""

import time
from collections.abc import Callable, Hashable

from cachetools import LRUCache

# To be forgotten before the time, one client would need as many addresses.
_KEPT = 20_000


class RateLimit:
    """Counts what each key did; on one event loop.

    Args:
        burst: so often at once.
        per_second: so often in the long run.
        clock: seconds that only grow.
    """

    def __init__(
        self, *, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = burst
        self._rate = per_second
        self._clock = clock
        self._levels: LRUCache[Hashable, tuple[float, float]] = LRUCache(_KEPT)

    def wait(self, key: Hashable) -> float:
        """Return the seconds until once more is within the limit; none where it is now."""
        return max(0.0, (1.0 - self._level(key)) / self._rate)

    def charge(self, key: Hashable) -> float:
        """Count once more, and return the seconds by which that is too early."""
        # Bounded below: who went on while it was too early waits no longer than for a whole burst.
        level = max(self._level(key) - 1.0, -self._burst)
        self._levels[key] = (level, self._clock())
        return max(0.0, -level / self._rate)

    def _level(self, key: Hashable) -> float:
        entry = self._levels.get(key)
        if entry is None:
            return self._burst
        level, at = entry
        return min(self._burst, level + (self._clock() - at) * self._rate)

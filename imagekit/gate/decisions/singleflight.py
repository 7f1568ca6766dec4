"""Verifying: once for all who want the same, in threads that clients share fairly."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from imagekit.gate.clients import Asker
from imagekit.gate.decisions.refusals import refusing
from imagekit.gate.threads import FairThreads
from imagekit.gate.upstreams import Upstream

T = TypeVar("T")
# Judgements of one upstream at once; each may have several requests under way.
_THREADS = 8


class SingleFlight:
    """Runs work; on one event loop.

    Args:
        wait: the longest that one request waits.
        waiting: work for one client that waits.
    """

    def __init__(self, wait: timedelta, *, waiting: int) -> None:
        self._wait = wait.total_seconds()
        self._waiting = waiting
        self._threads: dict[str, FairThreads] = {}

    async def once(
        self, key: object, work: Callable[[], Awaitable[T]], *, upstream: Upstream, asker: Asker
    ) -> T:
        """Let all who want the same at once wait for one piece of work.

        Who goes away does not end the work; the others still wait for it.

        Raises:
            RequestRefusedError: the work failed, takes too long, or too much waits for the asker.
        """
        with refusing():
            return await self._of(upstream).once(key, work, asker=asker)

    async def in_thread(self, upstream: Upstream, work: Callable[[], T]) -> T:
        """Run in one of the upstream's own threads: one that is slow keeps no other from work."""
        return await self._of(upstream).call(work)

    def close(self) -> None:
        """End what runs; threads end with the requests that they are in."""
        for threads in self._threads.values():
            threads.close()

    def _of(self, upstream: Upstream) -> FairThreads:
        threads = self._threads.get(upstream.name)
        if threads is None:
            name = f"gate-{upstream.name or 'upstream'}"
            threads = FairThreads(name, _THREADS, waiting=self._waiting, wait=self._wait)
            self._threads[upstream.name] = threads
        return threads

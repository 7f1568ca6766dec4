"""Work for many who wait: one piece of work for all who want the same, in bounded threads."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

from imagekit.gate.answers import unavailable
from imagekit.gate.refusals import refusing
from imagekit.gate.upstreams import Upstream

T = TypeVar("T")
_MOST_WAITING = 512
_THREADS = 8


class Crew:
    """Runs work; on one event loop.

    Args:
        wait: the longest that one request waits.
    """

    def __init__(self, wait: timedelta) -> None:
        self._wait = wait.total_seconds()
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._running: dict[object, asyncio.Task[Any]] = {}

    async def once(self, key: object, work: Callable[[], Awaitable[T]]) -> T:
        """Let all who want the same at once wait for one piece of work.

        Who goes away does not end the work; the others still wait for it.

        Raises:
            RefusedError: the work failed, or takes too long.
        """
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= _MOST_WAITING:
                raise unavailable("too many images are being verified at once")
            task = asyncio.create_task(_awaited(work))
            self._running[key] = task
            task.add_done_callback(lambda done: self._end(key, done))
        with refusing():
            try:
                found: T = await asyncio.wait_for(asyncio.shield(task), self._wait)
            except TimeoutError as error:
                raise unavailable("verifying takes longer than usual; it goes on") from error
            return found

    async def in_thread(self, upstream: Upstream, work: Callable[[], T]) -> T:
        """Run in one of the upstream's own threads: one that is slow keeps no other from work."""
        pool = self._pools.get(upstream.name)
        if pool is None:
            pool = ThreadPoolExecutor(_THREADS, f"gate-{upstream.name or 'upstream'}")
            self._pools[upstream.name] = pool
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def close(self) -> None:
        """End what runs; threads end with the requests that they are in."""
        for task in tuple(self._running.values()):
            task.cancel()
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _end(self, key: object, done: asyncio.Task[Any]) -> None:
        self._running.pop(key, None)
        if not done.cancelled():
            # Where everybody has gone away, nobody else takes the error.
            done.exception()


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()

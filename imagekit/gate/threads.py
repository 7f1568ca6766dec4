"""Threads for one kind of work, which clients share fairly; each kind has threads of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from imagekit.gate.clients import Asker
from imagekit.gate.once import Once
from imagekit.gate.slots import FairSlots

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class FairThreads:
    """Runs work in threads, as much at once as there are threads; on one event loop.

    Args:
        name: what the threads are called.
        number: how many.
        waiting: work for one client that waits.
        wait: the most seconds that one request waits.
    """

    def __init__(
        self,
        name: str,
        number: int,
        *,
        waiting: int,
        wait: float,
    ) -> None:
        # It begins no thread before there is work.
        self._pool = ThreadPoolExecutor(number, name)
        self._slots = FairSlots(number, waiting=waiting)
        self._once = Once(wait)

    async def once(self, key: object, work: Callable[[], Awaitable[T]], *, asker: Asker) -> T:
        """Let all who want the same at once wait for one piece of work, which uses ``call``.

        Raises:
            RequestRefusedError: it takes too long (503), or too much waits (429).
        """
        return await self._once.do(key, work, slots=self._slots, asker=asker)

    async def call(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Call a function in a thread; only work that has its turn does so."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def close(self) -> None:
        """End what waits; threads end with the call that they are in."""
        self._once.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

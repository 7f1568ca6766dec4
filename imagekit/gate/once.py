"""One piece of work for all who want the same at once, in slots that are shared fairly."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from imagekit.gate.answers import unavailable
from imagekit.gate.clients import Asker
from imagekit.gate.slots import FairSlots, Ticket

T = TypeVar("T")


class _Job:
    """Work that waits or runs."""

    __slots__ = ("task", "ticket", "wanted")

    def __init__(self, ticket: Ticket, task: "asyncio.Task[Any]") -> None:
        self.ticket = ticket
        self.task = task
        self.wanted = 0


class Once:
    """Runs work; on one event loop.

    Args:
        wait: the most seconds that one request waits.
    """

    def __init__(self, wait: float) -> None:
        self._wait = wait
        self._jobs: dict[object, _Job] = {}

    async def do(
        self, key: object, work: Callable[[], Awaitable[T]], *, slots: FairSlots, asker: Asker
    ) -> T:
        """Let all who want the same wait for one piece of work.

        Who goes away does not end what runs; what only waits ends with the last who wants it.

        Args:
            key: identifies work that is the same.
            work: what is done; it may raise.
            slots: where it is done; the same for each use of the key.
            asker: who wants it.

        Raises:
            RequestRefusedError: it takes too long (503), or too much waits (429).
        """
        job = self._jobs.get(key)
        if job is None:
            job = self._begin(key, work, slots=slots, asker=asker)
        else:
            slots.join(job.ticket, asker)
        job.wanted += 1
        try:
            result: T = await asyncio.wait_for(asyncio.shield(job.task), self._wait)
        except TimeoutError as error:
            raise unavailable("verifying takes longer than usual; it goes on") from error
        finally:
            job.wanted -= 1
            if not job.wanted and not job.ticket.given.done():
                self._jobs.pop(key, None)
                job.task.cancel()
        return result

    def close(self) -> None:
        """End what runs."""
        for job in tuple(self._jobs.values()):
            job.task.cancel()

    def _begin(
        self, key: object, work: Callable[[], Awaitable[T]], *, slots: FairSlots, asker: Asker
    ) -> _Job:
        ticket = slots.enter(asker)
        job = _Job(ticket, asyncio.create_task(_in_slot(ticket, work)))
        self._jobs[key] = job
        job.task.add_done_callback(lambda _done: self._end(key, job, slots))
        return job

    def _end(self, key: object, job: _Job, slots: FairSlots) -> None:
        # Who is cancelled before its first step has no other end.
        slots.leave(job.ticket)
        if self._jobs.get(key) is job:
            del self._jobs[key]
        if not job.task.cancelled():
            # Where everybody has gone away, nobody else takes the error.
            job.task.exception()


async def _in_slot(ticket: Ticket, work: Callable[[], Awaitable[T]]) -> T:
    await ticket.given
    return await work()

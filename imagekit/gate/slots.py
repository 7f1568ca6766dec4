"""Slots for work, which go to those who wait in turn: whoever asks for much waits for himself.

What must hold:

1. No asker has all slots: some are left for others, however slow the work is.
2. A slot that becomes free goes to the asker that was served longest ago.
3. What waits is bounded for each asker, for each account, and in all. Where there is too much in
   all, it is taken from who has the most that waits.
4. Work that several want has a place in the row of each, so that nobody who asked for it before
   can hold it back.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imagekit.gate.answers import too_many
from imagekit.gate.clients import Asker

_MOST_WAITING = 2048
_ADDRESSES_OF_ACCOUNT = 4
"""An account has the places of so many addresses: many nodes may share one."""


class Ticket:
    """A place in the row, of one asker or of several who want the same."""

    __slots__ = ("askers", "given", "paid_by")

    def __init__(self, given: "asyncio.Future[None]") -> None:
        self.given = given
        """Is done when the slot is there."""
        self.askers: list[Asker] = []
        self.paid_by: Asker | None = None
        """In whose turn it was served."""


class FairSlots:
    """Slots, given to askers in turn; on one event loop.

    Args:
        slots: work that is done at once.
        waiting: work of one asker that waits.
        in_all: work of all that waits.
        most: slots that one asker may have; three quarters of them where nothing is said.
    """

    def __init__(
        self, slots: int, *, waiting: int, in_all: int = _MOST_WAITING, most: int = 0
    ) -> None:
        self._free = slots
        self._most_running = most or max(1, slots - max(1, slots // 4))
        self._waiting = waiting
        self._in_all = in_all
        self._rows: OrderedDict[Asker, deque[Ticket]] = OrderedDict()
        self._running: Counter[Asker] = Counter()
        self._accounts: Counter[str] = Counter()
        self._count = 0

    def enter(self, asker: Asker) -> Ticket:
        """Return a place in the row.

        Raises:
            RequestRefusedError: too much waits already (429).
        """
        self._check(asker)
        ticket = Ticket(asyncio.get_running_loop().create_future())
        self._put(ticket, asker)
        self._grant()
        return ticket

    def join(self, ticket: Ticket, asker: Asker) -> None:
        """Let a place be one of another asker's, too; who has no room left only waits for it."""
        full = len(self._rows.get(asker, ())) >= self._waiting or self._count >= self._in_all
        if not ticket.given.done() and asker not in ticket.askers and not full:
            self._put(ticket, asker)
            self._grant()

    @asynccontextmanager
    async def slot(self, ticket: Ticket) -> AsyncIterator[None]:
        """Wait for the slot and hold it.

        Raises:
            RequestRefusedError: the place was needed for somebody with less that waits (429).
        """
        try:
            await ticket.given
            yield
        finally:
            self.leave(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Give back a slot, or a place in the row; once more does nothing."""
        self._drop(ticket)
        asker, ticket.paid_by = ticket.paid_by, None
        if asker is None:
            return
        self._running[asker] -= 1
        if not self._running[asker]:
            del self._running[asker]
        self._free += 1
        self._grant()

    def _check(self, asker: Asker) -> None:
        own = len(self._rows.get(asker, ()))
        shared = self._accounts[asker.account] if asker.account else 0
        if own >= self._waiting or shared >= self._waiting * _ADDRESSES_OF_ACCOUNT:
            raise too_many("you wait for as much as is allowed already")
        if self._count < self._in_all:
            return
        longest = max(self._rows, key=lambda other: len(self._rows[other]))
        if len(self._rows[longest]) <= own + 1:
            raise too_many("too much waits already")
        dropped = self._rows[longest][-1]
        self._drop(dropped)
        if not dropped.given.done():
            dropped.given.set_exception(too_many("too much waits already"))
            # It is nobody's fault where whoever waited for it has gone.
            dropped.given.exception()

    def _put(self, ticket: Ticket, asker: Asker) -> None:
        self._rows.setdefault(asker, deque()).append(ticket)
        ticket.askers.append(asker)
        self._count += 1
        if asker.account:
            self._accounts[asker.account] += 1

    def _drop(self, ticket: Ticket) -> None:
        """Take a ticket out of all rows."""
        for asker in ticket.askers:
            row = self._rows[asker]
            row.remove(ticket)
            if not row:
                del self._rows[asker]
            self._count -= 1
            if asker.account:
                self._accounts[asker.account] -= 1
                if not self._accounts[asker.account]:
                    del self._accounts[asker.account]
        ticket.askers = []

    def _grant(self) -> None:
        while self._free:
            asker = next((candidate for candidate in self._rows if self._may_run(candidate)), None)
            if asker is None:
                return
            ticket = self._rows[asker][0]
            self._rows.move_to_end(asker)
            self._drop(ticket)
            if ticket.given.done():
                # Whoever waited for it was cancelled, and is about to leave.
                continue
            ticket.paid_by = asker
            self._running[asker] += 1
            self._free -= 1
            ticket.given.set_result(None)

    def _may_run(self, asker: Asker) -> bool:
        return self._running[asker] < self._most_running

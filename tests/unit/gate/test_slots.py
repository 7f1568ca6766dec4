"""Slots that are shared fairly, and what waits for them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from imagekit.gate.answers import RequestRefusedError
from imagekit.gate.clients import Asker
from imagekit.gate.once import Once
from imagekit.gate.slots import FairSlots

STRANGER, HONEST, OTHER = Asker("192.0.2.1"), Asker("192.0.2.2"), Asker("192.0.2.3")


def on_loop(work: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine."""

    async def run() -> None:
        await work()

    asyncio.run(run())


def test_one_asker_never_has_all_slots() -> None:
    """However much one asks for, another begins at once."""

    async def work() -> None:
        slots = FairSlots(4, waiting=100)
        mine = [slots.enter(STRANGER) for _ in range(50)]
        honest = slots.enter(HONEST)

        assert sum(ticket.given.done() for ticket in mine) == 3
        assert honest.given.done()

    on_loop(work)


def test_who_waits_takes_turns() -> None:
    """A slot that becomes free goes to who was served longest ago, not to who came first."""

    async def work() -> None:
        slots = FairSlots(1, waiting=100)
        running = slots.enter(OTHER)
        strangers = [slots.enter(STRANGER) for _ in range(50)]
        honest = slots.enter(HONEST)
        slots.leave(running)
        assert strangers[0].given.done()
        slots.leave(strangers[0])

        assert honest.given.done()
        assert not strangers[1].given.done()

    on_loop(work)


def test_what_waits_is_bounded_for_each_asker() -> None:
    """The next one is refused with 429 and Retry-After; another asker is not."""

    async def work() -> None:
        slots = FairSlots(1, waiting=3)
        for _ in range(4):
            slots.enter(STRANGER)
        with pytest.raises(RequestRefusedError) as caught:
            slots.enter(STRANGER)
        slots.enter(HONEST)

        assert (caught.value.status, caught.value.code) == (429, "TOOMANYREQUESTS")
        assert int(caught.value.headers["Retry-After"]) > 0

    on_loop(work)


def test_what_waits_is_bounded_for_each_account() -> None:
    """An account has no more because it asks from many addresses."""

    async def work() -> None:
        slots = FairSlots(1, waiting=2)
        slots.enter(OTHER)
        for number in range(8):
            slots.enter(Asker(f"192.0.2.{10 + number}", "robot"))
        with pytest.raises(RequestRefusedError):
            slots.enter(Asker("192.0.2.99", "robot"))
        slots.enter(Asker("192.0.2.99", "alice"))

    on_loop(work)


def test_too_much_in_all_is_taken_from_who_has_the_most() -> None:
    """Who asks for little is let in where a flood has filled everything."""

    async def work() -> None:
        slots = FairSlots(1, waiting=100, in_all=10)
        slots.enter(OTHER)
        strangers = [slots.enter(STRANGER) for _ in range(10)]
        honest = slots.enter(HONEST)

        with pytest.raises(RequestRefusedError):
            await strangers[-1].given
        assert not honest.given.done()
        with pytest.raises(RequestRefusedError):
            slots.enter(STRANGER)

    on_loop(work)


def test_who_joins_waits_in_an_own_row() -> None:
    """Work that a flood asked for before is done when the honest one's turn comes."""

    async def work() -> None:
        slots = FairSlots(1, waiting=100)
        running = slots.enter(OTHER)
        strangers = [slots.enter(STRANGER) for _ in range(50)]
        slots.join(strangers[-1], HONEST)
        slots.leave(running)
        slots.leave(strangers[0])

        assert strangers[-1].given.done()
        slots.leave(strangers[-1])
        assert strangers[1].given.done()

    on_loop(work)


def test_a_slot_is_given_back_once() -> None:
    """Who leaves twice gives back one slot, and who never had one gives back none."""

    async def work() -> None:
        slots = FairSlots(1, waiting=100)
        first, second, third = (slots.enter(each) for each in (HONEST, STRANGER, OTHER))
        slots.leave(first)
        slots.leave(first)
        assert [second.given.done(), third.given.done()] == [True, False]
        slots.leave(third)
        slots.leave(second)

        assert slots.enter(HONEST).given.done()

    on_loop(work)


def test_who_is_cancelled_takes_no_slot() -> None:
    """Not even where the slot comes before the cancelled one has left."""

    async def work() -> None:
        slots = FairSlots(1, waiting=100, in_all=4)
        running = slots.enter(OTHER)
        tickets = [slots.enter(STRANGER) for _ in range(4)]
        for ticket in tickets:
            ticket.given.cancel()
        honest = slots.enter(HONEST)
        slots.leave(running)
        for ticket in tickets:
            slots.leave(ticket)

        assert honest.given.done()
        slots.leave(honest)
        assert slots.enter(STRANGER).given.done()

    on_loop(work)


def test_once_for_all_who_want_the_same() -> None:
    """One piece of work, whoever asks; the next time it is done anew."""

    async def work() -> None:
        once, slots, done = Once(10), FairSlots(2, waiting=10), 0

        async def count() -> int:
            nonlocal done
            done += 1
            await asyncio.sleep(0)
            return done

        both = (once.do("x", count, slots=slots, asker=each) for each in (HONEST, STRANGER))
        assert await asyncio.gather(*both) == [1, 1]
        assert await once.do("x", count, slots=slots, asker=HONEST) == 2

    on_loop(work)


def test_what_nobody_wants_any_more_is_not_done() -> None:
    """Who asks and goes away again leaves nothing in the row."""

    async def work() -> None:
        once, slots, begun = Once(10), FairSlots(1, waiting=10), []
        running = slots.enter(OTHER)

        async def note() -> None:
            begun.append(1)

        for number in range(30):
            task = asyncio.create_task(once.do(number, note, slots=slots, asker=STRANGER))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)
        slots.leave(running)
        await asyncio.sleep(0.01)

        assert begun == []

    on_loop(work)


def test_what_runs_goes_on_where_its_asker_went_away() -> None:
    """Its slot is taken until it is done: a thread cannot be ended."""

    async def work() -> None:
        once, slots, end = Once(0.01), FairSlots(1, waiting=10), asyncio.Event()

        async def wait() -> None:
            await end.wait()

        with pytest.raises(RequestRefusedError) as caught:
            await once.do("x", wait, slots=slots, asker=HONEST)
        assert caught.value.status == 503
        later = slots.enter(OTHER)
        assert not later.given.done()
        end.set()
        await asyncio.sleep(0.01)

        assert later.given.done()

    on_loop(work)

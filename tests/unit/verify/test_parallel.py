"""Many things at once: in order, bounded, and ended by the first fault."""

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from imagekit.verify.parallel import in_order

WAIT = 10


@pytest.mark.parametrize("at_once", [1, 3, 16])
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_results_have_the_order_of_the_items(at_once: int, count: int) -> None:
    """Whoever is ready first waits for those before."""

    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3 == 0))
        return item * item

    assert list(in_order(work, range(count), at_once=at_once)) == [n * n for n in range(count)]


def test_as_many_as_asked_for_are_under_way() -> None:
    """Four that wait for each other can only end together."""
    together = threading.Barrier(4)

    assert list(in_order(lambda _: together.wait(WAIT), range(4), at_once=4))


def test_no_more_than_asked_for_are_under_way() -> None:
    """A registry is not asked by more at once than was promised."""
    busy, most, lock = 0, 0, threading.Lock()

    def work(_: int) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.001)
        with lock:
            busy -= 1

    list(in_order(work, range(60), at_once=3))

    assert most == 3


def test_one_at_a_time_starts_no_thread() -> None:
    """Who is asked for one thing at a time is asked in the caller's own thread."""
    threads = set(in_order(lambda _: threading.get_ident(), range(5), at_once=1))

    assert threads == {threading.get_ident()}


def test_a_fault_is_raised_in_its_place() -> None:
    """What came before is there, and what comes after is not begun for long."""
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise KeyError(item)
        return item

    with pytest.raises(KeyError):
        list(in_order(work, range(10_000), at_once=2))
    time.sleep(0.05)

    assert len(begun) < 50


def test_an_interrupt_waits_for_nobody() -> None:
    """Who presses Ctrl-C is in the caller's thread, and others may be busy for a minute."""
    caller, busy, late = threading.get_ident(), threading.Event(), threading.Event()

    def work(item: int) -> None:
        if threading.get_ident() != caller:
            busy.set()
            late.wait(WAIT)
            return
        busy.wait(WAIT)
        if item:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(in_order(work, range(4), at_once=2))
    late.set()

    assert time.monotonic() - began < WAIT / 2


def test_the_results_before_a_fault_are_given() -> None:
    """The first three are good, whoever was quicker."""

    def work(item: int) -> int:
        time.sleep(0.01 * (item < 3))
        return 1 // (3 - item)

    results = in_order(work, range(10), at_once=5)

    assert list(itertools.islice(results, 3)) == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_endless_list_is_taken_as_results_are() -> None:
    """Ten thousand references cost no more memory than what is under way."""
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield number

    results = in_order(lambda item: item, items(), at_once=4)
    assert list(itertools.islice(results, 5)) == [0, 1, 2, 3, 4]
    time.sleep(0.05)

    assert taken <= 5 + 4 * 4 + 4


def test_a_list_that_breaks_is_a_fault_and_no_wait() -> None:
    """What the list of items raises is raised, and nobody waits for ever."""

    def items() -> Iterator[int]:
        yield from range(5)
        raise KeyError

    with pytest.raises(KeyError):
        list(in_order(lambda item: item, items(), at_once=2))

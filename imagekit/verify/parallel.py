"""Many things at once, with what comes of each in the order in which they were given.

Only as much is begun as the reader of the results can soon take: a list of ten thousand images
costs no more memory than one of a hundred.

``concurrent.futures`` was tried over the same tests, with a window of futures. It is shorter, and
two things speak against it. Its import (with ``logging`` and ``queue``) is part of every cold
verify, which always looks in two lists at once: of 40 runs in turn the median grew by 14 %. And
Python waits for the threads of an executor before it exits, also after
``shutdown(wait=False)``: after Ctrl-C for 7 s where a request took 8 s, here not at all.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Generic, NoReturn, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4
"""How many results may wait for an earlier one, for each thread."""


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], *, at_once: int
) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in the order of the items.

    What ``work`` raises is raised in its place; of what comes after, nothing new is begun.

    Args:
        work: what to do; called in several threads.
        items: they are taken one by one, as there is room.
        at_once: how many are worked on at the same time. The caller's thread is one of those who
            work; with 1 no other is started.
    """
    rest = iter(items)
    first = list(islice(rest, at_once))
    taken = chain(first, rest)
    if len(first) <= 1:
        return map(work, taken)
    return _Workers(work, taken, members=len(first)).results()


class _Workers(Generic[Item, Result]):
    """Threads that take items and leave what came of them."""

    def __init__(
        self, work: Callable[[Item], Result], items: Iterator[Item], *, members: int
    ) -> None:
        self._work = work
        self._items = items
        self._members = members
        self._taken = 0
        self._given = 0
        self._ended = False
        self._done: dict[int, Callable[[], Result]] = {}
        lock = threading.Lock()
        self._room = threading.Condition(lock)
        self._news = threading.Condition(lock)

    def results(self) -> Iterator[Result]:
        """Yield the results in order."""
        # Nobody waits for those that are still busy when the reader has seen enough: a request
        # may take a minute, and its answer is of no use any more.
        for _ in range(self._members - 1):
            threading.Thread(target=self._serve, daemon=True).start()
        try:
            while (outcome := self._next()) is not None:
                yield outcome()
        finally:
            with self._room:
                self._end()

    def _next(self) -> Callable[[], Result] | None:
        """Return the next result, or None behind the last. Whoever waits for one works besides."""
        number = self._given
        while number not in self._done and (job := self._take()) is not None:
            # Ctrl-C is for this thread, and what the others are at is of no use after it.
            self._do(*job, kept=Exception)
        with self._news:
            while number not in self._done and not (self._ended and number == self._taken):
                self._news.wait()
            self._given += 1
            self._room.notify()
            return self._done.pop(number, None)

    def _serve(self) -> None:
        while (job := self._take(wait=True)) is not None:
            self._do(*job, kept=BaseException)

    def _do(self, number: int, item: Item, *, kept: type[BaseException]) -> None:
        """Do the work and leave what came of it; raise at once what is not ``kept`` for later."""
        outcome = _outcome(self._work, item, kept)
        with self._news:
            self._done[number] = outcome
            self._news.notify()

    def _take(self, *, wait: bool = False) -> tuple[int, Item] | None:
        """Return the next item and its number; None where there is none, or no room for more."""
        with self._room:
            while wait and not self._ended and self._is_full:
                self._room.wait()
            if self._ended or self._is_full:
                return None
            number = self._taken
            try:
                item = next(self._items)
            except StopIteration:
                self._end()
                return None
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
                self._done[number] = _raising(error)
                self._taken += 1
                self._end()
                return None
            self._taken += 1
            return number, item

    @property
    def _is_full(self) -> bool:
        return self._taken - self._given >= self._members * _AHEAD

    def _end(self) -> None:
        self._ended = True
        self._room.notify_all()
        self._news.notify()


def _outcome(
    work: Callable[[Item], Result], item: Item, kept: type[BaseException]
) -> Callable[[], Result]:
    """Do the work, and return what gives its result or raises what it raised."""
    try:
        result = work(item)
    except kept as error:
        return _raising(error)
    return lambda: result


def _raising(error: BaseException) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail

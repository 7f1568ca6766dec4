"""Doing the work of a graph: several at once, each when what it stands on has succeeded.

What one of them raises ends that one, and what stands on it is skipped; all else goes on. Ctrl-C
ends all that run, waits for their end, and what came of each is still returned.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, Literal, TypeVar

from msgspec import Struct

from imagekit.graph.graph import Graph, Key
from imagekit.graph.schedule import Schedule

Result = TypeVar("Result")
Ending = Literal["done", "failed", "skipped", "interrupted"]
_TICK = 0.5
"""Seconds after which Ctrl-C is seen that came just before this thread began to wait."""
_SECONDS_TO_END = 90.0
"""How long those that run are waited for after Ctrl-C: a worker has 60 s to unmount and remove."""


class WorkOutcome(Struct, Generic[Key, Result], frozen=True, kw_only=True):
    """What came of one."""

    key: Key
    ending: Ending
    """``skipped`` where it was not begun, as something failed that it stands on, or by Ctrl-C."""
    result: Result | None = None
    """What the work returned, where it is ``done``."""
    error: BaseException | None = None
    """What the work raised, where it ``failed``."""
    because: tuple[Key, ...] = ()
    """What failed below one that was skipped."""
    seconds: float = 0.0


class GraphOptions(Struct, Generic[Key, Result], frozen=True, kw_only=True):
    """How the work is done."""

    jobs: int = 1
    """How many are worked on at once."""
    has_room: Callable[[], bool] = lambda: True
    """Asked before one more is begun beside those that run."""
    stop: Callable[[], None] = lambda: None
    """Ends, after Ctrl-C, what the threads wait for."""
    told: Callable[[WorkOutcome[Key, Result]], None] = lambda _: None
    """Gets each outcome as it comes, in the calling thread."""


def run_graph(
    graph: Graph[Key],
    work: Callable[[Key], Result],
    options: GraphOptions[Key, Result] | None = None,
) -> Mapping[Key, WorkOutcome[Key, Result]]:
    """Do the work of every key, and return what came of each, in the order of the graph.

    Args:
        graph: what stands on what.
        work: does one; called in threads of its own where there can be several at once.
        options: how.
    """
    return _GraphRun(graph, work, options or GraphOptions()).run()


def is_interrupted(outcomes: Mapping[Key, WorkOutcome[Key, Result]]) -> bool:
    """Return whether Ctrl-C ended the run."""
    return any(outcome.ending == "interrupted" for outcome in outcomes.values())


class _GraphRun(Generic[Key, Result]):
    """One run of a graph."""

    def __init__(
        self, graph: Graph[Key], work: Callable[[Key], Result], options: GraphOptions[Key, Result]
    ) -> None:
        self._graph, self._work, self._options = graph, work, options
        self._schedule = Schedule(graph)
        # Where one is done after the other, it is done by the thread that was called: what only
        # that one can do (signals, a question at the terminal) works as for a single recipe.
        self._threads = options.jobs > 1 and len(graph.needs) > 1
        self._running: set[Key] = set()
        # What ended stays here: of a queue, Ctrl-C would lose what was just taken out.
        self._ended: dict[Key, WorkOutcome[Key, Result]] = {}
        self._news = threading.Event()
        self._outcomes: dict[Key, WorkOutcome[Key, Result]] = {}

    def run(self) -> Mapping[Key, WorkOutcome[Key, Result]]:
        """Begin and finish, until all are done."""
        try:
            while self._begin_some():
                for outcome in self._wait():
                    self._finish(outcome)
                if is_interrupted(self._outcomes):
                    self._stop()
                    break
        except KeyboardInterrupt:
            self._stop()
        for key in self._graph.needs:
            if key not in self._outcomes:
                ending: Ending = "interrupted" if key in self._running else "skipped"
                self._tell(WorkOutcome(key=key, ending=ending))
        return {key: self._outcomes[key] for key in self._graph.needs}

    def _begin_some(self) -> bool:
        """Begin as many as there is room for; return whether any runs."""
        while len(self._running) < self._options.jobs:
            if self._running and not self._options.has_room():
                break
            key = self._schedule.take()
            if key is None:
                break
            self._running.add(key)
            if not self._threads:
                self._do(key)
                break
            # NOTE: daemons, so that a second Ctrl-C ends this process at once; what they run sees
            # that its standard input is closed.
            threading.Thread(target=self._do, args=(key,), daemon=True).start()
        return bool(self._running)

    def _do(self, key: Key) -> None:
        began = time.monotonic()
        ending: Ending = "done"
        result: Result | None = None
        error: BaseException | None = None
        try:
            result = self._work(key)
        except KeyboardInterrupt:
            ending = "interrupted"
        except BaseException as fault:  # noqa: BLE001 - a thread has no caller: it is in the outcome
            ending, error = "failed", fault
        seconds = time.monotonic() - began
        self._ended[key] = WorkOutcome(
            key=key, ending=ending, result=result, error=error, seconds=seconds
        )
        self._news.set()

    def _wait(self) -> list[WorkOutcome[Key, Result]]:
        """Wait a while, and return what ended."""
        self._news.wait(_TICK)
        self._news.clear()
        return [self._ended[key] for key in tuple(self._running) if key in self._ended]

    def _finish(self, outcome: WorkOutcome[Key, Result]) -> None:
        self._tell(outcome)
        self._running.discard(outcome.key)
        succeeded = outcome.ending == "done"
        for key, because in self._schedule.finish(outcome.key, succeeded=succeeded):
            self._tell(WorkOutcome(key=key, ending="skipped", because=because))

    def _tell(self, outcome: WorkOutcome[Key, Result]) -> None:
        self._outcomes[outcome.key] = outcome
        self._options.told(outcome)

    def _stop(self) -> None:
        """End what runs and take what comes of it; a second Ctrl-C waits no longer."""
        self._options.stop()
        end = time.monotonic() + _SECONDS_TO_END
        try:
            while self._running and time.monotonic() < end:
                for outcome in self._wait():
                    self._tell(outcome)
                    self._running.discard(outcome.key)
        except KeyboardInterrupt:
            return

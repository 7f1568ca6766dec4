"""Several at once: what runs beside what, what is skipped, and what Ctrl-C leaves."""

import signal
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.graph.graph import graph_of
from imagekit.graph.run_graph import GraphOptions, WorkOutcome, run_graph

FIVE = graph_of({"base": (), "a": ("base",), "b": ("base",), "c": ("a",), "lone": ()})
_LONG = 30.0


def _failing(*names: str) -> Callable[[str], str]:
    def work(key: str) -> str:
        if key in names:
            raise ValueError(key)
        return key.upper()

    return work


@pytest.mark.parametrize("jobs", [1, 2, 9])
def test_a_failure_skips_what_stands_on_it_and_nothing_else(jobs: int) -> None:
    """The error is in the outcome, and those that are skipped say because of what."""
    outcomes = run_graph(FIVE, _failing("a"), GraphOptions(jobs=jobs))

    assert list(outcomes) == ["base", "a", "b", "c", "lone"]
    assert {key: outcome.ending for key, outcome in outcomes.items()} == {
        "base": "done",
        "a": "failed",
        "b": "done",
        "c": "skipped",
        "lone": "done",
    }
    assert isinstance(outcomes["a"].error, ValueError)
    assert outcomes["c"].because == ("a",)
    assert outcomes["b"].result == "B"


@given(jobs=st.integers(1, 4))
def test_no_more_run_at_once_than_is_allowed(jobs: int) -> None:
    """And as many as that do, where they can."""
    lock, now, most = threading.Lock(), 0, 0
    together = threading.Barrier(min(jobs, 4))

    def work(_: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(_LONG)
        with lock:
            now -= 1

    outcomes = run_graph(graph_of(dict.fromkeys(range(12), ())), work, GraphOptions(jobs=jobs))

    assert {outcome.ending for outcome in outcomes.values()} == {"done"}
    assert most == jobs


def test_what_stands_on_a_base_begins_as_soon_as_that_is_ready() -> None:
    """It does not wait for others of the base's level."""
    begun = threading.Event()

    def work(key: str) -> None:
        if key == "a":
            begun.set()
        if key == "lone":
            assert begun.wait(_LONG)

    outcomes = run_graph(FIVE, work, GraphOptions(jobs=2))

    assert outcomes["lone"].ending == "done"


def test_without_room_there_is_one_at_a_time() -> None:
    """One always runs: else nothing would ever be done."""
    lock = threading.Lock()

    def work(_: str) -> None:
        assert lock.acquire(blocking=False)
        time.sleep(0.01)
        lock.release()

    outcomes = run_graph(FIVE, work, GraphOptions(jobs=4, has_room=lambda: False))

    assert {outcome.ending for outcome in outcomes.values()} == {"done"}


def test_one_at_a_time_is_done_by_the_calling_thread() -> None:
    """It alone can set signals and is interrupted by Ctrl-C."""
    threads = set[threading.Thread]()

    run_graph(FIVE, lambda _: threads.add(threading.current_thread()))

    assert threads == {threading.current_thread()}


def test_each_outcome_is_told_once_as_it_comes() -> None:
    """In the thread of the caller, skipped ones too."""
    told = list[tuple[str, str]]()

    def tell(outcome: WorkOutcome[str, str]) -> None:
        assert threading.current_thread() is threading.main_thread()
        told.append((outcome.key, outcome.ending))

    outcomes = run_graph(FIVE, _failing("base"), GraphOptions(jobs=2, told=tell))

    assert sorted(told) == sorted((key, outcome.ending) for key, outcome in outcomes.items())
    assert dict(told)["c"] == "skipped"
    assert outcomes["c"].because == ("base",)


def test_ctrl_c_ends_what_runs_and_says_what_was_done() -> None:
    """What was done stays done, what runs is waited for, and nothing new is begun."""
    begun, stopped = threading.Barrier(3), threading.Event()

    def work(key: str) -> str:
        if key == "base":
            return "ready"
        begun.wait(_LONG)
        assert stopped.wait(_LONG)
        raise KeyboardInterrupt

    _interrupt_when(begun)
    outcomes = run_graph(
        graph_of({"base": (), "a": ("base",), "b": ("base",), "c": ("base",)}),
        work,
        GraphOptions(jobs=2, stop=stopped.set),
    )

    assert {key: outcome.ending for key, outcome in outcomes.items()} == {
        "base": "done",
        "a": "interrupted",
        "b": "interrupted",
        "c": "skipped",
    }


def _interrupt_when(begun: threading.Barrier) -> None:
    """Have this thread interrupted when two are at work, as Ctrl-C does: by the signal."""

    def interrupt() -> None:
        begun.wait(_LONG)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()


def test_ctrl_c_in_the_calling_thread_is_an_outcome_too() -> None:
    """With one at a time the work itself is interrupted."""

    def work(key: str) -> str:
        if key == "a":
            raise KeyboardInterrupt
        return key

    outcomes = run_graph(FIVE, work)

    assert outcomes["base"].ending == "done"
    assert outcomes["a"].ending == "interrupted"
    assert outcomes["c"].ending == "skipped"
    assert outcomes["b"].ending == "skipped"


def test_what_finished_in_spite_of_ctrl_c_is_done() -> None:
    """It was published, whatever was asked meanwhile."""
    begun, stopped = threading.Barrier(3), threading.Event()
    _interrupt_when(begun)

    def work(_: str) -> str:
        begun.wait(_LONG)
        assert stopped.wait(_LONG)
        return "published"

    outcomes = run_graph(graph_of({"a": (), "b": ()}), work, GraphOptions(jobs=2, stop=stopped.set))

    assert [outcome.result for outcome in outcomes.values()] == ["published", "published"]

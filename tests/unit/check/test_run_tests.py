"""Running the cases of tests one after the other, and what is reported."""

from collections.abc import Callable

import pytest

from imagekit.build.job import Trial, TrialOutcome
from imagekit.check.cases import CommandCase, command_case
from imagekit.check.run_tests import run_tests
from imagekit.errors import BuildError, ToolError, ToolTimeoutError
from imagekit.progress import Done, Event, Failed
from imagekit.recipe.recipe import Recipe
from tests.unit.check.conftest import Tested

TWO = "  - {run: [first]}\n  - {run: [other], name: second}\n"


class _Runtime:
    """Runs nothing, and says how it went."""

    def __init__(self, answer: Callable[[Trial], TrialOutcome]) -> None:
        self.answer = answer
        self.asked: list[Trial] = []

    def run(self, trial: Trial) -> TrialOutcome:
        """Answer."""
        self.asked.append(trial)
        return self.answer(trial)


def _ran(status: int) -> TrialOutcome:
    return TrialOutcome(status=status, stdout="out\n", stderr="err\n")


def _cases(recipe: Recipe) -> list[CommandCase]:
    return [command_case(test, longest=3600) for test in recipe.tests]


def _run(tested: Tested, runtime: _Runtime) -> list[Event]:
    recipe, image = tested(TWO)
    events: list[Event] = []
    run_tests(image, _cases(recipe), runtime, progress=events.append)
    return events


def test_all_are_run_in_their_order(tested: Tested) -> None:
    """And one event says how many passed."""
    runtime = _Runtime(lambda _: _ran(0))

    events = _run(tested, runtime)

    assert [trial.command for trial in runtime.asked] == [("first",), ("other",)]
    assert [event.summary for event in events if isinstance(event, Done)] == ["2 of 2 passed"]


def test_the_first_that_fails_ends_it(tested: Tested) -> None:
    """With its name, how it ended, what it wrote and its place in the recipe."""
    runtime = _Runtime(lambda trial: _ran(int(trial.command == ("other",))))

    with pytest.raises(BuildError) as caught:
        _run(tested, runtime)

    error = caught.value
    assert error.message == "test 2 of 2, `second`: ended with 1, expected 0"
    assert (error.code, error.status, error.output) == ("check/test-failed", 1, "out\nerr")
    assert error.diagnostic is not None
    assert error.diagnostic.source == "  - {run: [other], name: second}"


def test_one_that_takes_too_long_has_failed(tested: Tested) -> None:
    """It is no fault of a tool: the others are not run, and the test is named."""

    def slow(trial: Trial) -> TrialOutcome:
        raise ToolTimeoutError("podman was stopped", output="as far as it came")

    runtime, events = _Runtime(slow), list[Event]()
    recipe, image = tested(TWO)

    with pytest.raises(BuildError, match="`first`: it took longer than 3600 s") as caught:
        run_tests(image, _cases(recipe), runtime, progress=events.append)

    assert caught.value.output == "as far as it came"
    assert isinstance(events[-1], Failed)
    assert len(runtime.asked) == 1


def test_one_that_cannot_be_run_ends_the_stage(tested: Tested) -> None:
    """What shows the stages says which one it was, and the error is that of the host."""

    def broken(trial: Trial) -> TrialOutcome:
        raise ToolError("no ids", code="NO_SUBORDINATE_IDS")

    events = list[Event]()
    recipe, image = tested(TWO)

    with pytest.raises(ToolError) as caught:
        run_tests(image, _cases(recipe), _Runtime(broken), progress=events.append)

    assert caught.value.code == "NO_SUBORDINATE_IDS"
    assert isinstance(events[-1], Failed)
    assert (events[-1].stage, events[-1].summary) == ("tests", "no ids")

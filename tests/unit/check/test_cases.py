"""What a recipe's tests come to, and when one of them holds."""

import pytest

from imagekit.build.job import SignalEnd, Trial, TrialOutcome
from imagekit.check.cases import CommandCase, command_case
from imagekit.recipe.image_test import EndSignal
from tests.unit.check.conftest import Tested


def _case(tested: Tested, test: str) -> CommandCase:
    recipe, _ = tested(f"  - {{{test}}}\n")
    return command_case(recipe.tests[0], longest=recipe.time_limit)


def _fault(
    case: CommandCase,
    status: int = 0,
    *,
    stdout: str = "",
    stderr: str = "",
    end: SignalEnd | None = None,
) -> str:
    return case.judge(TrialOutcome(status=status, stdout=stdout, stderr=stderr, end=end))


def test_a_test_is_run_as_strictly_as_on_a_cluster(tested: Tested) -> None:
    """By a user whom no image knows, on a read-only root, without a network, as long as a step."""
    case = _case(tested, "run: make check")

    assert case.name == "make check"
    assert case.trial == Trial(
        command=("/bin/sh", "-c", "make check"), user="48211:48211", limit=3600.0
    )


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("user: image", "user", ""),
        ("user: arbitrary", "user", "48211:48211"),
        ('user: "12345:12345"', "user", "12345:12345"),
        ("read_only: false", "read_only", False),
        ("network: host", "network", True),
        ("network: none", "network", False),
        ("time_limit: 2m", "limit", 120.0),
        (
            "signal: {within: 5s, send: INT, after: 3}",
            "signal",
            EndSignal(name="INT", after=3, within=5),
        ),
        ("signal: {within: 5}", "signal", EndSignal(name="TERM", after=1, within=5)),
    ],
)
def test_each_word_changes_one_thing(tested: Tested, words: str, field: str, value: object) -> None:
    """Whatever is not said stays the strictest."""
    trial = _case(tested, f"args: [x], name: n, {words}").trial

    strictest = Trial(command=("x",), around_entrypoint=False, user="48211:48211", limit=3600.0)
    differing = {
        name for name in Trial.__struct_fields__ if getattr(trial, name) != getattr(strictest, name)
    }
    assert getattr(trial, field) == value
    assert differing <= {field}


def test_the_exit_code_and_the_outputs_must_fit(tested: Tested) -> None:
    """Each alone is a fault."""
    case = _case(tested, "run: [a], exit_code: 2, stdout: ^out$, stderr: err")

    assert _fault(case, 2, stdout="out", stderr="the err") == ""
    assert _fault(case, 0, stdout="out", stderr="err") == "ended with 0, expected 2"
    assert _fault(case, 2, stdout="", stderr="err") == "its stdout does not match '^out$'"
    assert _fault(case, 2, stdout="out") == "its stderr does not match 'err'"


@pytest.mark.parametrize("status", [0, 143])
def test_a_signal_ends_a_program_in_time(tested: Tested, status: int) -> None:
    """By itself, or by what the signal does to a program that knows nothing of it."""
    assert _fault(_case(tested, "args: [x], signal: {within: 5}"), status, end="ended") == ""


@pytest.mark.parametrize(
    ("end", "status", "fault"),
    [
        ("late", 137, "it still ran 5 s after SIGTERM"),
        ("late", 0, "it still ran 5 s after SIGTERM"),
        ("early", 0, "it ended with 0 before SIGTERM was sent"),
        (None, 0, "it ended with 0 before SIGTERM was sent"),
        ("ended", 1, "ended with 1, expected 0 or 143"),
        ("ended", 137, "ended with 137, expected 0 or 143"),
    ],
)
def test_a_signal_that_does_not_is_a_fault(
    tested: Tested, end: SignalEnd | None, status: int, fault: str
) -> None:
    """Whatever the exit code of a program that was killed or had ended before."""
    assert _fault(_case(tested, "args: [x], signal: {within: 5}"), status, end=end) == fault


def test_an_exit_code_that_is_stated_is_the_only_one(tested: Tested) -> None:
    """Also where a signal ends it."""
    case = _case(tested, "args: [x], exit_code: 143, signal: {within: 5}")

    assert _fault(case, 143, end="ended") == ""
    assert _fault(case, 0, end="ended") == "ended with 0, expected 143"

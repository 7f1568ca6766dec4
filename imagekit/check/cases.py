"""The cases that a recipe's tests come to, and when a command of one has failed."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import assert_never

from msgspec import Struct

from imagekit.build.job import Trial, TrialOutcome
from imagekit.documents.place import SourcePlace
from imagekit.recipe.image_test import ARBITRARY, OF_IMAGE, ImageTest

TEST_USER = "48211:48211"
"""Whom tests run as by default: one whom no image knows, as on a cluster."""
_USERS = {ARBITRARY: TEST_USER, OF_IMAGE: ""}
"""Podman's words for users who have no number or name."""
_LONGEST = 400


class CommandCase(Struct, frozen=True, kw_only=True):
    """A command that is run in the image."""

    name: str
    place: SourcePlace
    trial: Trial
    judge: Callable[[TrialOutcome], str]
    """Returns what is wrong with how it ended, or nothing."""


class LookCase(Struct, frozen=True, kw_only=True):
    """Something that is looked at in the image, and for which nothing of it is run."""

    name: str
    place: SourcePlace
    look: Callable[[], str]
    """Returns what is wrong, or nothing."""


Case = CommandCase | LookCase


def command_case(test: ImageTest, *, longest: int) -> CommandCase:
    """Return the case of a test that is one command.

    Args:
        test: the test.
        longest: seconds that it may take, where it does not say it itself.
    """
    return CommandCase(
        name=test.name or _words(test),
        place=test.place,
        trial=trial_of(test, _argv(test), longest=longest),
        judge=lambda ran: judge(test, ran),
    )


def trial_of(test: ImageTest, command: tuple[str, ...], *, longest: int, user: str = "") -> Trial:
    """Return how a command of a test is run.

    Args:
        test: says how.
        command: the command, or what goes to the entrypoint.
        longest: seconds that it may take, where the test does not say it.
        user: whom it runs as, instead of whom the test says; empty for that one.
    """
    return Trial(
        command=command,
        around_entrypoint=test.args is None,
        user=_USERS.get(user or test.user, user or test.user),
        read_only=test.read_only,
        network=test.network,
        signal=test.signal,
        limit=float(test.time_limit or longest),
    )


def judge(test: ImageTest, ran: TrialOutcome) -> str:
    """Return what is wrong with how a test ended, or nothing."""
    return (
        _end_fault(test, ran)
        or status_fault(ran.status, test.exit_codes)
        or next(_unmatched(test, ran), "")
    )


def _end_fault(test: ImageTest, ran: TrialOutcome) -> str:
    signal = test.signal
    if signal is None:
        return ""
    match ran.end:
        case "ended":
            return ""
        case "late":
            return f"it still ran {signal.within} s after SIG{signal.name}"
        case "early" | None:
            return f"it ended with {ran.status} before SIG{signal.name} was sent"
    assert_never(ran.end)


def status_fault(status: int, expected: Sequence[int]) -> str:
    """Return what is wrong with an exit code, or nothing."""
    if status in expected:
        return ""
    return f"ended with {status}, expected {' or '.join(map(str, expected))}"


def _unmatched(test: ImageTest, ran: TrialOutcome) -> Iterator[str]:
    for name, wanted, got in (
        ("stdout", test.stdout, ran.stdout),
        ("stderr", test.stderr, ran.stderr),
    ):
        if wanted is not None and re.search(wanted, got) is None:
            yield f"its {name} does not match {wanted!r}"


def _argv(test: ImageTest) -> tuple[str, ...]:
    if test.args is not None:
        return test.args
    return ("/bin/sh", "-c", test.run) if isinstance(test.run, str) else test.run or ()


def _words(test: ImageTest) -> str:
    command = test.args if test.args is not None else test.run
    text = command if isinstance(command, str) else " ".join(command or ())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."

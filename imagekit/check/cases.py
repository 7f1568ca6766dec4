"""What a recipe's tests come to: one case after the other, each with the name of a test."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import assert_never

from msgspec import Struct

from imagekit.build.job import Trial, TrialOutcome
from imagekit.documents.place import SourcePlace
from imagekit.recipe.image_test import ARBITRARY, OF_IMAGE, ImageTest
from imagekit.recipe.recipe import Recipe

TEST_USER = "48211:48211"
"""Whom tests run as by default: one whom no image knows, as on a cluster."""
_LONGEST = 400


class CommandCase(Struct, frozen=True, kw_only=True):
    """A command that is run in the image."""

    name: str
    place: SourcePlace
    trial: Trial
    judge: Callable[[TrialOutcome], str]
    """Returns what is wrong with how it ended, or nothing."""


def cases_of(recipe: Recipe) -> tuple[CommandCase, ...]:
    """Return the cases of all tests of a recipe, in their order."""
    return tuple(_command(test, recipe.time_limit) for test in recipe.tests)


def judge(test: ImageTest, ran: TrialOutcome) -> str:
    """Return what is wrong with how a test ended, or nothing."""
    return (
        _end_fault(test, ran)
        or _status_fault(ran.status, test.exit_codes)
        or next(_unmatched(test, ran), "")
    )


def user_of(stated: str) -> str:
    """Return whom a test is run as, as Podman is told; empty for the image's own user."""
    return {ARBITRARY: TEST_USER, OF_IMAGE: ""}.get(stated, stated)


def _command(test: ImageTest, longest: int) -> CommandCase:
    return CommandCase(
        name=test.name or _words(test),
        place=test.place,
        trial=Trial(
            command=_argv(test),
            around_entrypoint=test.args is None,
            user=user_of(test.user),
            read_only=test.read_only,
            network=test.network,
            signal=test.signal,
            limit=float(test.time_limit or longest),
        ),
        judge=lambda ran: judge(test, ran),
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


def _status_fault(status: int, expected: Sequence[int]) -> str:
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

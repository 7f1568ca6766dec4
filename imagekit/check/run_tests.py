"""Running the recipe's tests and judging how they ended."""

import re
import time
from collections.abc import Sequence
from typing import Protocol

from imagekit.build.image import BuiltImage
from imagekit.build.job import TestRan
from imagekit.errors import BuildError
from imagekit.progress import Done, Failed, Progress, Started
from imagekit.recipe.recipe import ImageTest

TEST_UID = 48211
"""The user that tests run as: one that no image has, as on a cluster."""
_SHOWN = 400


class TestRuntime(Protocol):
    """Runs commands in the image: no network, a read-only root, an arbitrary user."""

    def run(self, command: Sequence[str], *, around_entrypoint: bool) -> TestRan:
        """Run a command, or the entrypoint with these arguments."""
        ...


def run_tests(
    image: BuiltImage, tests: Sequence[ImageTest], runtime: TestRuntime, *, progress: Progress
) -> None:
    """Run all tests of a recipe.

    Raises:
        BuildError: one failed; the error has which, how, and what the command printed.
    """
    began = time.monotonic()
    for number, test in enumerate(tests, 1):
        progress(Started(stage="tests", detail=f"{number} of {len(tests)}: {_words(test)}"))
        ran = _run(test, runtime)
        fault = judge(test, ran)
        if fault:
            message = f"test {number} of {len(tests)}, `{_words(test)}`: {fault}"
            seconds = time.monotonic() - began
            progress(Failed(stage="tests", summary=message, seconds=seconds))
            raise _failed(message, test, ran, image=image)
    summary = f"{len(tests)} of {len(tests)} passed (uid {TEST_UID}, read-only, no network)"
    if tests:
        progress(Done(stage="tests", summary=summary, seconds=time.monotonic() - began))


def judge(test: ImageTest, ran: TestRan) -> str:
    """Return what is wrong with how a test ended, or nothing."""
    if ran.status != test.exit_code:
        return f"ended with {ran.status}, expected {test.exit_code}"
    for name, wanted, got in (
        ("stdout", test.stdout, ran.stdout),
        ("stderr", test.stderr, ran.stderr),
    ):
        if wanted is not None and re.search(wanted, got) is None:
            return f"its {name} does not match {wanted!r}"
    return ""


def _run(test: ImageTest, runtime: TestRuntime) -> TestRan:
    if test.args is not None:
        return runtime.run(test.args, around_entrypoint=False)
    if isinstance(test.run, str):
        return runtime.run(("/bin/sh", "-c", test.run), around_entrypoint=True)
    return runtime.run(test.run or (), around_entrypoint=True)


def _words(test: ImageTest) -> str:
    command = test.args if test.args is not None else test.run
    text = command if isinstance(command, str) else " ".join(command or ())
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _failed(message: str, test: ImageTest, ran: TestRan, *, image: BuiltImage) -> BuildError:
    return BuildError(
        message,
        hint=f"the image lies in the local store, untagged: {image.manifest.digest.short}",
        code="check/test-failed",
        status=ran.status,
        output=(ran.stdout + ran.stderr).strip(),
        diagnostic=test.place.diagnostic("check/test-failed", message),
    )

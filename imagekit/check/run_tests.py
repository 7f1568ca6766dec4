"""Running the cases of a recipe's tests, and what is reported of them."""

import time
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from imagekit.build.image import BuiltImage
from imagekit.build.job import Trial, TrialOutcome
from imagekit.check.cases import Case, LookCase
from imagekit.errors import BuildError, ToolError, ToolTimeoutError
from imagekit.progress import Done, Failed, Progress, Started


class TrialRuntime(Protocol):
    """Runs commands in the image."""

    def run(self, trial: Trial) -> TrialOutcome:
        """Run a command; one that takes too long is a ToolTimeoutError."""
        ...


def run_tests(
    image: BuiltImage, cases: Sequence[Case], runtime: TrialRuntime, *, progress: Progress
) -> tuple[str, ...]:
    """Run all tests of a recipe, and return their names.

    Raises:
        BuildError: one failed; the error has which, how, and what the command printed.
        ToolError: one could not be run.
    """
    began = time.monotonic()
    for number, case in enumerate(cases, 1):
        progress(Started(stage="tests", detail=f"{number} of {len(cases)}: {case.name}"))
        try:
            fault = _fault(case, runtime)
        except ToolError as error:
            seconds = time.monotonic() - began
            progress(Failed(stage="tests", summary=error.message, seconds=seconds))
            raise
        if fault is not None:
            message = f"test {number} of {len(cases)}, `{case.name}`: {fault.message}"
            seconds = time.monotonic() - began
            progress(Failed(stage="tests", summary=message, seconds=seconds))
            raise _failed(message, case, fault, image=image)
    if cases:
        summary = f"{len(cases)} of {len(cases)} passed"
        progress(Done(stage="tests", summary=summary, seconds=time.monotonic() - began))
    return tuple(dict.fromkeys(case.name for case in cases))


class _Fault(Struct, frozen=True, kw_only=True):
    """How a case failed."""

    message: str
    status: int | None = None
    output: str = ""


def _fault(case: Case, runtime: TrialRuntime) -> _Fault | None:
    if isinstance(case, LookCase):
        message = case.look()
        return _Fault(message=message) if message else None
    try:
        ran = runtime.run(case.trial)
    except ToolTimeoutError as error:
        message = f"it took longer than {case.trial.limit:.0f} s"
        return _Fault(message=message, output=error.output)
    message = case.judge(ran)
    output = (ran.stdout + ran.stderr).strip()
    return _Fault(message=message, status=ran.status, output=output) if message else None


def _failed(message: str, case: Case, fault: _Fault, *, image: BuiltImage) -> BuildError:
    return BuildError(
        message,
        hint=f"the image lies in the local store, untagged: {image.manifest.digest.short}",
        code="check/test-failed",
        status=fault.status,
        output=fault.output,
        diagnostic=case.place.diagnostic("check/test-failed", message),
    )

"""Calls into libraries that set no limit to how long they wait."""

import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


def within(seconds: float, call: Callable[[], _Result]) -> _Result:
    """Call something, and wait for it no longer than this.

    A thread is left behind where it never returns; it does not hold up the end of the process.

    Raises:
        TimeoutError: it has not returned.
    """
    done: list[_Result] = []
    faults: list[BaseException] = []

    def work() -> None:
        try:
            done.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller
            faults.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if faults:
        raise faults[0]
    if not done:
        raise TimeoutError(f"no answer for {seconds:.0f} s")
    return done[0]

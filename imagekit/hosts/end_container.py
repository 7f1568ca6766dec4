"""Ending a container of one user, which no engine's daemon or monitor ends.

What asks this process to end is told to the container. unshare(1) ignores such requests, and the
kernel drops them for the first process of a container that handles none: so what has not ended a
while later is ended, with all that belongs to it.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Timer

from imagekit.process import sent_by_terminal

_SECONDS = 10.0
"""As long as ``podman stop`` waits."""
_RUNTIME = "crun"


class EndContainer:
    """Hands requests to end over to a container that a program started."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        """Nobody has asked yet.

        Args:
            seconds: how long a container may take to end.
        """
        self._seconds = seconds
        self._timer: Timer | None = None

    def __call__(self, pid: int, number: int) -> None:
        """Tell the container of a signal.

        Args:
            pid: the program that started it, whose end nobody has waited for yet.
            number: the signal.
        """
        runtime = _runtime(pid)
        if runtime is None:
            # Nothing of the image runs yet.
            _kill(pid)
        elif not sent_by_terminal(number):
            with suppress(ProcessLookupError):
                os.kill(runtime, number)
        if self._timer is None:
            self._timer = Timer(self._seconds, _kill, (pid,))
            self._timer.daemon = True
            self._timer.start()

    def over(self) -> None:
        """Forget the request: the program ended."""
        if self._timer is not None:
            self._timer.cancel()


def _kill(pid: int) -> None:
    """End the processes of the container, for which all others wait; without one, all others."""
    runtime = _runtime(pid)
    for process in (pid, *_below(pid)) if runtime is None else _below(runtime):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _runtime(pid: int) -> int | None:
    return next((child for child in _below(pid) if _name(child) == _RUNTIME), None)


def _below(pid: int) -> list[int]:
    """Return the processes below one, those nearer to it first."""
    found = list(_children(pid))
    for child in found:
        # The list grows while it is gone through.
        found.extend(_children(child))
    return found


def _children(pid: int) -> Iterator[int]:
    """Yield the children of a process of one thread (proc(5), ``/proc/PID/task/TID/children``)."""
    with suppress(OSError):
        yield from map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split())


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    return ""

"""Processes that programs left running: found by their parent and ended.

A program in a container may start others in sessions of their own, which outlive it and its
process group. The kernel hands them to the nearest ancestor that asked for them (prctl(2),
PR_SET_CHILD_SUBREAPER), so that none escapes, however it forks.
"""

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from imagekit.errors import ToolError

_SUBREAPER = 36
_SECONDS = 10.0
_PAUSE = 0.01


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends.

    Raises:
        ToolError: the kernel does not offer it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SUBREAPER, 1, 0, 0, 0) != 0:
        raise ToolError(f"cannot adopt processes: {os.strerror(ctypes.get_errno())}")


def end_orphans() -> None:
    """Kill all children of this process, and those that become its children by that.

    It is for the moments when no program is meant to run. What cannot be killed, as it waits in
    the kernel, is left after some seconds.
    """
    end = time.monotonic() + _SECONDS
    while (children := _children()) and time.monotonic() < end:
        for pid in children:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(_PAUSE)


def _children() -> list[int]:
    mine = str(os.getpid())
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _parent_of(entry) == mine
    ]


def _parent_of(entry: Path) -> str:
    try:
        text = (entry / "stat").read_text(errors="replace")
    except OSError:
        return ""
    # The name in parentheses may hold anything, parentheses too.
    return text.rpartition(")")[2].split()[1]

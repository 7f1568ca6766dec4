"""Keeping a process that holds a key out of reach of others of the same user."""

import ctypes
import os

from imagekit.errors import ToolError

_SET_DUMPABLE = 4


def hide_memory() -> None:
    """Let no other process of this user read this one's memory, environment or files.

    The kernel then treats it as another user's (prctl(2), PR_SET_DUMPABLE): it cannot be traced,
    and it leaves no core behind. Programs that it starts are not affected.

    Raises:
        ToolError: the kernel refuses it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise ToolError(f"cannot hide this process: {os.strerror(ctypes.get_errno())}")

"""Folders that belong to one process at a time."""

import fcntl
import os
from pathlib import Path

from imagekit.errors import InputError


def hold(folder: Path, *, option: str) -> int:
    """Take a folder for this process, until the handle is closed or the process ends.

    Args:
        folder: it is there.
        option: what names another folder on the command line.

    Returns:
        The handle to close.

    Raises:
        InputError: another process has it.
        OSError: it cannot be written.
    """
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # The kernel lets go of it when the process ends, also by kill -9: a file that says who is
        # there would stay.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise InputError(
            f"another gate uses {folder}",
            hint=f"give each gate a folder of its own with {option}",
            code="gate/in-use",
        ) from error
    return handle

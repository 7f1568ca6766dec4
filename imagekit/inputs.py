"""Reading a whole file: the one way, bounded in bytes and in time.

What may be there decides who named it:

- ``read_regular`` is for files that are looked for: in a folder of a recipe, a layout, a policy, or
  where a configuration names them. A FIFO or a device there would be waited for, or have no end.
- ``read_input`` is for what an option of the command line names: a pipe of the shell
  (``--key <(...)``, /dev/stdin) is as good as a file, and is waited for, but not for ever.

Both raise OSError with a text for people, as ``open`` does.
"""

import errno
import os
import select
import stat
import time
from collections.abc import Callable
from pathlib import Path

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WAIT = 60.0
"""Seconds for all that comes out of a pipe."""
_PIECE = 1 << 20


def read_regular(
    path: Path,
    *,
    limit: int,
    follow: bool = True,
    check: Callable[[Path, os.stat_result], None] | None = None,
) -> bytes:
    """Return the bytes of a regular file.

    Args:
        path: the file.
        limit: the most bytes that it may have.
        follow: whether a link is followed.
        check: refuses the file that was opened, by its owner or mode.

    Raises:
        OSError: it cannot be read, is no regular file (EINVAL), too large (EFBIG), or a link that
            is not followed (ELOOP).
    """
    handle = os.open(path, _FLAGS if follow else _FLAGS | os.O_NOFOLLOW)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
        if check is not None:
            check(path, status)
        return _whole(handle, path, limit)
    finally:
        os.close(handle)


def read_input(path: Path, *, limit: int) -> bytes:
    """Return the bytes of a file, a pipe or a device.

    Args:
        path: what an option names.
        limit: the most bytes that it may have.

    Raises:
        OSError: it cannot be read, is too large (EFBIG), or does not come to its end (ETIMEDOUT).
    """
    handle = os.open(path, _FLAGS)
    try:
        return _whole(handle, path, limit)
    finally:
        os.close(handle)


def _whole(handle: int, path: Path, limit: int) -> bytes:
    parts, size, end = [], 0, time.monotonic() + _WAIT
    while piece := _piece(handle, min(_PIECE, limit + 1 - size), end):
        parts.append(piece)
        size += len(piece)
        if size > limit:
            raise OSError(errno.EFBIG, f"it has more than {limit} bytes", os.fspath(path))
    return b"".join(parts)


def _piece(handle: int, most: int, end: float) -> bytes:
    """Read what is there; wait for it where it is a pipe, also for one that nobody writes yet."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    while poll.poll(max(0.0, end - time.monotonic()) * 1000):
        try:
            return os.read(handle, most)
        except BlockingIOError:
            continue
    raise OSError(errno.ETIMEDOUT, f"it did not come to its end within {_WAIT:.0f} s")

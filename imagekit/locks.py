"""Locks of jobs: what is in use is never removed, on whatever host it is used.

A lock is a file that is held by flock(2), which the kernel takes back when its holder ends, by
whatever it ends: on another host of a shared file system and in another PID namespace too, where
a process number says nothing. Folders are not locked themselves: on NFS that would keep out nobody
but this host, as a file that is not open for writing could not be locked at all (flock(2), "NFS
details").
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from imagekit.errors import ToolError
from imagekit.files import storage_errors

_EVERYBODYS = 0o666
"""Of a lock in a folder that several users may write to; what of it is given, their umask says."""
_NONE_HERE = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


@contextmanager
def held(
    file: Path,
    *,
    shared: bool = False,
    keep: bool = False,
    waiting: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Hold a lock, waiting for it where another one has it.

    Args:
        file: the lock's file; it is made, and its time is set to now.
        shared: whether others may hold it too, if they also ask so.
        keep: whether the file stays when the lock is given back.
        waiting: called before it is waited for, where another one has it.

    Raises:
        ToolError: the file system supports no locks.
        OSError: the file cannot be made.
    """
    handle = _waited_for(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, waiting)
    try:
        os.utime(handle)
        yield
    finally:
        if not keep:
            file.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def folder_held(folder: Path) -> Iterator[None]:
    """Hold a folder against others who write to it, on other hosts too, waiting where one has it.

    Args:
        folder: it is there. A file is in it meanwhile.

    Raises:
        ToolError: the file system supports no locks.
        RegistryError: the folder cannot be written.
    """
    file = folder / ".lock"
    with storage_errors(f"the folder {folder}"):
        handle = _taken(file, fcntl.LOCK_EX, mode=_EVERYBODYS)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def claimed(file: Path) -> Iterator[bool]:
    """Take a lock that nobody holds, and remove its file after; yield whether that could be done.

    Raises:
        ToolError: the file system supports no locks.
        OSError: the file cannot be made.
    """
    try:
        handle = _taken(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        file.unlink(missing_ok=True)
        os.close(handle)


def age(file: Path, now: float) -> float:
    """Return the seconds since a lock was last held; 0 where nothing is known of it."""
    try:
        return now - file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _waited_for(file: Path, how: int, waiting: Callable[[], None] | None) -> int:
    if waiting is not None:
        try:
            return _taken(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
    return _taken(file, how)


def _taken(file: Path, how: int, *, mode: int = 0o600) -> int:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        try:
            fcntl.flock(handle, how)
            if _is_still(file, handle):
                return handle
        except OSError as error:
            os.close(handle)
            # What another host removed from NFS meanwhile.
            if error.errno == errno.ESTALE:
                continue
            if error.errno in _NONE_HERE:
                raise ToolError(
                    f"the file system of {file.parent} supports no locks",
                    hint="use a folder of another one; for builds, by XDG_DATA_HOME",
                ) from error
            raise
        # The previous holder has removed the file meanwhile: a lock on it would keep nobody out.
        os.close(handle)


def _is_still(file: Path, handle: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False

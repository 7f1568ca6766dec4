"""The files that options of the command line name: the one way to write them.

What must hold:

1. A device, a FIFO and a descriptor of this process (``-``, /dev/stdout, /dev/fd/63) are written
   through. Replacing them would take them away from everybody else.
2. A plain file is replaced whole: it has the old bytes or the new ones, whatever happens. Its mode
   is kept, and its owner where that may be; a new file has the mode that the umask leaves.
3. A link stays, and the file that it leads to is replaced, or made.
4. Anything else (a folder, a socket) is refused.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

_STDOUT = Path("-")
_MODE = 0o666
_LINKS = 40
_PIECE = 1 << 20


class Output:
    """What is being written.

    Args:
        file: takes the bytes.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = 0
        """How many bytes were written."""
        self.changed = True
        """Whether there are other bytes now than before; told at the end, of plain files."""

    def write(self, raw: bytes) -> None:
        """Write some bytes.

        Raises:
            OSError: they cannot be written.
        """
        # A pipe may take less than all: the file is buffered, which sees to that.
        self._file.write(raw)
        self.size += len(raw)


def write_output(path: Path, raw: bytes) -> None:
    """Write a file that an option names.

    Raises:
        OSError: it cannot be written.
    """
    with output(path) as file:
        file.write(raw)


def is_stdout(path: Path) -> bool:
    """Return whether a path is this process's standard output."""
    return _descriptor(path) == 1


@contextmanager
def output(path: Path) -> Iterator[Output]:
    """Write a file that an option names, piece by piece.

    Where the body raises, a plain file stays as it was.

    Raises:
        OSError: it cannot be written.
    """
    handle = _descriptor(path)
    place = None if handle is not None else _place(path)
    if place is not None:
        with _replaced(place) as made:
            yield made
        return
    opened = os.dup(handle) if handle is not None else os.open(path, os.O_WRONLY | os.O_NOCTTY)
    with os.fdopen(opened, "wb") as file:
        if handle is None and stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(errno.EBUSY, "it was changed meanwhile", os.fspath(path))
        yield Output(file)


def _descriptor(path: Path) -> int | None:
    """Return the descriptor of this process that a path leads to, such as /dev/stdout."""
    if path == _STDOUT:
        return 1
    own = os.path.realpath("/proc/self/fd")
    for _ in range(_LINKS):
        if os.path.realpath(path.parent) == own and path.name.isdecimal():
            return int(path.name)
        try:
            path = path.parent / path.readlink()
        except OSError:
            return None
    return None


def _place(path: Path) -> Path | None:
    """Return where the plain file lies or will lie; None where it is a device or a FIFO.

    Raises:
        OSError: a folder or a socket is there, or a link that must not be followed.
    """
    link = path.lstat() if path.is_symlink() else None
    try:
        # It is the kernel that follows the link: in a folder for everybody it does not follow
        # another user's (fs.protected_symlinks).
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        if link is None:
            return path
        if link.st_uid not in {0, os.geteuid()}:
            raise PermissionError(
                errno.EACCES, "another user's link leads to no file", os.fspath(path)
            ) from None
        return Path(os.path.realpath(path))
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if stat.S_ISSOCK(mode):
            raise OSError(errno.ENXIO, "it is a socket", os.fspath(path))
        return Path(f"/proc/self/fd/{handle}").readlink() if stat.S_ISREG(mode) else None
    finally:
        os.close(handle)


@contextmanager
def _replaced(path: Path) -> Iterator[Output]:
    with NamedTemporaryFile(dir=path.parent, prefix=".imagekit-part-", delete=False) as part:
        temporary = Path(part.name)
        try:
            made = Output(part)
            yield made
            part.flush()
            os.fchmod(part.fileno(), _MODE & ~_umask())
            if path.exists():
                _like(part.fileno(), path.stat())
            os.fsync(part.fileno())
            made.changed = not _same(temporary, path)
            if made.changed:
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _like(handle: int, before: os.stat_result) -> None:
    """Give a file the owner and mode of the one that it replaces."""
    if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(OSError):
            os.fchown(handle, before.st_uid, before.st_gid)
    now = os.fstat(handle)
    kept = 0o777 if (now.st_uid, now.st_gid) == (before.st_uid, before.st_gid) else 0o707
    os.fchmod(handle, stat.S_IMODE(before.st_mode) & kept)


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now


def _same(new: Path, old: Path) -> bool:
    if not old.is_file() or old.stat().st_size != new.stat().st_size:
        return False
    with new.open("rb") as one, old.open("rb") as other:
        while piece := one.read(_PIECE):
            if piece != other.read(len(piece)):
                return False
    return True

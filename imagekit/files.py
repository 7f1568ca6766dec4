"""The files that options of the command line name: the one way to write them.

What must hold:

1. A device, a FIFO and a descriptor of this process (``-``, /dev/stdout, /dev/fd/63) are written
   through. To replace them would not reach who reads from them.
2. A plain file is replaced whole: it has the old bytes or the new ones, whatever happens. Its mode
   is kept, and its owner where that may be; a new file has the mode that the umask leaves.
3. A link stays, and the file that it leads to is replaced, or made; but not another user's link in
   a folder that all may write to.
4. Anything else (a folder, a socket) is refused.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from imagekit.errors import RegistryError, ToolError
from imagekit.owners import known

HINTS = {
    errno.ENOSPC: "the disk is full: make room and run it again, nothing is half done",
    errno.EDQUOT: "your quota is used up: make room and run it again, nothing is half done",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "the file system is read-only: choose another folder",
}

_STDOUT = Path("-")
_MODE = 0o666
_LINKS = 40
_PIECE = 1 << 20
_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})
"""Errors that say nothing of the name that was given."""
_CHANGED = "it was changed meanwhile"


class OutputFile:
    """What is being written.

    Args:
        file: takes the bytes.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = 0
        """How many bytes were written."""
        self.changed = True
        """Whether the bytes differ from those before; set at the end, for plain files."""

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
        ToolError: the disk is full, or does not take it for another reason of its own.
        OSError: it cannot be written, whatever the disk says.
    """
    with output(path) as file:
        file.write(raw)


def is_stdout(path: Path) -> bool:
    """Return whether a path is this process's standard output."""
    return _descriptor(path) == 1


@contextmanager
def output(path: Path) -> Iterator[OutputFile]:
    """Write a file that an option names, piece by piece.

    Where the body raises, a plain file stays as it was.

    Raises:
        ToolError: the disk is full, or does not take it for another reason of its own.
        OSError: it cannot be written, whatever the disk says.
    """
    try:
        with _opened(path) as made:
            yield made
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        raise ToolError(
            f"cannot write {path}: {error.strerror}", hint=HINTS.get(error.errno, ""), code="SYSTEM"
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[OutputFile]:
    handle = _descriptor(path)
    place = None if handle is not None else _place(path)
    if place is not None:
        with _replaced(place) as made:
            yield made
        return
    opened = os.dup(handle) if handle is not None else os.open(path, os.O_WRONLY | os.O_NOCTTY)
    with os.fdopen(opened, "wb") as file:
        if handle is None and stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(errno.EBUSY, _CHANGED, os.fspath(path))
        yield OutputFile(file)


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
    is_link = path.is_symlink()
    if is_link:
        _refuse_foreign_link(path)
    # What became a link only now is not followed.
    follow = 0 if is_link else os.O_NOFOLLOW
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC | follow)
    except FileNotFoundError:
        return Path(os.path.realpath(path)) if is_link else path
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISLNK(mode):
            raise OSError(errno.EBUSY, _CHANGED, os.fspath(path))
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if stat.S_ISSOCK(mode):
            raise OSError(errno.ENXIO, "it is a socket", os.fspath(path))
        return Path(f"/proc/self/fd/{handle}").readlink() if stat.S_ISREG(mode) else None
    finally:
        os.close(handle)


def _refuse_foreign_link(path: Path) -> None:
    """Refuse what the kernel does where fs.protected_symlinks is set, and also where it is not.

    Raises:
        PermissionError: it is another user's link in a folder that all may write to.
    """
    folder, owner = path.parent.stat(), path.lstat().st_uid
    for_all = stat.S_ISVTX | stat.S_IWOTH
    if folder.st_mode & for_all == for_all and owner not in known(os.geteuid(), folder.st_uid):
        raise PermissionError(errno.EACCES, "it is another user's link", os.fspath(path))


@contextmanager
def _replaced(path: Path) -> Iterator[OutputFile]:
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile(dir=path.parent, prefix=".imagekit-part-", delete=False) as part:
        temporary = Path(part.name)
        try:
            made = OutputFile(part)
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
    with new.open("rb") as new_file, old.open("rb") as old_file:
        while piece := new_file.read(_PIECE):
            if piece != old_file.read(len(piece)):
                return False
    return True


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn an OSError into one that says what could not be written and what to do.

    Args:
        what: what was written to, for the message.

    Raises:
        RegistryError: instead of OSError.
    """
    try:
        yield
    except OSError as error:
        hint = HINTS.get(error.errno or 0, "")
        raise RegistryError(f"{what}: {error.strerror or error}", hint=hint) from error

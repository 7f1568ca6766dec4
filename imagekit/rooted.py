"""Paths inside an untrusted folder: nothing that is opened lies outside of it.

A root file system holds links that mean something only in it: ``/etc/x -> /opt/x`` is a file of the
image and not of the host. So a path is resolved as if the folder were ``/``, by the rules of
openat2(2) with RESOLVE_IN_ROOT, which needs Linux 5.6 and is not in Python: each step is relative
to an open folder and follows no link by itself, a link is read and its text is walked from where it
counts, and ``..`` of the folder is the folder. Whoever changes the tree meanwhile gets an error.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

MAX_LINKS = 40
"""Links in one path; as many as the kernel follows (path_resolution(7))."""
MAX_STEPS = 1024
"""Parts of one path, those of its links included: each ``..`` walks again from the top."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class OpenPlace(Struct, frozen=True):
    """An open folder and a name in it, which is no link unless it was asked for as one."""

    folder: int
    name: str


def link_text(path: str | Path) -> str:
    """Return the text of a link as it stands.

    Raises:
        OSError: it is no link, or cannot be read.
    """
    # NOTE: pathlib takes `./a//` and `a` for the same text.
    return os.readlink(path)  # noqa: PTH115 - Path.readlink normalises


@contextmanager
def place(
    root: Path | int, path: str, *, make: bool = False, follow: bool = True
) -> Iterator[OpenPlace]:
    """Open the folder that holds a path, and yield it with the last name.

    Args:
        root: the folder that is ``/``, by its path or as an open folder.
        path: the path in it, with or without a leading slash; its last part need not be there.
        make: whether missing folders are made; not what a link leads to, as with ``mkdir -p``.
        follow: whether the last part is followed where it is a link.

    Raises:
        OSError: a folder is missing or is none, or there are too many links.
    """
    top = os.dup(root) if isinstance(root, int) else os.open(root, _ROOT)
    try:
        walk = _Walk(top)
        try:
            name = walk.to(path, make=make, follow=follow)
            yield OpenPlace(walk.folder, name)
        finally:
            os.close(walk.folder)
    finally:
        os.close(top)


@contextmanager
def regular(root: Path | int, path: str, *, follow: bool = True) -> Iterator[int]:
    """Open a regular file for reading, and yield its handle; anything else is never waited for.

    Raises:
        OSError: there is none.
    """
    with place(root, path, follow=follow) as entry:
        handle = os.open(entry.name, FILE, dir_fd=entry.folder)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "no regular file")
        yield handle
    finally:
        os.close(handle)


def read(root: Path | int, path: str, *, limit: int, follow: bool = True) -> bytes:
    """Return the first bytes of a regular file.

    Args:
        root: the folder that is ``/``.
        path: the path in it.
        limit: bytes after which the rest is left out.
        follow: whether the last part is followed where it is a link.

    Raises:
        OSError: there is none, or it cannot be read.
    """
    with (
        regular(root, path, follow=follow) as handle,
        os.fdopen(handle, "rb", closefd=False) as file,
    ):
        return file.read(limit)


def is_folder(root: Path | int, path: str) -> bool:
    """Return whether there is a folder, or a link to one in the tree."""
    with suppress(OSError), place(root, path) as entry:
        status = os.stat(entry.name, dir_fd=entry.folder, follow_symlinks=False)
        return stat.S_ISDIR(status.st_mode)
    return False


def has_link(root: Path | int, path: str) -> bool:
    """Return whether a path, as far as it is there, is a link or leads through one."""
    parts = _parts(path)
    for number in range(1, len(parts) + 1):
        with suppress(OSError), place(root, "/".join(parts[:number]), follow=False) as entry:
            os.readlink(entry.name, dir_fd=entry.folder)
            return True
    return False


def make_folder(root: Path | int, path: str, *, mode: int = 0o755) -> None:
    """Make a folder with those above it, unless it is there.

    Raises:
        OSError: something else is in the way.
    """
    with place(root, path, make=True) as entry, suppress(FileExistsError):
        os.mkdir(entry.name, mode, dir_fd=entry.folder)


class _Walk:
    """A way through a tree, of which only the folder that was reached is open."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._names: list[str] = []
        self._links = self._steps = 0
        self.folder = os.dup(top)

    def to(self, path: str, *, make: bool, follow: bool) -> str:
        """Go to the folder that holds the path; return the last name, ``.`` for the root."""
        pending = deque((part, make) for part in _parts(path))
        while pending:
            self._count()
            part, missing = pending.popleft()
            if part == "..":
                self._names = self._names[:-1]
                self._again()
                continue
            last = not pending
            target = self._link(part) if follow or not last else None
            if target is not None:
                # What a link leads to is there, or it is an error.
                pending.extendleft((part, False) for part in reversed(_parts(target)))
                if target.startswith("/"):
                    self._names = []
                    self._again()
            elif last:
                return part
            else:
                self._down(part, make=missing)
        return "."

    def _count(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS or self._links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    def _link(self, part: str) -> str | None:
        """Return a link's text; None where it is none, or not there."""
        try:
            target = os.readlink(part, dir_fd=self.folder)
        except OSError:
            return None
        self._links += 1
        return target

    def _down(self, part: str, *, make: bool) -> None:
        if make:
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=self.folder)
        self._enter(os.open(part, FOLDER, dir_fd=self.folder))
        self._names.append(part)

    def _again(self) -> None:
        """Open the folder that was reached once more, from the top: ``..`` may be moved away."""
        self._enter(os.dup(self._top))
        for name in self._names:
            self._enter(os.open(name, FOLDER, dir_fd=self.folder))

    def _enter(self, handle: int) -> None:
        os.close(self.folder)
        self.folder = handle


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]

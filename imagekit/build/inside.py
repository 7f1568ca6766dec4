"""Files of a mounted image, reached without ever leaving it.

The image may be anybody's: a folder of it may be a link to one of the host. So every step is
relative to an open folder and follows no link.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagekit.errors import BuildError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read(root: Path, name: str, *, limit: int) -> bytes | None:
    """Return what a regular file holds; None where there is none.

    Args:
        root: the mounted root.
        name: the path below it.
        limit: bytes after which the rest is left out.
    """
    with suppress(OSError), _parent(root, name) as (folder, last):
        handle = os.open(last, _READ, dir_fd=folder)
        with os.fdopen(handle, "rb") as file:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                return file.read(limit)
    return None


def place(root: Path, name: str, text: str, *, mode: int = 0o644) -> None:
    """Put a file there, instead of whatever is there; folders that are missing are made.

    Raises:
        BuildError: something else than a folder stands in the way.
    """
    try:
        with _parent(root, name, make=True) as (folder, last):
            with suppress(FileNotFoundError):
                os.unlink(last, dir_fd=folder)
            handle = os.open(last, _CREATE, mode, dir_fd=folder)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                os.fchmod(handle, mode)
                file.write(text)
    except (NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise BuildError(
            f"/{name} cannot be written in the image: a folder above it is none, or it is one",
            hint="imagekit follows no links of an image; is the base what it should be?",
            code="build/odd-tree",
        ) from error


def remove(root: Path, name: str) -> None:
    """Remove a file, if it is there."""
    with suppress(OSError), _parent(root, name) as (folder, last):
        os.unlink(last, dir_fd=folder)


def files(root: Path, name: str) -> tuple[str, ...]:
    """Return the names in a folder, sorted; none where it is no folder."""
    with (
        suppress(OSError),
        _parent(root, f"{name}/.") as (folder, _),
        os.scandir(folder) as found,
    ):
        return tuple(sorted(entry.name for entry in found))
    return ()


def is_file(root: Path, name: str) -> bool:
    """Tell whether it is a regular file."""
    return read(root, name, limit=0) is not None


def is_empty_file(root: Path, name: str) -> bool:
    """Tell whether it is a regular file without content."""
    return read(root, name, limit=1) == b""


@contextmanager
def _parent(root: Path, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder of a path and yield it with the last name."""
    *parts, last = name.split("/")
    handle = os.open(root, _FOLDER)
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=handle)
            below = os.open(part, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle, last
    finally:
        os.close(handle)

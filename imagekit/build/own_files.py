"""Files in folders of imagekit's own, found and removed without ever leaving these folders.

A link in the place of a folder leads elsewhere, also where it was put there between a look and the
removal; another user's folder is not this user's to tidy, also for root. So each folder is opened
once, without following a link below XDG's, and files are named below what was opened.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from imagekit import rooted
from imagekit.errors import ToolError
from imagekit.owners import is_own


class NotOwnFolderError(ToolError):
    """A folder is another user's, or a link is in its place."""


class OwnFile(Struct, frozen=True, kw_only=True):
    """A regular file in an open folder."""

    name: str
    written: float
    """Seconds since 1970."""
    size: int
    """Bytes that it takes of the disk."""
    links: int

    @property
    def freed(self) -> int:
        """Bytes that its removal frees: none where it has another name."""
        return self.size if self.links == 1 else 0


class OwnFolder(Struct, frozen=True):
    """An open folder of this user's."""

    handle: int

    def files(self, is_ours: Callable[[str], bool]) -> Iterator[OwnFile]:
        """Yield the regular files whose names are of ours; nothing else is looked at.

        Raises:
            OSError: the folder cannot be read.
        """
        with os.scandir(self.handle) as entries:
            names = sorted(entry.name for entry in entries if is_ours(entry.name))
        for name in names:
            with suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=self.handle, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield OwnFile(
                        name=name,
                        written=status.st_mtime,
                        size=status.st_blocks * 512,
                        links=status.st_nlink,
                    )

    def remove(self, file: OwnFile) -> None:
        """Remove a file, if it is still there.

        Raises:
            OSError: it cannot be removed.
        """
        with suppress(FileNotFoundError):
            os.unlink(file.name, dir_fd=self.handle)


@contextmanager
def own_folder(base: Path, *parts: str) -> Iterator[OwnFolder | None]:
    """Open a folder below one of imagekit's; yield None where there is none.

    Args:
        base: imagekit's own folder below XDG's, which may be a link.
        parts: the folders below it, none of which may be one.

    Raises:
        NotOwnFolderError: a link or another user's folder is there, or it cannot be read.
    """
    try:
        handle = _opened(base, parts)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise NotOwnFolderError(
            f"{base.joinpath(*parts)} is not touched: {error.strerror}",
            hint="it has to be a folder of your own, and no link",
            code="prune/not-own-folder",
        ) from error
    try:
        yield OwnFolder(handle)
    finally:
        os.close(handle)


def _opened(base: Path, parts: tuple[str, ...]) -> int:
    handle = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _require_own(handle)
        for part in parts:
            below = os.open(part, rooted.FOLDER, dir_fd=handle)
            os.close(handle)
            handle = below
            _require_own(handle)
    except OSError:
        os.close(handle)
        raise
    return handle


def _require_own(handle: int) -> None:
    """Require that a folder is this user's.

    Raises:
        PermissionError: it is another user's.
    """
    if not is_own(os.fstat(handle)):
        raise PermissionError(1, "it belongs to another user")

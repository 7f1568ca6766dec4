"""Files of a mounted image, reached without ever leaving it: see ``imagekit.rooted``."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagekit import rooted
from imagekit.build import attributes
from imagekit.errors import BuildError

_REWRITE = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HOSTS_FAULT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE})
"""Errors of the host's disk, not of the image."""


def read(root: Path, name: str, *, limit: int) -> bytes | None:
    """Return the content of a regular file; None where there is none, or a link.

    Args:
        root: the mounted root.
        name: the path below it.
        limit: bytes after which the rest is left out.
    """
    with suppress(OSError):
        return rooted.read(root, name, limit=limit, follow=False)
    return None


def place(root: Path, name: str, text: str, *, mode: int = 0o644) -> None:
    """Write a file, in place of whatever has its path; folders that are missing are made.

    Raises:
        BuildError: a part of its path is no folder.
    """
    try:
        with rooted.place(root, name, make=True, follow=False) as opened:
            with suppress(FileNotFoundError):
                os.unlink(opened.name, dir_fd=opened.folder)
            handle = os.open(opened.name, _CREATE, mode, dir_fd=opened.folder)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                os.fchmod(handle, mode)
                file.write(text)
    except OSError as error:
        if error.errno in _HOSTS_FAULT:
            raise
        raise BuildError(
            f"/{name} cannot be written in the image: {error.strerror}",
            hint="links of an image are followed inside it only; is the base what it should be?",
            code="build/odd-tree",
        ) from error


def add_folder(root: Path, name: str) -> None:
    """Make a folder that everybody may read, unless something has its path.

    Raises:
        OSError: the host's disk cannot be written.
    """
    _add(root, name, _make_folder)


def add_file(root: Path, name: str) -> None:
    """Make an empty file that everybody may read, unless something has its path.

    Raises:
        OSError: the host's disk cannot be written.
    """
    _add(root, name, _make_file)


def add_link(root: Path, name: str, target: str) -> None:
    """Make a link, unless something has its path.

    Raises:
        OSError: the host's disk cannot be written.
    """
    _add(root, name, lambda opened: os.symlink(target, opened.name, dir_fd=opened.folder))


def _add(root: Path, name: str, make: Callable[[rooted.OpenPlace], None]) -> None:
    """Make something; that the path is taken, or leads to no folder, is the image's own choice."""
    try:
        with rooted.place(root, name, follow=False) as opened:
            make(opened)
    except OSError as error:
        if error.errno in _HOSTS_FAULT:
            raise


def _make_folder(opened: rooted.OpenPlace) -> None:
    os.mkdir(opened.name, dir_fd=opened.folder)
    handle = os.open(opened.name, rooted.FOLDER, dir_fd=opened.folder)
    try:
        os.fchmod(handle, 0o755)
    finally:
        os.close(handle)


def _make_file(opened: rooted.OpenPlace) -> None:
    handle = os.open(opened.name, _CREATE, dir_fd=opened.folder)
    try:
        os.fchmod(handle, 0o644)
    finally:
        os.close(handle)


def remove(root: Path, name: str) -> None:
    """Remove a file, if it is there."""
    with suppress(OSError), rooted.place(root, name, follow=False) as opened:
        os.unlink(opened.name, dir_fd=opened.folder)


def remove_empty_folder(root: Path, name: str) -> None:
    """Remove a folder, if it is there and holds nothing."""
    with suppress(OSError), rooted.place(root, name, follow=False) as opened:
        os.rmdir(opened.name, dir_fd=opened.folder)


def give_to_root(root: Path, name: str) -> None:
    """Make root the owner of a folder, if it is there.

    Raises:
        OSError: this process may not.
    """
    with suppress(FileNotFoundError, NotADirectoryError), _folder(root, name) as handle:
        if os.fstat(handle).st_uid or os.fstat(handle).st_gid:
            os.fchown(handle, 0, 0)


def remove_access_list(root: Path, name: str) -> None:
    """Remove the access control lists of a folder, if it is there; owner, group and mode stay.

    Raises:
        OSError: this process may not.
    """
    with suppress(FileNotFoundError, NotADirectoryError), _folder(root, name) as handle:
        for attribute in attributes.access_lists(handle):
            os.removexattr(handle, attribute)


def rewrite(root: Path, name: str, raw: bytes) -> None:
    """Give a regular file other bytes; its owner and mode stay.

    Raises:
        OSError: it cannot be written.
    """
    with rooted.place(root, name, follow=False) as opened:
        handle = os.open(opened.name, _REWRITE, dir_fd=opened.folder)
        with os.fdopen(handle, "wb") as file:
            file.write(raw)


def empty(root: Path, name: str) -> None:
    """Truncate a regular file; its owner and mode stay.

    Raises:
        OSError: it cannot be written.
    """
    if is_file(root, name) and not is_empty_file(root, name):
        with rooted.place(root, name, follow=False) as opened:
            os.close(os.open(opened.name, _REWRITE, dir_fd=opened.folder))


def link(root: Path, name: str) -> str:
    """Return the target of a link as it is written; empty where it is none."""
    with suppress(OSError), rooted.place(root, name, follow=False) as opened:
        return os.readlink(opened.name, dir_fd=opened.folder)
    return ""


def files(root: Path, name: str) -> tuple[str, ...]:
    """Return the names in a folder, sorted; none where it is no folder."""
    with suppress(OSError), _folder(root, name) as handle, os.scandir(handle) as entries:
        return tuple(sorted(entry.name for entry in entries))
    return ()


def is_file(root: Path, name: str) -> bool:
    """Return whether it is a regular file."""
    return read(root, name, limit=0) is not None


def is_empty_file(root: Path, name: str) -> bool:
    """Return whether it is a regular file without content."""
    return read(root, name, limit=1) == b""


@contextmanager
def _folder(root: Path, name: str) -> Iterator[int]:
    with rooted.place(root, name) as opened:
        handle = os.open(opened.name, rooted.FOLDER, dir_fd=opened.folder)
        try:
            yield handle
        finally:
            os.close(handle)

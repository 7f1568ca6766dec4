"""One digest of staged bytes: of a file, or of everything in folders.

A folder's digest is that of the list of its entries, sorted by their paths: type, permissions, path
and the SHA-256 of the content or the target of a link. Owners and times are not included, as they
differ where a folder is seen through a network file system; no link is followed.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from imagekit.errors import IntegrityError
from imagekit.files import storage_errors
from imagekit.oci.digest import Digest

MAX_ENTRIES = 20_000_000
_PIECE = 1 << 20
_DEEPEST = 512


class FileIdentity(Struct, frozen=True, kw_only=True):
    """Which file it is, and that its content was not changed: the kernel alone sets ``ctime``."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, handle: int) -> "FileIdentity":
        """Return that of an open file.

        Raises:
            OSError: it cannot be looked at.
        """
        return cls._from(os.fstat(handle))

    @classmethod
    def at(cls, path: Path) -> "FileIdentity":
        """Return that of the file at a path.

        Raises:
            OSError: there is none.
        """
        return cls._from(path.stat())

    @classmethod
    def _from(cls, status: os.stat_result) -> "FileIdentity":
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
        )


def open_file(path: Path) -> int:
    """Open a file for reading and return its handle; a link is not followed.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, _FLAGS)


def file_digest(path: Path) -> Digest:
    """Return the digest of a regular file.

    Raises:
        RegistryError: it cannot be read.
        IntegrityError: it is not a regular file.
    """
    return measured(path)[0]


def measured(path: Path) -> tuple[Digest, FileIdentity]:
    """Return the digest of a regular file, and which file that is.

    Raises:
        RegistryError: it cannot be read.
        IntegrityError: it is not a regular file, or was changed meanwhile.
    """
    with storage_errors(f"the staged file {path}"):
        handle = open_file(path)
        before = FileIdentity.of(handle)
        digest = Digest("sha256", _content(handle, path))
        if FileIdentity.at(path) != before:
            raise IntegrityError(f"{path} was changed while it was read", hint="check it again")
    return digest, before


def tree_digest(roots: Sequence[tuple[str, Path]]) -> Digest:
    """Return the digest of everything in folders.

    Args:
        roots: each folder, or file or link, and the name that it goes by in the list.

    Raises:
        RegistryError: something cannot be read.
        IntegrityError: there is too much.
    """
    hasher = hashlib.sha256()
    count = 0
    for name, root in roots:
        with storage_errors(f"the staged folder {root}"):
            for line in _below(os.fsencode(name), os.fsencode(root)):
                count += 1
                if count > MAX_ENTRIES:
                    raise IntegrityError(f"{root} holds more than {MAX_ENTRIES} entries")
                hasher.update(line)
    return Digest("sha256", hasher.hexdigest())


_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _below(name: bytes, root: bytes) -> Iterator[bytes]:
    status = os.lstat(root)
    if stat.S_ISDIR(status.st_mode):
        yield from _entries(name, root, depth=0)
    else:
        yield _line(name, root, status)


def _entries(name: bytes, folder: bytes, *, depth: int) -> Iterator[bytes]:
    if depth > _DEEPEST:
        raise IntegrityError("folders are nested too deeply")
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        path = name + b"/" + entry.name
        status = entry.stat(follow_symlinks=False)
        yield _line(path, entry.path, status)
        if stat.S_ISDIR(status.st_mode):
            yield from _entries(path, entry.path, depth=depth + 1)


def _line(path: bytes, place: bytes, status: os.stat_result) -> bytes:
    """Return a line of the list; no path holds the NUL that ends each field."""
    mode = status.st_mode
    content = b""
    if stat.S_ISREG(mode):
        content = _content(os.open(place, _FLAGS), Path(os.fsdecode(place))).encode()
    elif stat.S_ISLNK(mode):
        content = os.readlink(place)  # noqa: PTH115 - paths of an image, as bytes
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        content = b"%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev))
    return b"%o\0%b\0%b\0" % (mode, path, content)


def _content(handle: int, path: Path) -> str:
    with os.fdopen(handle, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise IntegrityError(f"{path} is not a regular file")
        hasher = hashlib.sha256()
        while piece := file.read(_PIECE):
            hasher.update(piece)
        return hasher.hexdigest()

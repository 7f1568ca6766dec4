"""Verified blobs on disk, bounded: what was used least recently goes first.

A blob is written beside its place and renamed when its digest was right, so a killed gate leaves
nothing but a part that the next one deletes. What an earlier process left is hashed again before
its last bytes are sent.
"""

import contextlib
import os
import time
from collections import OrderedDict
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from msgspec import Struct

from imagekit.errors import ImagekitError, InputError
from imagekit.gate.folder_lock import hold
from imagekit.oci.digest import Digest

_TOUCH_SECONDS = 60.0


class _Entry(Struct, kw_only=True):
    size: int
    checked: bool
    touched: float


class PartialBlob(Struct, frozen=True, kw_only=True):
    """A blob that is being written."""

    file: BinaryIO
    path: Path
    size: int
    """Bytes that it will have."""


class BlobCache:
    """A folder of blobs, for one process; not safe in several threads.

    Args:
        folder: made where it is not there yet.
        limit: bytes that it may take.

    Raises:
        InputError: another gate uses the folder, or it cannot be used.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._entries: OrderedDict[Digest, _Entry] = OrderedDict()
        self._reserved = 0
        self._total = 0
        try:
            self._parts = folder / "parts"
            # Not everybody on this machine may see every repository.
            self._parts.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._held = hold(folder, option="--cache")
            self._sweep()
            self._list()
        except OSError as error:
            raise InputError(
                f"the cache {folder} cannot be used: {error}",
                hint="name another folder with --cache, or say --cache-size 0",
                code="gate/cache",
            ) from error

    @property
    def used(self) -> int:
        """Bytes that are taken, with what is being written."""
        return self._total + self._reserved

    def __len__(self) -> int:
        return len(self._entries)

    def has(self, digest: Digest, size: int) -> bool:
        """Return whether a blob of that size is here."""
        entry = self._entries.get(digest)
        return entry is not None and entry.size == size

    def open(self, digest: Digest, size: int) -> tuple[BinaryIO, bool] | None:
        """Return the file of a blob and whether this process has checked it; None without."""
        entry = self._entries.get(digest)
        if entry is None or entry.size != size:
            # Whoever states another size is wrong about it, and takes nothing from the others.
            return None
        try:
            # A link would lead out of the cache.
            handle = os.open(self._path(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            self._drop(digest)
            return None
        # Cut by a crash, or changed by another program.
        if os.fstat(handle).st_size != size:
            os.close(handle)
            self.discard(digest)
            return None
        self._use(digest, entry)
        return os.fdopen(handle, "rb", buffering=0), entry.checked

    def checked(self, digest: Digest) -> None:
        """Note that a blob of an earlier process has the right digest."""
        if digest in self._entries:
            self._entries[digest].checked = True

    def begin(self, size: int) -> PartialBlob | None:
        """Return what a blob of that size is written into, or None where there is no room.

        Raises:
            OSError: the folder cannot be written.
        """
        if size > self.limit or not self._make_room(size):
            return None
        # In the file system of the cache, so that the part can be renamed to its place.
        handle, name = mkstemp(dir=self._parts)
        self._reserved += size
        return PartialBlob(file=os.fdopen(handle, "w+b", buffering=0), path=Path(name), size=size)

    def commit(self, part: PartialBlob, digest: Digest) -> None:
        """Let a part become the blob; its digest was right.

        Raises:
            OSError: the folder cannot be written.
        """
        place = self._path(digest)
        place.parent.mkdir(exist_ok=True, mode=0o700)
        # Without fsync: what a crash of the machine left is hashed before its end is sent.
        part.path.rename(place)
        self._reserved -= part.size
        self._drop(digest)
        self._entries[digest] = _Entry(size=part.size, checked=True, touched=time.time())
        self._total += part.size

    def abandon(self, part: PartialBlob) -> None:
        """Delete a part."""
        self._reserved -= part.size
        part.path.unlink(missing_ok=True)

    def discard(self, digest: Digest) -> None:
        """Delete a blob."""
        self._path(digest).unlink(missing_ok=True)
        self._drop(digest)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._held)

    def _path(self, digest: Digest) -> Path:
        return self.folder / digest.algorithm / digest.hex

    def _use(self, digest: Digest, entry: _Entry) -> None:
        self._entries.move_to_end(digest)
        now = time.time()
        if now - entry.touched > _TOUCH_SECONDS:
            entry.touched = now
            # The next process learns from it what was used last.
            with contextlib.suppress(OSError):
                os.utime(self._path(digest))

    def _drop(self, digest: Digest) -> None:
        gone = self._entries.pop(digest, None)
        if gone is not None:
            self._total -= gone.size

    def _make_room(self, size: int) -> bool:
        while self.used + size > self.limit:
            if not self._entries:
                return False
            self.discard(next(iter(self._entries)))
        return True

    def _sweep(self) -> None:
        for part in self._parts.iterdir():
            part.unlink()

    def _list(self) -> None:
        files = []
        # descriptor.md, "Registered algorithms": those that a digest of ours may have.
        for folder in self.folder.iterdir():
            if folder.name in {"sha256", "sha512"}:
                files += [(path.stat(follow_symlinks=False), path) for path in folder.iterdir()]
        for stat, path in sorted(files, key=lambda pair: pair[0].st_mtime):
            try:
                digest = Digest(path.parent.name, path.name)
            except ImagekitError:
                continue
            entry = _Entry(size=stat.st_size, checked=False, touched=stat.st_mtime)
            self._entries[digest] = entry
            self._total += stat.st_size
        self._make_room(0)

"""What this node has read already: the digests of staged files, so that no step reads them again.

What must hold:

1. Only the digest of a file's bytes is kept, never a verdict: signature, policy and time are judged
   every time.
2. An entry is for one file as it was: its device, inode, size and times. ``ctime`` is set by the
   kernel alone, at every change of the file; one so new that a further change could have the same
   time is not kept. An entry of before this boot counts no more: devices are numbered anew.
3. It is for files of root's and of the one who asks: another owner (``--owner``) could write by a
   memory map, which changes no time at once. An entry of root's counts for everybody, and a user's
   for that user alone.
4. Whatever is wrong with an entry, the file is read; where many processes of a user want it at
   once, by one of them.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import time_ns
from typing import Self

import msgspec
from msgspec import Struct

from imagekit.errors import ImagekitError
from imagekit.inputs import read_regular
from imagekit.locks import held
from imagekit.oci.digest import Digest
from imagekit.oci.layout import write_whole
from imagekit.offline.stagedigest import FileIdentity, measured
from imagekit.owners import known
from imagekit.paths import SHARED

_ROOTS = Path("/run/imagekit/checked")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SETTLED_NS = 2_000_000_000
"""The age of a change from which on another one has another time, on every file system."""
_MAX_ENTRY = 4096
_MOST = 10_000
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class _Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    boot: str
    file: FileIdentity
    digest: str


class CheckedFiles(Struct, frozen=True, kw_only=True):
    """The entries that count for this user."""

    own: Path
    """Where this user's entries are."""
    roots: Path = _ROOTS
    """Where root's are."""
    boot: str = ""
    """Which boot of the machine this is; without one nothing is kept."""

    @classmethod
    def of_this_user(cls) -> Self:
        """Return those of this node, which are gone after a restart."""
        uid = os.geteuid()
        boot = ""
        with suppress(OSError):
            boot = _BOOT.read_text("ascii").strip()
        return cls(own=_ROOTS if uid == 0 else SHARED / f"imagekit-checked-{uid}", boot=boot)

    def measured(self, path: Path) -> tuple[Digest, FileIdentity]:
        """Return the digest of a regular file, and which file that is; read it if need be.

        Raises:
            RegistryError: it cannot be read.
            IntegrityError: it is not a regular file, or was changed meanwhile.
        """
        with suppress(OSError):
            if path.stat().st_uid not in known(0, os.geteuid()):
                return measured(path)
        read = self._read_before(path)
        if read is None:
            with self._alone(path):
                read = self._read_before(path) or self._read(path)
        return read

    def _read_before(self, path: Path) -> tuple[Digest, FileIdentity] | None:
        with suppress(OSError):
            file = FileIdentity.at(path)
            digest = self._known(file)
            if digest is not None:
                return digest, file
        return None

    def _read(self, path: Path) -> tuple[Digest, FileIdentity]:
        digest, file = measured(path)
        self._keep(file, digest)
        return digest, file

    @contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        """Wait for another process of this user that reads the file: all tasks start at once."""
        with ExitStack() as until_read:
            # What cannot be locked is read by each.
            with suppress(OSError, ImagekitError):
                if self._has_place():
                    lock = self.own / f"{_name(FileIdentity.at(path))}.lock"
                    until_read.enter_context(held(lock))
            yield

    def _known(self, file: FileIdentity) -> Digest | None:
        if not self.boot:
            return None
        for folder, owner in ((self.roots, 0), (self.own, os.geteuid())):
            with suppress(OSError, ImagekitError, msgspec.DecodeError):
                if not (_is_of(folder, owner) and _is_of(folder / _name(file), owner)):
                    continue
                raw = read_regular(folder / _name(file), limit=_MAX_ENTRY)
                entry = msgspec.json.decode(raw, type=_Entry)
                if entry.file == file and entry.boot == self.boot:
                    return Digest.parse(entry.digest)
        return None

    def _keep(self, file: FileIdentity, digest: Digest) -> None:
        if not self.boot or time_ns() - file.ctime_ns < _SETTLED_NS:
            return
        with suppress(OSError, ImagekitError):
            if self._has_place() and _count(self.own) < _MOST:
                entry = _Entry(boot=self.boot, file=file, digest=str(digest))
                write_whole(self.own / _name(file), msgspec.json.encode(entry))

    def _has_place(self) -> bool:
        """Return whether this user's folder is there, and nobody else's; make it if need be."""
        mode = 0o755 if os.geteuid() == 0 else 0o700
        self.own.mkdir(mode=mode, parents=os.geteuid() == 0, exist_ok=True)
        return _is_of(self.own, os.geteuid())


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def _name(file: FileIdentity) -> str:
    return f"{file.device}-{file.inode}.json"


def _is_of(path: Path, owner: int) -> bool:
    """Return whether it is no link, certainly this user's, and nobody else may write to it."""
    status = path.lstat()
    plain = stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)
    return plain and status.st_uid in known(owner) and not status.st_mode & _OTHERS_WRITE

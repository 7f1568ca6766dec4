"""Putting back into a tree what a step changed in it, from the archive that was written of it.

The tree is as it was before that step. Whatever has the path of an entry goes first, but for a
folder where the entry is one; no link of the tree is followed.
"""

import os
import shutil
import stat
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from imagekit import rooted
from imagekit.build import attributes
from imagekit.build.layer import WHITEOUT
from imagekit.build.open_tree import OpenTree
from imagekit.errors import ToolError
from imagekit.oci.layer_stream import DAMAGED_GZIP, gunzipped

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 20
_NANOSECONDS = 9


def restore(root: Path, archive: IO[bytes]) -> None:
    """Apply an archive that ``layer.save`` wrote.

    Args:
        root: the mounted tree.
        archive: the archive, compressed.

    Raises:
        ToolError: it is damaged, or the tree is another one or cannot be written; the tree may then
            have a part of it.
    """
    try:
        with (
            gunzipped(archive) as plain,
            tarfile.open(fileobj=plain, mode="r|", errorlevel=2) as entries,
            OpenTree(root) as tree,
        ):
            _Restoring(root, tree, entries).all()
            # To the end, where gzip's checksum is compared.
            while plain.read(_PIECE):
                pass
    except (OSError, ValueError, tarfile.TarError, *DAMAGED_GZIP) as error:
        raise ToolError(f"what a step made before cannot be put back: {error}") from error


class _Restoring:
    """Applies one archive."""

    def __init__(self, root: Path, tree: OpenTree, archive: tarfile.TarFile) -> None:
        self._root, self._tree, self._archive = root, tree, archive
        self._folders: list[tarfile.TarInfo] = []

    def all(self) -> None:
        for entry in self._archive:
            folder, slash, name = entry.name.rpartition("/")
            if name.startswith(WHITEOUT):
                self._remove(f"{folder}{slash}{name.removeprefix(WHITEOUT)}")
            else:
                self._put(entry)
        # Last, as whatever was put into them changed their times.
        for entry in self._folders:
            place = self._tree.place(entry.name)
            os.utime(place.name, ns=_times(entry), dir_fd=place.folder, follow_symlinks=False)

    def _remove(self, path: str) -> None:
        place = self._tree.place(path)
        try:
            os.unlink(place.name, dir_fd=place.folder)
        except IsADirectoryError:
            shutil.rmtree(place.name, dir_fd=place.folder)
        self._tree.leave()

    def _put(self, entry: tarfile.TarInfo) -> None:
        place = self._tree.place(entry.name)
        there = _mode(place)
        if there is not None and not (entry.isdir() and stat.S_ISDIR(there)):
            self._remove(entry.name)
            place, there = self._tree.place(entry.name), None
        if entry.isdir():
            if there is None:
                os.mkdir(place.name, 0o700, dir_fd=place.folder)
            self._finish(os.open(place.name, rooted.FOLDER, dir_fd=place.folder), entry)
            self._folders.append(entry)
        elif entry.isreg():
            self._finish(os.open(place.name, _NEW, 0o600, dir_fd=place.folder), entry)
        elif entry.islnk():
            self._link(entry, place)
        elif entry.issym():
            os.symlink(entry.linkname, place.name, dir_fd=place.folder)
            _own(place, entry)
        elif entry.isfifo():
            os.mkfifo(place.name, dir_fd=place.folder)
            _own(place, entry)
            self._finish(os.open(place.name, rooted.FILE, dir_fd=place.folder), entry)
        else:
            raise ValueError(f"an entry of the type {entry.type!r}")

    def _link(self, entry: tarfile.TarInfo, place: rooted.OpenPlace) -> None:
        with OpenTree(self._root) as others:
            first = others.place(entry.linkname)
            os.link(
                first.name,
                place.name,
                src_dir_fd=first.folder,
                dst_dir_fd=place.folder,
                follow_symlinks=False,
            )

    def _finish(self, handle: int, entry: tarfile.TarInfo) -> None:
        """Give an open file or folder its content, owner, mode, attributes and time; close it."""
        try:
            if entry.isreg():
                self._fill(handle, entry)
            # chown(2) takes set-user-ID and capabilities away.
            os.fchown(handle, entry.uid, entry.gid)
            os.fchmod(handle, entry.mode)
            wanted = attributes.of_records(entry.pax_headers)
            for name, _ in attributes.read(handle) if entry.isdir() else ():
                if name not in wanted:
                    os.removexattr(handle, name)
            for name, value in wanted.items():
                os.setxattr(handle, name, value)
            os.utime(handle, ns=_times(entry))
        finally:
            os.close(handle)

    def _fill(self, handle: int, entry: tarfile.TarInfo) -> None:
        content = self._archive.extractfile(entry)
        with os.fdopen(handle, "wb", closefd=False) as file:
            while content is not None and (piece := content.read(_PIECE)):
                file.write(piece)


def _mode(place: rooted.OpenPlace) -> int | None:
    with suppress(FileNotFoundError):
        return os.stat(place.name, dir_fd=place.folder, follow_symlinks=False).st_mode
    return None


def _own(place: rooted.OpenPlace, entry: tarfile.TarInfo) -> None:
    os.chown(place.name, entry.uid, entry.gid, dir_fd=place.folder, follow_symlinks=False)
    os.utime(place.name, ns=_times(entry), dir_fd=place.folder, follow_symlinks=False)


def _times(entry: tarfile.TarInfo) -> tuple[int, int]:
    """Return the time of an entry twice, in nanoseconds; a float would round it."""
    whole, _, rest = entry.pax_headers["mtime"].partition(".")
    nanoseconds = int(whole + rest.ljust(_NANOSECONDS, "0")[:_NANOSECONDS])
    return nanoseconds, nanoseconds

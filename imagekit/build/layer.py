"""Writing a layer straight from a tree: the same content gives the same bytes everywhere.

Entries are sorted, times are clamped to the image's time, owners are numbers, and what only a
build leaves behind is left out. The archive is POSIX pax (IEEE Std 1003.1, "pax"), as the OCI
image-spec layer.md has it; removed paths are whiteouts. What cannot be kept, or would have another
meaning where it is unpacked, is refused by name.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from imagekit import rooted
from imagekit.build import attributes, tar_header
from imagekit.build.attributes import CANNOT_KEEP, Attributes
from imagekit.build.catalogued import shown
from imagekit.build.compression import ArchiveCompressor, WrittenLayer
from imagekit.build.marks import Marks
from imagekit.build.open_tree import OpenTree
from imagekit.build.tar_header import EntryHeader
from imagekit.build.tree_snapshot import Changes
from imagekit.errors import BuildError, ToolError
from imagekit.files import HINTS
from imagekit.oci.layer_stream import MAX_UNPACKED
from imagekit.recipe.recipe import GZIP, Compression

MAX_BYTES = MAX_UNPACKED
"""Most bytes of a layer, unpacked: no more than is read of one for its SBOM."""
_PIECE = 1 << 20
_SECOND = 10**9
WHITEOUT = ".wh."
"""How a name begins that removes another one (image-spec layer.md, Whiteouts)."""
_KINDS = {
    stat.S_IFREG: tar_header.FILE,
    stat.S_IFDIR: tar_header.FOLDER,
    stat.S_IFLNK: tar_header.LINK,
    stat.S_IFIFO: tar_header.FIFO,
}


_NO_MARKS = Marks()


def write(
    root: Path,
    changes: Changes,
    blobs: Path,
    *,
    epoch: int,
    marks: Marks = _NO_MARKS,
    compression: Compression = GZIP,
) -> WrittenLayer:
    """Write the changed paths of a tree as a compressed layer.

    Args:
        root: the mounted tree.
        changes: which of its paths the layer has, and what it removes.
        blobs: the folder ``blobs/sha256`` of a layout.
        epoch: the image's time; no entry is newer.
        marks: texts that it must not hold.
        compression: how it is compressed.

    Returns:
        The layer, which lies in the folder under its digest.

    Raises:
        BuildError: it would hold such a text, or something that no layer can keep.
        ToolError: a file changed while it was read, or the disk is full.
    """
    try:
        with NamedTemporaryFile(dir=blobs, prefix=".part-", delete=False) as part:
            try:
                with ArchiveCompressor(part.file, compression) as sink:
                    _archive(root, changes, sink, epoch=epoch, marks=marks)
                layer = sink.layer()
                Path(part.name).chmod(0o644)
                Path(part.name).rename(blobs / layer.descriptor.digest.hex)
            finally:
                Path(part.name).unlink(missing_ok=True)
    except OSError as error:
        raise ToolError(
            f"cannot write a layer into {blobs}: {error.strerror or error}",
            hint=HINTS.get(error.errno or 0, "nothing was left half done: run it again"),
        ) from error
    return layer


def save(root: Path, changes: Changes, file: IO[bytes], *, marks: Marks) -> None:
    """Write the changed paths of a tree with their times as they are, so that they can come back.

    Args:
        root: the mounted tree.
        changes: which of its paths, and what is gone, as whiteouts.
        file: takes the archive, compressed by gzip.
        marks: texts that it must not hold.

    Raises:
        BuildError: it would hold such a text, or something that no archive can keep.
        ToolError: a file changed while it was read.
        OSError: something cannot be read or written.
    """
    with ArchiveCompressor(file) as sink:
        _archive(root, changes, sink, epoch=None, marks=marks)


def _archive(
    root: Path, changes: Changes, sink: ArchiveCompressor, *, epoch: int | None, marks: Marks
) -> None:
    archive = _Archive(sink, epoch, marks)
    # image-spec layer.md, Whiteouts: they should stand before entries beside them, are empty
    # regular files, and apply to lower layers only.
    for path in _whiteouts(changes):
        archive.add_whiteout(path)
    with OpenTree(root) as tree:
        for path in changes.present:
            archive.add(path, tree.place(path))
    # IEEE Std 1003.1, ustar Interchange Format: two blocks of zeros end an archive.
    sink.write(b"\0" * tar_header.BLOCK * 2)


class _Archive:
    """Writes the entries of an archive; without an image's time, each has its own to the end."""

    def __init__(self, sink: ArchiveCompressor, epoch: int | None, marks: Marks) -> None:
        self._sink, self._epoch, self._marks = sink, epoch, marks
        self._first: dict[tuple[int, int], str] = {}
        self._left = MAX_BYTES

    def add_whiteout(self, path: str) -> None:
        mtime = self._epoch or 0
        self._header(EntryHeader(path=path, kind=tar_header.FILE, mode=0o644, mtime=mtime))

    def add(self, path: str, place: rooted.OpenPlace) -> None:
        """Write an entry.

        Raises:
            BuildError: no layer can hold it.
            ToolError: it changed meanwhile.
            OSError: it cannot be read.
        """
        refuse_whiteout(path)
        status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
        kind = _kind(path, status)
        link = ""
        if kind == tar_header.FILE:
            # image-spec layer.md, Hardlinks: one file has one device and inode. Names of it outside
            # of the layer are not recorded.
            if status.st_nlink > 1:
                first = self._first.setdefault((status.st_dev, status.st_ino), path)
                if first != path:
                    link_kind = tar_header.HARD_LINK
                    self._header(self._entry(path, link_kind, status, link=first))
                    return
            if status.st_size:
                self._file(path, place, status)
                return
        elif kind == tar_header.LINK:
            # NOTE: pathlib would take `./a//` and `a` for the same text.
            link = os.readlink(place.name, dir_fd=place.folder)
        # listxattr(2) has no form with a folder's handle.
        found = attributes.read(f"/proc/self/fd/{place.folder}/{place.name}")
        self._header(self._entry(path, kind, status, link=link, found=found))

    def _file(self, path: str, place: rooted.OpenPlace, status: os.stat_result) -> None:
        self._count(path, status.st_size)
        handle = os.open(place.name, rooted.FILE, dir_fd=place.folder)
        try:
            now = os.fstat(handle)
            if not stat.S_ISREG(now.st_mode) or now.st_size != status.st_size:
                raise _changed(path)
            found = attributes.read(handle)
            self._header(self._entry(path, tar_header.FILE, status, found=found))
            self._content(path, handle, status.st_size)
        finally:
            os.close(handle)

    def _content(self, path: str, handle: int, size: int) -> None:
        left, before = size, b""
        while left:
            piece = os.read(handle, min(left, _PIECE))
            if not piece:
                raise _changed(path)
            left -= len(piece)
            before = self._marks.following(before, piece, where=path)
            # One call for each piece, as most files have but one.
            self._sink.write(piece if left else piece + b"\0" * tar_header.padded(size))

    def _count(self, path: str, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise BuildError(
                f"{shown(path)} has {size} bytes, with which the layer has over {MAX_BYTES}",
                # image-spec layer.md, File Attributes: sparse files should not be used.
                hint="holes of a sparse file count; make it when the container starts",
                code=CANNOT_KEEP,
            )

    def _entry(
        self,
        path: str,
        kind: bytes,
        status: os.stat_result,
        *,
        link: str = "",
        found: Attributes = (),
    ) -> EntryHeader:
        records = attributes.pax_records(path, found) if found else {}
        mtime, epoch = int(status.st_mtime), self._epoch
        if epoch is None:
            records["mtime"] = _exactly(status.st_mtime_ns)
        # A folder's time is that of the last change in it, which may have been left out.
        elif kind == tar_header.FOLDER or mtime > epoch:
            mtime = epoch
        return EntryHeader(
            path=path,
            kind=kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            size=status.st_size if kind == tar_header.FILE else 0,
            mtime=mtime,
            link=link,
            records=records,
        )

    def _header(self, entry: EntryHeader) -> None:
        raw = tar_header.header(entry)
        self._marks.check_entry(raw, entry.path)
        self._sink.header(entry, raw)


def _exactly(nanoseconds: int) -> str:
    """Return a time as pax has it (IEEE Std 1003.1, pax Extended Header, File Times)."""
    seconds, rest = divmod(abs(nanoseconds), _SECOND)
    return f"{'-' if nanoseconds < 0 else ''}{seconds}.{rest:09d}"


def _kind(path: str, status: os.stat_result) -> bytes:
    """Return the typeflag of a path.

    Raises:
        BuildError: no layer can hold it.
    """
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise BuildError(
            f"{shown(path)} is a device, which a user could neither make nor unpack",
            hint="remove it; runtimes bring the devices of /dev",
            code=CANNOT_KEEP,
        )
    return kind


def _changed(path: str) -> ToolError:
    return ToolError(f"{shown(path)} changed while its layer was written")


def _whiteouts(changes: Changes) -> Iterator[str]:
    for path in changes.removed:
        folder, slash, name = path.rpartition("/")
        yield f"{folder}{slash}{WHITEOUT}{name}"


def refuse_whiteout(path: str) -> None:
    """Refuse a path whose name is that of a whiteout (image-spec layer.md, Whiteouts).

    No layer can hold such a file: whoever unpacks it removes another one.

    Raises:
        BuildError: it has such a name.
    """
    if path.rpartition("/")[2].startswith(WHITEOUT):
        raise BuildError(
            f"{shown(path)} cannot be in a layer: a name with {WHITEOUT} removes a file there",
            hint="remove or rename it (image-spec layer.md, Whiteouts)",
            code=CANNOT_KEEP,
        )

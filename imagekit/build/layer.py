"""Writing a layer straight from a tree: the same content gives the same bytes everywhere.

Entries are sorted, times are clamped to the image's time, owners are numbers, and what only a
build leaves behind is left out. The archive is POSIX pax (IEEE Std 1003.1, "pax"), as the OCI
image-spec layer.md has it; removed paths are whiteouts. What cannot be kept, or would have another
meaning where it is unpacked, is refused by name.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Protocol, Self

from isal import isal_zlib
from msgspec import Struct

from imagekit import rooted
from imagekit.build import attributes, tar_header
from imagekit.build.attributes import CANNOT_KEEP, Attributes
from imagekit.build.catalogued import shown
from imagekit.build.marks import Marks
from imagekit.build.open_tree import OpenTree
from imagekit.build.tar_header import EntryHeader
from imagekit.build.tree_snapshot import Changes
from imagekit.errors import BuildError, ToolError
from imagekit.files import HINTS
from imagekit.oci.digest import Digest
from imagekit.oci.layer_stream import MAX_UNPACKED
from imagekit.oci.types import LAYER_GZIP, Descriptor

MAX_BYTES = MAX_UNPACKED
"""Most bytes of a layer, unpacked: no more than is read of one for its SBOM."""
LEVEL = 1
COMPRESSOR = ("isal", f"{version('isal')} level {LEVEL}")
"""Name and version of the compressor: the digest of a layer depends on them, its diffID not."""

_GZIP = 31  # window bits of zlib's API that make it write a gzip header, without name and time
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


class WrittenLayer(Struct, frozen=True, kw_only=True):
    """A layer that lies in the blob folder."""

    descriptor: Descriptor
    diff_id: Digest
    size: int
    """Bytes of the uncompressed archive."""


class Sink(Protocol):
    """Takes the archive's bytes in order."""

    def write(self, raw: bytes) -> None:
        """Take some bytes."""
        ...


_NO_MARKS = Marks()


def write(
    root: Path, changes: Changes, blobs: Path, *, epoch: int, marks: Marks = _NO_MARKS
) -> WrittenLayer:
    """Write the changed paths of a tree as a compressed layer.

    Args:
        root: the mounted tree.
        changes: which of its paths the layer has, and what it removes.
        blobs: the folder ``blobs/sha256`` of a layout.
        epoch: the image's time; no entry is newer.
        marks: texts that it must not hold.

    Returns:
        The layer, which lies in the folder under its digest.

    Raises:
        BuildError: it would hold such a text, or something that no layer can keep.
        ToolError: a file changed while it was read, or the disk is full.
    """
    try:
        with NamedTemporaryFile(dir=blobs, prefix=".part-", delete=False) as part:
            try:
                layer = _write(root, changes, part.file, epoch=epoch, marks=marks)
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


def _write(
    root: Path, changes: Changes, file: IO[bytes], *, epoch: int, marks: Marks
) -> WrittenLayer:
    with _Compressor(file) as sink:
        _archive(root, changes, sink, epoch=epoch, marks=marks)
    return sink.layer()


def save(root: Path, changes: Changes, file: IO[bytes], *, marks: Marks) -> None:
    """Write the changed paths of a tree with their times as they are, so that they can come back.

    Args:
        root: the mounted tree.
        changes: which of its paths, and what is gone, as whiteouts.
        file: takes the archive, compressed as a layer is.
        marks: texts that it must not hold.

    Raises:
        BuildError: it would hold such a text, or something that no archive can keep.
        ToolError: a file changed while it was read.
        OSError: something cannot be read or written.
    """
    with _Compressor(file) as sink:
        _archive(root, changes, sink, epoch=None, marks=marks)


def _archive(root: Path, changes: Changes, sink: Sink, *, epoch: int | None, marks: Marks) -> None:
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


class _Compressor:
    """Hashes, compresses and writes in a second thread, while the first one reads.

    hashlib and isal release the interpreter lock, so the two threads run at once.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._plain = hashlib.sha256()
        self._packed = hashlib.sha256()
        self._deflate = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, _GZIP)
        self._size = self._packed_size = 0
        self._waiting = bytearray()
        self._pool = ThreadPoolExecutor(1)
        self._busy: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
                self._wait()
                self._store(self._deflate.flush())
                self._file.flush()
        finally:
            self._pool.shutdown()

    def write(self, raw: bytes) -> None:
        self._waiting += raw
        if len(self._waiting) >= _PIECE:
            self._flush()

    def layer(self) -> WrittenLayer:
        return WrittenLayer(
            descriptor=Descriptor(
                media_type=LAYER_GZIP,
                digest=Digest("sha256", self._packed.hexdigest()),
                size=self._packed_size,
            ),
            diff_id=Digest("sha256", self._plain.hexdigest()),
            size=self._size,
        )

    def _flush(self) -> None:
        piece, self._waiting = bytes(self._waiting), bytearray()
        self._wait()
        self._busy = self._pool.submit(self._take, piece)

    def _wait(self) -> None:
        if self._busy is not None:
            self._busy.result()

    def _take(self, piece: bytes) -> None:
        self._plain.update(piece)
        self._size += len(piece)
        self._store(self._deflate.compress(piece))

    def _store(self, packed: bytes) -> None:
        self._packed.update(packed)
        self._packed_size += len(packed)
        self._file.write(packed)


class _Archive:
    """Writes the entries of an archive; without an image's time, each has its own to the end."""

    def __init__(self, sink: Sink, epoch: int | None, marks: Marks) -> None:
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
        self._sink.write(raw)


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

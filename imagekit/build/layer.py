"""Writing a layer straight from a tree: the same content gives the same bytes everywhere.

Entries are sorted, times are clamped to the image's time, owners are numbers, and what only a
build leaves behind is left out. The archive is POSIX pax (IEEE Std 1003.1, "pax"), as the OCI
image-spec layer.md has it; removed paths are whiteouts. What cannot be kept, or would have another
meaning where it is unpacked, is refused by name.
"""

import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, Protocol, Self

from isal import isal_zlib
from msgspec import Struct

from imagekit import rooted
from imagekit.build import attributes
from imagekit.build.attributes import CANNOT_KEEP
from imagekit.build.catalogued import shown
from imagekit.build.marks import Marks
from imagekit.build.tree_snapshot import Changes
from imagekit.errors import BuildError, ToolError
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
_WHITEOUT = ".wh."
_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
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
                layer = _write(root, changes, _raw(part), epoch=epoch, marks=marks)
                Path(part.name).chmod(0o644)
                Path(part.name).rename(blobs / layer.descriptor.digest.hex)
            finally:
                Path(part.name).unlink(missing_ok=True)
    except OSError as error:
        raise ToolError(
            f"cannot write a layer: {error}", hint="is the disk full? nothing was left half done"
        ) from error
    return layer


def _raw(part: object) -> BinaryIO:
    # NamedTemporaryFile's wrapper has the methods of the file that it wraps.
    return part.file  # type: ignore[attr-defined, no-any-return]  # typeshed hides the attribute


def _write(
    root: Path, changes: Changes, file: BinaryIO, *, epoch: int, marks: Marks
) -> WrittenLayer:
    with _Compressor(file) as sink, _Tree(root) as tree:
        for path, header, content in _entries(tree, changes, epoch=epoch):
            marks.check(header, where=f"the name or a link of {shown(path)}")
            sink.write(header)
            if content is not None:
                content(_Checked(sink, marks, path))
        # IEEE Std 1003.1, ustar Interchange Format: two blocks of zeros end an archive.
        sink.write(b"\0" * tarfile.BLOCKSIZE * 2)
    return sink.layer()


class _Checked:
    """A sink of one file's content that looks at what goes through it."""

    def __init__(self, sink: Sink, marks: Marks, path: str) -> None:
        self._sink, self._marks, self._where = sink, marks, shown(path)
        self._before = b""

    def write(self, raw: bytes) -> None:
        self._before = self._marks.following(self._before, raw, where=self._where)
        self._sink.write(raw)


class _Tree:
    """A mounted tree of which one folder is open: no entry is reached through a link.

    A program that outlived its step could otherwise put a link to the host in a folder's place
    between the moment when the tree was looked at and the one when it is read.
    """

    def __init__(self, root: Path) -> None:
        self._top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open = os.dup(self._top)
        self._folder = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._open)
        os.close(self._top)

    def place(self, path: str) -> rooted.OpenPlace:
        """Open the folder of a path, until the next call, and return it with the last name.

        Raises:
            OSError: it is no folder any more.
        """
        folder, _, name = path.rpartition("/")
        if folder != self._folder:
            self._enter(os.dup(self._top))
            for part in folder.split("/") if folder else ():
                self._enter(os.open(part, rooted.FOLDER, dir_fd=self._open))
            self._folder = folder
        return rooted.OpenPlace(self._open, name)

    def _enter(self, handle: int) -> None:
        os.close(self._open)
        self._open = handle


class _Compressor:
    """Hashes, compresses and writes in a second thread, while the first one reads.

    hashlib and isal release the interpreter lock, so the two threads run at once.
    """

    def __init__(self, file: BinaryIO) -> None:
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


Content = Callable[[Sink], None]


def _entries(
    tree: _Tree, changes: Changes, *, epoch: int
) -> Iterator[tuple[str, bytes, Content | None]]:
    """Yield every entry's path, header and what writes its content, in the archive's order."""
    first: dict[tuple[int, int], str] = {}
    left = MAX_BYTES
    # image-spec layer.md, Whiteouts: they should stand before entries beside them, are empty
    # regular files, and apply to lower layers only.
    for path in _whiteouts(changes):
        whiteout = tarfile.TarInfo(path)
        whiteout.mtime = epoch
        yield path, _header(whiteout), None
    for path in changes.present:
        place = tree.place(path)
        status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
        info = _info(path, status, place=place, epoch=epoch)
        # image-spec layer.md, Hardlinks: one file has one device and inode. Names of it outside of
        # the layer are not recorded.
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            _link(info, first.setdefault((status.st_dev, status.st_ino), path))
        left -= info.size
        if left < 0:
            raise BuildError(
                f"{shown(path)} has {info.size} bytes, with which the layer has over {MAX_BYTES}",
                # image-spec layer.md, File Attributes: sparse files should not be used.
                hint="holes of a sparse file count; make it when the container starts",
                code=CANNOT_KEEP,
            )
        content = _content(path, status, place) if info.type == tarfile.REGTYPE else None
        yield path, _header(info), content if info.size else None


def _header(info: tarfile.TarInfo) -> bytes:
    # A name that is no UTF-8 keeps its bytes: tarfile then writes the record hdrcharset=BINARY
    # (IEEE Std 1003.1, pax Extended Header).
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _link(info: tarfile.TarInfo, first: str) -> None:
    """Make the entry a hard link to the path that came first, unless it is that itself."""
    if first != info.name:
        info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
        info.pax_headers = {}


def _whiteouts(changes: Changes) -> Iterator[str]:
    for path in changes.removed:
        folder, slash, name = path.rpartition("/")
        yield f"{folder}{slash}{_WHITEOUT}{name}"


def refuse_whiteout(path: str) -> None:
    """Refuse a path whose name is that of a whiteout (image-spec layer.md, Whiteouts).

    No layer can hold such a file: whoever unpacks it removes another one.

    Raises:
        BuildError: it has such a name.
    """
    if path.rpartition("/")[2].startswith(_WHITEOUT):
        raise BuildError(
            f"{shown(path)} cannot be in a layer: a name with {_WHITEOUT} removes a file there",
            hint="remove or rename it (image-spec layer.md, Whiteouts)",
            code=CANNOT_KEEP,
        )


def _info(
    path: str, status: os.stat_result, *, place: rooted.OpenPlace, epoch: int
) -> tarfile.TarInfo:
    """Return the header of a path.

    Raises:
        BuildError: no layer can hold it.
    """
    refuse_whiteout(path)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise BuildError(
            f"{shown(path)} is a device, which a user could neither make nor unpack",
            hint="remove it; runtimes bring the devices of /dev",
            code=CANNOT_KEEP,
        )
    info = tarfile.TarInfo(path)
    info.type = kind
    info.mode = stat.S_IMODE(status.st_mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    # A folder's time is that of the last change in it, which may have been left out.
    info.mtime = epoch if kind == tarfile.DIRTYPE else min(int(status.st_mtime), epoch)
    if kind == tarfile.SYMTYPE:
        # NOTE: pathlib would take `./a//` and `a` for the same text.
        info.linkname = os.readlink(place.name, dir_fd=place.folder)
    elif kind == tarfile.REGTYPE:
        info.size = status.st_size
    # listxattr(2) has no form with a folder's handle.
    full = f"/proc/self/fd/{place.folder}/{place.name}"
    info.pax_headers = attributes.pax_records(path, attributes.read(full))
    return info


def _content(path: str, status: os.stat_result, place: rooted.OpenPlace) -> Content:
    def copy(sink: Sink) -> None:
        handle = os.open(place.name, rooted.FILE, dir_fd=place.folder)
        with os.fdopen(handle, "rb", buffering=0) as file:
            now = os.fstat(handle)
            if not stat.S_ISREG(now.st_mode) or now.st_size != status.st_size:
                raise ToolError(f"{shown(path)} changed while its layer was written")
            left = status.st_size
            while left:
                piece = file.read(min(left, _PIECE))
                if not piece:
                    raise ToolError(f"{shown(path)} changed while its layer was written")
                left -= len(piece)
                sink.write(piece)
        sink.write(b"\0" * (-status.st_size % tarfile.BLOCKSIZE))

    return copy

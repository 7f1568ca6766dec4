"""Writing a layer straight from a tree: the same content gives the same bytes everywhere.

Entries are sorted, times are clamped to the image's time, owners are numbers, and what only a
build leaves behind is left out. The archive is POSIX pax (IEEE Std 1003.1, "pax"), as the OCI
image-spec layer.md has it; removed paths are whiteouts.
"""

import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, Protocol, Self

from isal import isal_zlib

from imagekit.build.snapshot import Changes
from imagekit.errors import ToolError
from imagekit.model.digest import Digest
from imagekit.model.oci import LAYER_GZIP, Descriptor

LEVEL = 1
COMPRESSOR = ("isal", f"{version('isal')} level {LEVEL}")
"""Name and version of the compressor: the digest of a layer depends on them, its diffID not."""

_GZIP = 31  # window bits of zlib's API that make it write a gzip header, without name and time
_PIECE = 1 << 20
_CAPABILITY = "security.capability"
_WHITEOUT = ".wh."
_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenLayer:
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


def write(root: Path, changes: Changes, blobs: Path, *, epoch: int) -> WrittenLayer:
    """Write the changed paths of a tree as a compressed layer.

    Args:
        root: the mounted tree.
        changes: which of its paths the layer has, and what it removes.
        blobs: the folder ``blobs/sha256`` of a layout.
        epoch: the image's time; no entry is newer.

    Returns:
        The layer, which lies in the folder under its digest.

    Raises:
        ToolError: a file changed while it was read, or the disk is full.
    """
    try:
        with NamedTemporaryFile(dir=blobs, prefix=".part-", delete=False) as part:
            try:
                layer = _write(root, changes, _raw(part), epoch=epoch)
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


def _write(root: Path, changes: Changes, file: BinaryIO, *, epoch: int) -> WrittenLayer:
    with _Compressor(file) as sink:
        for header, content in _entries(root, changes, epoch=epoch):
            sink.write(header)
            if content is not None:
                content(sink)
        sink.write(b"\0" * tarfile.BLOCKSIZE * 2)
    return sink.layer()


class _Compressor:
    """Hashes, compresses and writes in a second thread, while the first one reads.

    hashlib and isal let go of the interpreter lock, so the two really run at once.
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


def _entries(root: Path, changes: Changes, *, epoch: int) -> Iterator[tuple[bytes, Content | None]]:
    """Yield every entry's header and what writes its content, in the order of the archive."""
    first: dict[tuple[int, int], str] = {}
    for path in _whiteouts(changes):
        whiteout = tarfile.TarInfo(path)
        whiteout.mtime = epoch
        yield _header(whiteout), None
    for path in changes.present:
        full = f"{root}/{path}"
        status = os.lstat(full)
        info = _info(path, status, full=full, epoch=epoch)
        if info is None:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            _link(info, first.setdefault((status.st_dev, status.st_ino), path))
        content = _content(full, status) if info.type == tarfile.REGTYPE and info.size else None
        yield _header(info), content


def _header(info: tarfile.TarInfo) -> bytes:
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


def _info(path: str, status: os.stat_result, *, full: str, epoch: int) -> tarfile.TarInfo | None:
    """Return the header of a path; None for devices and sockets, which no image needs."""
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    info = tarfile.TarInfo(path)
    info.type = kind
    info.mode = stat.S_IMODE(status.st_mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    # A folder's time tells of what came and went in it, which may have been left out.
    info.mtime = epoch if kind == tarfile.DIRTYPE else min(int(status.st_mtime), epoch)
    if kind == tarfile.SYMTYPE:
        info.linkname = os.fspath(Path(full).readlink())
    elif kind == tarfile.REGTYPE:
        info.size = status.st_size
        info.pax_headers = _capability(full)
    return info


def _capability(full: str) -> dict[str, str]:
    """Return the file's capabilities as the pax record that runtimes unpack.

    In a user namespace the kernel itself shows them without the namespace's owner.
    """
    try:
        value = os.getxattr(full, _CAPABILITY, follow_symlinks=False)
    except OSError:
        return {}
    return {f"SCHILY.xattr.{_CAPABILITY}": value.decode("utf-8", "surrogateescape")}


def _content(full: str, status: os.stat_result) -> Content:
    def copy(sink: Sink) -> None:
        handle = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb", buffering=0) as file:
            now = os.fstat(handle)
            if not stat.S_ISREG(now.st_mode) or now.st_size != status.st_size:
                raise ToolError(f"{full} changed while its layer was written")
            left = status.st_size
            while left:
                piece = file.read(min(left, _PIECE))
                if not piece:
                    raise ToolError(f"{full} changed while its layer was written")
                left -= len(piece)
                sink.write(piece)
        sink.write(b"\0" * (-status.st_size % tarfile.BLOCKSIZE))

    return copy

"""Compressing the archive of a layer while it is read: in a thread, with the digests of both."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from typing import IO, Protocol, Self

from isal import isal_zlib
from msgspec import Struct

from imagekit.build.tar_header import EntryHeader, HeaderPlace
from imagekit.oci.digest import Digest
from imagekit.oci.types import LAYER_GZIP, LAYER_ZSTD, NOTHING, Descriptor
from imagekit.recipe.recipe import GZIP, ZSTD, ZSTD_CHUNKED, Compression

_GZIP_LEVEL, _ZSTD_LEVEL = 1, 3
_GZIP_HEADER = 31  # window bits of zlib's API that make it write one, without name and time
_PIECE = 1 << 20
_MEDIA_TYPES = {GZIP: LAYER_GZIP, ZSTD: LAYER_ZSTD, ZSTD_CHUNKED: LAYER_ZSTD}


class WrittenLayer(Struct, frozen=True, kw_only=True):
    """A layer that lies in the blob folder."""

    descriptor: Descriptor
    diff_id: Digest
    size: int
    """Bytes of the uncompressed archive."""


class Packer(Protocol):
    """Makes compressed bytes."""

    def take(self, piece: bytes, headers: Sequence[HeaderPlace]) -> bytes:
        """Return what comes of the next bytes so far."""
        ...

    def end(self) -> tuple[bytes, Mapping[str, str]]:
        """Return the last bytes, and the annotations that the layer's descriptor has to have."""
        ...


def compressor(compression: Compression = GZIP) -> tuple[str, str]:
    """Return name and version of what compresses: a layer's digest depends on them, its diffID not.

    Args:
        compression: how the recipe has its layers compressed.
    """
    if compression == GZIP:
        return "isal", f"{version('isal')} level {_GZIP_LEVEL}"
    from imagekit.oci.zstandard import zstd

    return compression, f"{zstd.zstd_version} level {_ZSTD_LEVEL}"


class ArchiveCompressor:
    """Hashes, compresses and writes in a second thread, while the first one reads.

    hashlib, isal and zstd release the interpreter lock, so the two threads run at once.

    Args:
        file: takes the compressed bytes.
        compression: how they are compressed.
    """

    def __init__(self, file: IO[bytes], compression: Compression = GZIP) -> None:
        self._file = file
        self._media_type = _MEDIA_TYPES[compression]
        self._packer = _packer(compression)
        self._annotations: Mapping[str, str] = NOTHING
        self._plain = hashlib.sha256()
        self._packed = hashlib.sha256()
        self._size = self._packed_size = 0
        self._waiting = bytearray()
        self._headers: list[HeaderPlace] = []
        self._pool = ThreadPoolExecutor(1)
        self._busy: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
                self._wait()
                last, self._annotations = self._packer.end()
                self._store(last)
                self._file.flush()
        finally:
            self._pool.shutdown()

    def header(self, entry: EntryHeader, raw: bytes) -> None:
        """Take the header blocks of an entry; its content and padding follow by ``write``."""
        start = len(self._waiting)
        self._headers.append(HeaderPlace(start, start + len(raw), entry))
        self.write(raw)

    def write(self, raw: bytes) -> None:
        """Take some bytes."""
        self._waiting += raw
        if len(self._waiting) >= _PIECE:
            self._flush()

    def layer(self) -> WrittenLayer:
        """Return the layer, when all of it was written."""
        return WrittenLayer(
            descriptor=Descriptor(
                media_type=self._media_type,
                digest=Digest("sha256", self._packed.hexdigest()),
                size=self._packed_size,
                annotations=self._annotations,
            ),
            diff_id=Digest("sha256", self._plain.hexdigest()),
            size=self._size,
        )

    def _flush(self) -> None:
        piece, headers = bytes(self._waiting), self._headers
        self._waiting, self._headers = bytearray(), []
        self._wait()
        self._busy = self._pool.submit(self._take, piece, headers)

    def _wait(self) -> None:
        if self._busy is not None:
            self._busy.result()

    def _take(self, piece: bytes, headers: Sequence[HeaderPlace]) -> None:
        self._plain.update(piece)
        self._size += len(piece)
        self._store(self._packer.take(piece, headers))

    def _store(self, packed: bytes) -> None:
        self._packed.update(packed)
        self._packed_size += len(packed)
        self._file.write(packed)


def _packer(compression: Compression) -> Packer:
    if compression == GZIP:
        return _Stream(isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_HEADER))
    from imagekit.oci.zstandard import zstd

    if compression == ZSTD:
        return _Stream(zstd.ZstdCompressor(level=_ZSTD_LEVEL))
    from imagekit.build.chunked import ChunkedPacker

    return ChunkedPacker(_ZSTD_LEVEL)


class _Compress(Protocol):
    """What compressors of zlib's kind have in common."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Stream:
    """Compresses an archive as one stream."""

    def __init__(self, compress: _Compress) -> None:
        self._compress = compress

    def take(self, piece: bytes, headers: Sequence[HeaderPlace]) -> bytes:
        del headers
        return self._compress.compress(piece)

    def end(self) -> tuple[bytes, Mapping[str, str]]:
        return self._compress.flush(), NOTHING

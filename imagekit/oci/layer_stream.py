"""The bytes of a layer as a stream of bounded reads: plain tar, gzip or zstd, never held whole."""

from collections.abc import Iterable, Iterator
from gzip import BadGzipFile, GzipFile
from io import RawIOBase
from typing import IO, TYPE_CHECKING, cast

from isal import igzip, isal_zlib

from imagekit.errors import DocumentError

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_UNPACKED = 64 << 30
"""Most bytes that one layer may unpack to."""
_PIECE = 1 << 20
# ISA-L's stubs declare the exception class as an instance.
DAMAGED_GZIP = (cast("type[Exception]", isal_zlib.IsalError), BadGzipFile, EOFError)
"""What reading a file of ``gunzipped`` raises where it is damaged or cut short."""
# RFC 1952 section 2.3.1 (ID1, ID2); RFC 8878 sections 3.1.1 and 3.1.2 (Magic_Number).
_GZIP = b"\x1f\x8b"
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes((0x50 + low, 0x2A, 0x4D, 0x18)) for low in range(16)))
_MAGIC = 4
"""Bytes of the longest of them."""
_WINDOW_LOG = 27
"""Largest window of a zstd frame, as a power of two: that of the zstd program itself, 128 MiB
(RFC 8878 section 3.1.1.1.2: a decoder may refuse what wants more memory)."""


def gunzipped(packed: "IO[bytes] | RawIOBase") -> GzipFile:
    """Return what reads the content of a file of gzip, once and from front to end.

    Args:
        packed: the file.
    """
    return igzip.IGzipFile(fileobj=packed)  # type: ignore[no-untyped-call]  # isal has no types


class Stream:
    """Reads a layer, unpacked, piece by piece.

    Args:
        pieces: the layer as it lies in the registry.
        where: which layer, for messages.
        limit: most bytes that it may unpack to.
    """

    def __init__(self, pieces: Iterable[bytes], *, where: str, limit: int = MAX_UNPACKED) -> None:
        self._where = where
        self.left = limit
        """How many bytes it may still unpack to."""
        self._limit = limit
        self._source = self._unpacked(iter(pieces))
        self._piece = memoryview(b"")

    def some(self, most: int) -> memoryview:
        """Return between 1 and ``most`` bytes.

        Raises:
            DocumentError: the layer ends here, cannot be unpacked, or unpacks to too much.
        """
        while not self._piece:
            following = next(self._source, None)
            if following is None:
                raise self.broken("it ends in the middle of an entry")
            self._piece = memoryview(following)
        taken, self._piece = self._piece[:most], self._piece[most:]
        return taken

    def exactly(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            DocumentError: as ``some``.
        """
        first = self.some(size)
        if len(first) == size:
            return bytes(first)
        pieces = [first]
        missing = size - len(first)
        while missing:
            pieces.append(self.some(missing))
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Pass over the next bytes.

        Raises:
            DocumentError: as ``some``.
        """
        while size:
            size -= len(self.some(size))

    def rest(self) -> Iterator[memoryview]:
        """Yield all that is left, piece by piece.

        Raises:
            DocumentError: the rest cannot be unpacked, or is too much.
        """
        left, self._piece = self._piece, memoryview(b"")
        yield left
        for piece in self._source:
            yield memoryview(piece)

    def drain(self) -> None:
        """Read to the end, so that whoever sends the bytes can check their digest.

        Raises:
            DocumentError: as ``rest``.
        """
        for _ in self.rest():
            pass

    def broken(self, what: str) -> DocumentError:
        """Return the error that says what is wrong with the layer."""
        return DocumentError(
            f"{self._where} is not a readable layer: {what}",
            hint="it was damaged or made to mislead; pull it again or ask who built it",
            code="BAD_LAYER",
        )

    def _unpacked(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        # By its first bytes: the media type was written by whoever pushed the manifest.
        head = b""
        while len(head) < _MAGIC and (piece := next(pieces, None)) is not None:
            head += piece
        plain = _chained(head, pieces)
        if head.startswith(_GZIP):
            plain = self._gunzip(plain)
        elif head.startswith(_ZSTD):
            plain = self._unzstd(plain)
        for piece in plain:
            # Counted as it is unpacked: gzip makes up to a thousand bytes out of one, zstd more.
            self.left -= len(piece)
            if self.left < 0:
                raise self.broken(f"it unpacks to more than {self._limit} bytes")
            if piece:
                yield piece

    def _gunzip(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            # Members may follow each other (RFC 1952 section 2.2), and zeros may fill up the last
            # block; a member of twenty bytes costs next to nothing here.
            with gunzipped(_File(pieces)) as file:
                while piece := file.read(_PIECE):
                    yield piece
        except DAMAGED_GZIP as error:
            raise self.broken(f"gzip: {error}") from error

    def _unzstd(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        # Few layers are compressed so.
        from imagekit.oci.zstandard import zstd

        bounds: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
        try:
            # Frames follow each other, also such as are passed over: zstd:chunked keeps its table
            # of contents in one at the end.
            with zstd.ZstdFile(_File(pieces), options=bounds) as file:
                while piece := file.read(_PIECE):
                    yield piece
        except (zstd.ZstdError, EOFError) as error:
            raise self.broken(f"zstd: {error}") from error


class _File(RawIOBase):
    """Pieces as a file that is read once, from front to end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        """Fill the buffer with what there is; nothing at the end only."""
        while not self._piece and (following := next(self._pieces, None)) is not None:
            self._piece = memoryview(following)
        view = memoryview(buffer)
        taken, self._piece = self._piece[: len(view)], self._piece[len(view) :]
        view[: len(taken)] = taken
        return len(taken)


def _chained(head: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from pieces

"""The bytes of a layer as a stream of bounded reads: plain tar or gzip, never held whole."""

from collections.abc import Iterable, Iterator
from typing import Protocol, cast

from isal import igzip_lib, isal_zlib

from imagekit.errors import DocumentError

MAX_UNPACKED = 64 << 30
"""Most bytes that one layer may unpack to."""
_PIECE = 1 << 20
_GZIP_ONLY = 31
# ISA-L's stubs declare the exception class as an instance.
_DAMAGED = cast("type[Exception]", igzip_lib.IsalError)
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


class _Inflater(Protocol):
    """The part of the decompressor's state that says what is left of the input."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...


class Stream:
    """Reads a layer, unpacked, piece by piece.

    Args:
        pieces: the layer as it lies in the registry.
        where: which layer, for messages.
        limit: most bytes that it may unpack to.
    """

    def __init__(self, pieces: Iterable[bytes], *, where: str, limit: int = MAX_UNPACKED) -> None:
        self._where = where
        self._left = limit
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

    def drain(self) -> None:
        """Read to the end, so that whoever sends the bytes can check their digest.

        Raises:
            DocumentError: the rest cannot be unpacked, or is too much.
        """
        self._piece = memoryview(b"")
        for _ in self._source:
            pass

    def broken(self, what: str) -> DocumentError:
        """Return the error that says what is wrong with the layer."""
        return DocumentError(
            f"{self._where} is not a readable layer: {what}",
            hint="it was damaged or made to mislead; pull it again or ask who built it",
            code="BAD_LAYER",
        )

    def _unpacked(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        head = b""
        while len(head) < len(_ZSTD) and (piece := next(pieces, None)) is not None:
            head += piece
        if head.startswith(_ZSTD):
            raise DocumentError(
                f"{self._where} is compressed with zstd, which imagekit cannot read",
                hint="push the image with gzip layers",
                code="UNSUPPORTED_LAYER",
            )
        chain = _chained(head, pieces)
        for piece in self._gunzip(chain) if head.startswith(_GZIP) else chain:
            self._left -= len(piece)
            if self._left < 0:
                raise self.broken(f"it unpacks to more than {self._limit} bytes")
            if piece:
                yield piece

    def _gunzip(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        state = isal_zlib.decompressobj(wbits=_GZIP_ONLY)
        try:
            for piece in pieces:
                rest = piece
                while rest:
                    if state.eof:
                        # Members may follow each other, and zeros may fill up the last block.
                        rest = rest.lstrip(b"\0")
                        state = isal_zlib.decompressobj(wbits=_GZIP_ONLY) if rest else state
                        continue
                    yield state.decompress(rest, _PIECE)
                    rest = _rest(state)
            while not state.eof and (last := state.decompress(b"", _PIECE)):
                # What the decompressor still holds back comes out without further input.
                yield last
        except (_DAMAGED, EOFError) as error:
            raise self.broken(f"gzip: {error}") from error
        if not state.eof:
            raise self.broken("its gzip stream is cut short")


def _chained(head: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from pieces


def _rest(state: _Inflater) -> bytes:
    """Return the input that was not used: by this member, or within the bound of a piece."""
    return state.unused_data if state.eof else state.unconsumed_tail

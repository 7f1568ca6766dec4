"""What Java archives state of themselves, by the directory of the ZIP file."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from msgspec import Struct

from imagekit.sbom.text import decoded

_ARCHIVES = (".jar", ".war", ".ear", ".hpi", ".jpi")
_MAX_READ = 6 << 20
"""Of one piece: the directory of an archive of 60,000 classes."""
_MAX_TEXT = 64 << 10
_MAX_TEXTS = 64 << 20
"""Of all manifests and pom.properties of a file together, each with what opening it costs."""
_OPENING = 1 << 10
_MAX_LINES = 1000
_MAX_ENTRIES = 400_000
_MAX_OPEN = 150_000
"""Entries of an archive, and of those that it lies in: all are in memory at once."""
_MAX_RATIO = 200
_MAX_FAULTS = 100
_MAX_DEPTH = 4
_MAX_ARCHIVES = 10_000
_MAX_POMS = 1000
_POMS, _POM = "META-INF/maven/", "/pom.properties"
_MAX_UNPACKED = 1 << 30
_MAX_TOTAL = 4 << 30
_IN_MEMORY = 16 << 20
_LONGEST_VALUE = 1000
_LOCAL = struct.Struct("<26x2H")
_COORDINATES = ("groupId", "artifactId", "version")
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_KEYS = frozenset(
    {
        "Implementation-Title", "Implementation-Version", "Implementation-Vendor-Id",
        "Specification-Version", "Bundle-SymbolicName", "Bundle-Version", "Bundle-License",
        "Bundle-Description", "Bundle-DocURL", "Automatic-Module-Name",
    }
)  # fmt: skip
_FAULTS = (
    zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, RuntimeError, KeyError,
    struct.error,
)  # fmt: skip


class StatedArchive(Struct, frozen=True):
    """What one archive states."""

    inner: str = ""
    """Where it lies in the file; empty for the file itself."""
    poms: tuple[tuple[str, str, str], ...] = ()
    """Group, artifact and version of each pom.properties."""
    manifest: dict[str, str] = {}


class Archives(Struct, frozen=True):
    """What a file states: its own archive first, then those within."""

    archives: list[StatedArchive] = []
    faults: list[str] = []


def archives(file: BinaryIO, size: int) -> Archives:
    """Return what a file and the archives within it state; what is over a bound is a fault.

    Args:
        file: the file, read at any place.
        size: its length in bytes.
    """
    reading = _Reading()
    reading.take(_At(_Window(file, (0, size), reading)))
    return Archives(reading.archives, sorted(set(reading.faults))[:5])


class _At(Struct, frozen=True):
    """An archive: what it is read from, where it lies in the file, and how deep."""

    window: "_Window"
    inner: str = ""
    depth: int = 0


class _Reading:
    """One file, and what may still be read of it."""

    def __init__(self) -> None:
        self.archives: list[StatedArchive] = []
        self.faults: list[str] = []
        self.left = _MAX_TOTAL
        self._unpacked = _MAX_UNPACKED
        self._texts = _MAX_TEXTS
        self._entries, self._open = _MAX_ENTRIES, 0

    def take(self, at: "_At") -> None:
        """Read an archive, and those within."""
        place = len(self.archives)
        if place >= _MAX_ARCHIVES or at.depth > _MAX_DEPTH:
            self._fault("archives within archives, too many or too deep")
            return
        if self._entries < 0:
            self._fault("a directory larger than is read")
            return
        self.archives.append(StatedArchive(at.inner))
        with self._faults(), zipfile.ZipFile(cast("BinaryIO", at.window)) as archive:
            entries = archive.infolist()
            self._entries -= len(entries)
            self._open += len(entries)
            if self._entries < 0 or self._open > _MAX_OPEN:
                self._fault("a directory larger than is read")
            else:
                self.archives[place] = self._stated(archive, at.inner)
                for entry in entries:
                    if entry.filename.endswith(_ARCHIVES):
                        with self._faults():
                            self._inner(archive, entry, at)
            self._open -= len(entries)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Note what is wrong with one part; the others are read all the same."""
        try:
            yield
        except _FAULTS as error:
            self._fault(str(error) or "no archive")

    def _fault(self, fault: str) -> None:
        if len(self.faults) < _MAX_FAULTS:
            self.faults.append(fault)

    def _stated(self, archive: zipfile.ZipFile, inner: str) -> StatedArchive:
        poms: list[tuple[str, str, str]] = []
        manifest: dict[str, str] = {}
        for entry in archive.infolist():
            name = entry.filename
            if name == "META-INF/MANIFEST.MF":
                with self._faults():
                    manifest = _manifest(self._text(archive, entry))
            elif name.startswith(_POMS) and name.endswith(_POM) and len(poms) < _MAX_POMS:
                with self._faults():
                    poms.append(_pom(self._text(archive, entry)))
        return StatedArchive(inner, tuple(sorted(set(poms))), manifest)

    def _text(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
        if entry.compress_type not in _METHODS:
            raise ValueError("compressed in a way that Java does not know")
        if self._texts < 0:
            raise ValueError("more manifests and properties than are read")
        with archive.open(entry) as content:
            raw = content.read(_MAX_TEXT)
        self._texts -= len(raw) + _OPENING
        return decoded(raw)

    def _inner(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, at: "_At") -> None:
        """Read an archive within another one: where it lies, or unpacked."""
        inner = f"{at.inner}!/{entry.filename}" if at.inner else entry.filename
        most = min(self._unpacked, entry.compress_size * _MAX_RATIO)
        if entry.compress_type not in _METHODS or entry.file_size > most:
            self._fault("an archive within is too large, or compressed in another way")
            return
        if entry.compress_type == zipfile.ZIP_STORED:
            start = _content(at.window, entry)
            window = _Window(at.window.file, (start, entry.file_size), self)
            self.take(_At(window, inner, at.depth + 1))
            return
        self._unpacked -= entry.file_size
        with SpooledTemporaryFile(_IN_MEMORY) as copy, archive.open(entry) as content:
            left = entry.file_size
            while left and (piece := content.read(min(left, 1 << 20))):
                copy.write(piece)
                left -= len(piece)
            window = _Window(cast("BinaryIO", copy), (0, entry.file_size - left), self)
            self.take(_At(window, inner, at.depth + 1))


def _content(window: "_Window", entry: zipfile.ZipInfo) -> int:
    """Return where the content of a stored entry begins in the file, behind its own header."""
    window.seek(entry.header_offset)
    header = window.read(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(b"PK\3\4"):
        raise ValueError("an entry without a header")
    name, extra = map(int, _LOCAL.unpack(header))
    return window.start + entry.header_offset + _LOCAL.size + name + extra


class _Window(RawIOBase):
    """A part of a file, as a file; what is read of it is counted."""

    def __init__(self, file: BinaryIO, place: tuple[int, int], reading: _Reading) -> None:
        self.file, self._reading, self._at = file, reading, 0
        self.start, self._size = place

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        self._at = offset + {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._size}[whence]
        if self._at < 0:
            raise OSError("a place before the beginning")
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._at, 0)
        size = left if size < 0 else min(size, left)
        if size > _MAX_READ or size > self._reading.left:
            raise ValueError("a directory larger than is read")
        self._reading.left -= size
        self.file.seek(self.start + self._at)
        raw = self.file.read(size)
        self._at += len(raw)
        return raw


def _manifest(text: str) -> dict[str, str]:
    """Return what is of use of the main section: a line that begins with a space continues one."""
    head = text.replace("\r\n", "\n").partition("\n\n")[0].replace("\n ", "")
    stated = (line.partition(": ") for line in head.split("\n", _MAX_LINES)[:_MAX_LINES])
    return {key: value[:_LONGEST_VALUE].strip() for key, _, value in stated if key in _KEYS}


def _pom(text: str) -> tuple[str, str, str]:
    """Return group, artifact and version (java.util.Properties, as Maven writes it)."""
    lines = text.split("\n", _MAX_LINES)[:_MAX_LINES]
    stated = dict(line.strip().partition("=")[::2] for line in lines)
    values = (stated.get(key, "")[:_LONGEST_VALUE].strip() for key in _COORDINATES)
    group, artifact, version = values
    return group, artifact, version

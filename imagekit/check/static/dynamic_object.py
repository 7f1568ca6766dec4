"""What an ELF file says to the dynamic loader: what it needs, where that lies, which versions.

System V gABI, "Dynamic Section"; for versions of symbols the LSB, "Symbol Versioning". A file is
read once, from front to end: of a large one the parts are kept that hold what is asked for.
"""

import struct
import sys
from collections.abc import Iterator, Sequence

from msgspec import Struct

from imagekit.needs.elf import ElfSegment, byte_order, is_wide, segments
from imagekit.oci.tar import Source

_MIB = 1 << 20
_FRONT = 4 * _MIB
"""Most files are shorter; of longer ones the tables stand here, or in segments without code."""
_MAX_PART = 16 * _MIB
_MAX_NEEDED = 4096
_MAX_VERSIONS = 16_384
_MAX_NAME = 4096
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_PF_X = 1
_ET_EXEC, _ET_DYN = 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME = 0, 1, 5, 10, 14
_DT_RPATH, _DT_RUNPATH = 15, 29
_DT_VERDEF, _DT_VERDEFNUM = 0x6FFFFFFC, 0x6FFFFFFD
_DT_VERNEED, _DT_VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_VER_FLG_WEAK = 2


class WantedVersions(Struct, frozen=True):
    """Versions of symbols that must be defined by a library."""

    library: str
    versions: tuple[str, ...]


class DynamicObject(Struct, frozen=True, kw_only=True):
    """A program or library as the loader sees it."""

    machine: int
    wide: bool
    """Whether it is of 64 bits: the loader passes over what differs in one of both."""
    interpreter: str = ""
    """The loader that a program asks for; empty for libraries and static programs."""
    soname: str = ""
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    """Counts for what is loaded by it, too, where there is no ``runpath``."""
    runpath: tuple[str, ...] = ()
    wanted: tuple[WantedVersions, ...] = ()
    defined: frozenset[str] = frozenset()
    """The versions of symbols that it defines; none where it has no such table."""
    fault: str = ""
    """Why the loader cannot read it."""

    @property
    def kind(self) -> tuple[int, bool]:
        """What two objects must share for one to load the other."""
        return self.machine, self.wide


def dynamic_object(head: bytes, source: Source, size: int) -> DynamicObject | None:
    """Read an ELF file whole; None for what no loader loads: object files, modules, cores.

    Args:
        head: its first bytes, which were read of the source: at most ``HEAD``.
        source: has the rest of it; all of that is taken.
        size: how long the file is.

    Raises:
        DocumentError: the source ends before the file does.
    """
    try:
        order, wide = byte_order(head), is_wide(head)
        kind, machine = struct.unpack_from(f"{order}2H", head, 16)
        listed = tuple(segments(head, order))
    except (struct.error, IndexError):
        source.skip(size - len(head))
        return DynamicObject(machine=0, wide=True, fault="its header is cut off")
    if kind not in {_ET_EXEC, _ET_DYN}:
        source.skip(size - len(head))
        return None
    parts = _Parts(head, source, size=size, ranges=_ranges(listed, size))
    try:
        return _Reader(parts, listed, order=order, wide=wide).object(machine)
    except (struct.error, _NotThereError) as error:
        return DynamicObject(machine=machine, wide=wide, fault=str(error) or "it is cut off")


def _ranges(listed: Sequence[ElfSegment], size: int) -> list[tuple[int, int]]:
    """Return what is kept of a file, in its order: begin and end of each part."""
    kept = [(0, min(size, _FRONT))]
    for segment in listed:
        data = segment.kind == _PT_LOAD and not segment.flags & _PF_X
        if data or segment.kind == _PT_DYNAMIC:
            end = segment.offset + min(segment.size, _MAX_PART)
            kept.append((segment.offset, min(size, end)))
    return sorted(kept)


class _NotThereError(Exception):
    """The file does not hold what it says that it holds."""


class _Parts:
    """Parts of a file, read of a source from front to end."""

    def __init__(
        self, head: bytes, source: Source, *, size: int, ranges: Sequence[tuple[int, int]]
    ) -> None:
        self._parts: list[tuple[int, bytes]] = []
        at = len(head)
        self._parts.append((0, head))
        for begin, end in ranges:
            if end <= at:
                continue
            if begin > at:
                source.skip(begin - at)
                at = begin
            self._parts.append((at, source.exactly(end - at)))
            at = end
        source.skip(size - at)
        self._joined()

    def _joined(self) -> None:
        joined: list[tuple[int, list[bytes]]] = []
        end = -1
        for at, raw in self._parts:
            if at == end:
                joined[-1][1].append(raw)
            else:
                joined.append((at, [raw]))
            end = at + len(raw)
        self._parts = [(at, b"".join(pieces)) for at, pieces in joined]

    def at(self, offset: int, size: int, *, what: str) -> bytes:
        """Return at most so many bytes that begin at an offset, which is in one of the parts."""
        for begin, raw in self._parts:
            if begin <= offset < begin + len(raw):
                return raw[offset - begin : offset - begin + size]
        raise _NotThereError(f"{what} is not where it says")


class _Reader:
    """Reads the dynamic section of one file."""

    def __init__(
        self, parts: _Parts, listed: Sequence[ElfSegment], *, order: str, wide: bool
    ) -> None:
        self._parts = parts
        self._segments = listed
        self._order = order
        self._wide = wide
        self._names = b""

    def object(self, machine: int) -> DynamicObject:
        interpreter = self._interpreter()
        tags = self._tags()
        if _DT_STRTAB in tags:
            size = min(tags.get(_DT_STRSZ, [0])[0], _MAX_PART)
            self._names = self._loaded(tags[_DT_STRTAB][0], size, what="its table of names")
        soname = tags.get(_DT_SONAME)
        return DynamicObject(
            machine=machine,
            wide=self._wide,
            interpreter=interpreter,
            soname=self._name(soname[0]) if soname else "",
            needed=tuple(self._name(at) for at in tags.get(_DT_NEEDED, ())[:_MAX_NEEDED]),
            rpath=self._folders(tags.get(_DT_RPATH, ())),
            runpath=self._folders(tags.get(_DT_RUNPATH, ())),
            wanted=tuple(self._wanted(tags)),
            defined=frozenset(self._defined(tags)),
        )

    def _interpreter(self) -> str:
        for segment in self._segments:
            if segment.kind == _PT_INTERP:
                size = min(segment.size, _MAX_NAME)
                raw = self._parts.at(segment.offset, size, what="the name of its loader")
                return _text(raw)
        return ""

    def _tags(self) -> dict[int, list[int]]:
        """Return the values of the dynamic section by their tags."""
        tags: dict[int, list[int]] = {}
        for segment in self._segments:
            if segment.kind == _PT_DYNAMIC and segment.size:
                size = min(segment.size, _MAX_PART)
                raw = self._parts.at(segment.offset, size, what="its dynamic section")
                form = struct.Struct(f"{self._order}{'2Q' if self._wide else '2I'}")
                for tag, value in form.iter_unpack(raw[: len(raw) // form.size * form.size]):
                    if tag == _DT_NULL:
                        break
                    tags.setdefault(tag, []).append(value)
        return tags

    def _loaded(self, address: int, size: int, *, what: str) -> bytes:
        """Return bytes by the address that they are loaded to."""
        for segment in self._segments:
            within = address - segment.address
            if segment.kind == _PT_LOAD and 0 <= within < segment.size:
                return self._parts.at(segment.offset + within, size, what=what)
        raise _NotThereError(f"{what} is not where it says")

    def _name(self, at: int) -> str:
        end = self._names.find(b"\0", at, at + _MAX_NAME)
        if at >= len(self._names) or end < 0:
            raise _NotThereError("a name is not in its table of names")
        return _text(self._names[at:end])

    def _folders(self, names: Sequence[int]) -> tuple[str, ...]:
        return tuple(folder for at in names[:1] for folder in self._name(at).split(":"))

    def _wanted(self, tags: dict[int, list[int]]) -> Iterator[WantedVersions]:
        """Yield what each library must define (LSB, "Version Requirements")."""
        raw, count = self._table(tags, _DT_VERNEED, _DT_VERNEEDNUM)
        at, left = 0, _MAX_VERSIONS
        for _ in range(count):
            _, entries, name, first, following = struct.unpack_from(f"{self._order}2H3I", raw, at)
            entries = min(entries, left)
            left -= entries
            versions = tuple(self._needed_versions(raw, at + first, entries))
            yield WantedVersions(self._name(name), versions)
            if not following:
                return
            at += following

    def _needed_versions(self, raw: bytes, at: int, count: int) -> Iterator[str]:
        for _ in range(count):
            _, flags, _, name, following = struct.unpack_from(f"{self._order}I2H2I", raw, at)
            if not flags & _VER_FLG_WEAK:
                yield self._name(name)
            at += following

    def _defined(self, tags: dict[int, list[int]]) -> Iterator[str]:
        """Yield the versions that the file defines (LSB, "Version Definitions")."""
        raw, count = self._table(tags, _DT_VERDEF, _DT_VERDEFNUM)
        at = 0
        for _ in range(count):
            words = struct.unpack_from(f"{self._order}4H3I", raw, at)
            first, following = words[5:]
            (name,) = struct.unpack_from(f"{self._order}I", raw, at + first)
            yield self._name(name)
            if not following:
                return
            at += following

    def _table(self, tags: dict[int, list[int]], place: int, number: int) -> tuple[bytes, int]:
        if place not in tags:
            return b"", 0
        raw = self._loaded(tags[place][0], _MIB, what="its table of versions")
        return raw, min(tags.get(number, [0])[0], _MAX_VERSIONS)


def _text(raw: bytes) -> str:
    return sys.intern(raw.partition(b"\0")[0].decode("utf-8", "surrogateescape"))

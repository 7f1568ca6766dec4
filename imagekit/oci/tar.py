"""Entries of a tar stream, read strictly (POSIX.1-2001 pax, ustar, and GNU's long names).

The standard library's tarfile reads a whole pax header into memory, whatever size it claims, and
passes over what it does not understand. A layer comes from a registry: here every size is
bounded, a wrong checksum ends the reading, and no path leads out of the root.
"""

import stat
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Protocol

from msgspec import Struct, field

from imagekit.errors import DocumentError

BLOCK = 512
# Extended attributes stand there, too (SCHILY.xattr), each with up to 64 KiB on Linux.
_MAX_HEADER = 1 << 20
"""Most bytes of one extended header, and so of a path."""
_MAX_RECORDS = 10_000_000
"""Most records of all pax headers of an archive: three for each entry, and more."""
_MAX_SIZE = 1 << 50
_CHECKSUM = slice(148, 156)
_EMPTY = bytes(BLOCK)
CAPABILITY = "SCHILY.xattr.security.capability"
"""The record of a file's capabilities (capabilities(7), "File capabilities")."""
_WANTED = frozenset((b"path", b"linkpath", b"size", b"uid", b"gid", CAPABILITY.encode()))
_SPARSE = b"GNU.sparse."
_NO_RECORDS: Mapping[str, str] = MappingProxyType({})


class Source(Protocol):
    """Where the bytes of an archive come from: a layer that is unpacked, or a file."""

    def exactly(self, size: int) -> bytes:
        """Return the next bytes; fewer are a DocumentError."""
        ...

    def skip(self, size: int) -> None:
        """Pass over the next bytes; fewer are a DocumentError."""
        ...

    def broken(self, what: str) -> DocumentError:
        """Return the error that says what is wrong with the archive."""
        ...


class EntryKind(Enum):
    """What an entry is."""

    FILE = auto()
    FOLDER = auto()
    SYMLINK = auto()
    HARDLINK = auto()
    SPARSE = auto()
    OTHER = auto()


_OLD_FILE = b"\0"
# The typeflag of POSIX.1-2001 pax, "ustar Interchange Format"; ``S`` is GNU's.
_KINDS = {
    b"0": EntryKind.FILE,
    _OLD_FILE: EntryKind.FILE,
    b"7": EntryKind.FILE,
    b"1": EntryKind.HARDLINK,
    b"2": EntryKind.SYMLINK,
    b"3": EntryKind.OTHER,
    b"4": EntryKind.OTHER,
    b"5": EntryKind.FOLDER,
    b"6": EntryKind.OTHER,
    b"S": EntryKind.SPARSE,
}


_ATTRIBUTES = {b"%07o\0" % value: value for value in (0, 0o644, 0o755, 0o777)}
"""What modes and owners mostly are, as programs write them."""


class TarEntry(Struct, frozen=True):
    """One entry; ``size`` bytes of content follow it in the stream."""

    path: str
    kind: EntryKind
    size: int
    mode: int
    """Permission bits."""
    uid: int
    gid: int
    target: str
    header: bytes = b""
    """Its block of the archive, which has all else."""
    records: Mapping[str, str] = field(default_factory=lambda: _NO_RECORDS)
    """Its pax records; where not all were asked for, those that make the other fields,
    and ``CAPABILITY``."""

    @property
    def executable(self) -> bool:
        """Whether its owner may execute it."""
        return bool(self.mode & stat.S_IXUSR)


def entries(stream: Source, *, all_records: bool = False) -> Iterator[TarEntry]:
    """Yield the entries of an archive.

    Whoever iterates must read exactly ``size`` bytes of the stream before the next entry; the
    padding is passed over here.

    Args:
        stream: the archive.
        all_records: whether entries come with all of their pax records.

    Raises:
        DocumentError: the archive is damaged, or made to mislead.
    """
    common: dict[str, str] = {}
    own: dict[str, str] = {}
    extended = _Extended(stream)
    while True:
        header = stream.exactly(BLOCK)
        if header == _EMPTY:
            return
        _check(header, stream)
        kind = header[156:157]
        size = _number(header[124:136], stream)
        # ``x`` and ``g`` are pax' extended headers, of one entry and of all that follow; ``L`` and
        # ``K`` are GNU's long path and long target.
        if kind in b"xgLK":
            records = extended.read(kind, size, every=all_records)
            (common if kind == b"g" else own).update(records)
            continue
        # POSIX.1-2001 pax, "pax Extended Header": an entry's own values go before those of all.
        entry = _entry(header, size, {**common, **own} if common or own else own, stream=stream)
        own = {}
        yield entry
        stream_padding = -entry.size % BLOCK
        if stream_padding:
            stream.skip(stream_padding)


def normal_path(text: str, stream: Source) -> str:
    """Return a path below the root without ``.``, doubled or outer slashes; ``""`` for the root.

    Raises:
        DocumentError: it leads out of the root, or is no path.
    """
    if "\0" in text:
        raise stream.broken(f"the path {text[:60]!r}... is none")
    parts = text.split("/")
    # Also where it would stay inside: behind a link, what it leads to is known on a disk only.
    if ".." in parts:
        raise stream.broken(f"the path {text!r} leads out of the image")
    if "" in parts or "." in parts:
        return "/".join(part for part in parts if part not in {"", "."})
    return text


def _entry(header: bytes, size: int, pax: dict[str, str], *, stream: Source) -> TarEntry:
    kind = _KINDS.get(header[156:157])
    if kind is None:
        raise stream.broken(f"an entry of the unknown type {header[156:157]!r}")
    if pax and "size" in pax:
        size = _decimal(pax["size"], stream)
    if pax and any(key.startswith("GNU.sparse.") for key in pax):
        kind = EntryKind.SPARSE
    # layer.md, "File Attributes": sparse files should not be used. Their holes are not filled here,
    # but what follows them has to be found.
    if header[156:157] == b"S":
        _skip_sparse_map(header, stream)
    has_content = kind in {EntryKind.FILE, EntryKind.SPARSE}
    name = pax.get("GNU.sparse.name") or pax.get("path") or _name(header)
    if header[156:157] == _OLD_FILE and name.endswith("/"):
        # Before POSIX a folder was a file whose name ends with a slash; its content is skipped.
        kind = EntryKind.FOLDER
    return TarEntry(
        path=normal_path(name, stream),
        kind=kind,
        size=size if has_content else 0,
        mode=_attribute(header[100:108], stream) & 0o7777,
        uid=_decimal(pax["uid"], stream) if "uid" in pax else _attribute(header[108:116], stream),
        gid=_decimal(pax["gid"], stream) if "gid" in pax else _attribute(header[116:124], stream),
        target=pax.get("linkpath") or _text(header[157:257]),
        header=header,
        records=pax,
    )


def time_of(entry: TarEntry, stream: Source) -> str:
    """Return an entry's time: seconds since 1970 in digits, with a point and parts of one.

    Args:
        entry: the entry, with all of its records where those are to count.
        stream: where it came from.

    Raises:
        DocumentError: the field is no number (pax, "ustar Interchange Format").
    """
    return entry.records.get("mtime") or str(_number(entry.header[136:148], stream))


def _check(header: bytes, stream: Source) -> None:
    stated = _number(header[_CHECKSUM], stream)
    # The field itself counts as eight spaces.
    if stated != sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" "):
        raise stream.broken("a header's checksum is wrong")


def _name(header: bytes) -> str:
    name = _text(header[:100])
    # GNU's magic is ``ustar`` and a space: it has other fields in the place of the prefix.
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    # To Linux names are bytes: those that are no UTF-8 keep them.
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes, stream: Source) -> int:
    if field[0] & 0x80:
        # GNU's base-256; the lower bit of 0xff says that it is negative, which no field can be.
        value = int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1  # noqa: PLR2004
    else:
        digits = field.strip(b" \0") or b"0"
        value = int(digits, 8) if digits.isdigit() and not set(digits) & set(b"89") else -1
    if not 0 <= value <= _MAX_SIZE:
        raise stream.broken(f"the number {field!r} in a header is none")
    return value


def _attribute(field: bytes, stream: Source) -> int:
    # Few values, in each of many entries.
    value = _ATTRIBUTES.get(field)
    return _number(field, stream) if value is None else value


def _decimal(text: str, stream: Source) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_MAX_SIZE)):
        raise stream.broken(f"the number {text[:40]!r} in an extended header is none")
    return _number(b"%o" % min(int(text), _MAX_SIZE + 1), stream)


class _Extended:
    """Reads an archive's extended headers, and counts their records."""

    def __init__(self, stream: Source) -> None:
        self._stream = stream
        self._count = 0

    def read(self, kind: bytes, size: int, *, every: bool) -> dict[str, str]:
        """Return what an extended header says of the entry behind it."""
        if not 0 < size <= _MAX_HEADER:
            raise self._stream.broken(f"an extended header of {size} bytes")
        content = self._stream.exactly(size + -size % BLOCK)[:size]
        if kind == b"L":
            return {"path": _text(content)}
        if kind == b"K":
            return {"linkpath": _text(content)}
        return dict(self._records(content, every=every))

    def _records(self, content: bytes, *, every: bool) -> Iterator[tuple[str, str]]:
        """Yield the records of one header: length, keyword, value, each on its line."""
        position = 0
        while position < len(content):
            self._count += 1
            space = content.find(b" ", position, position + 10)
            digits = content[position:space]
            length = int(digits) if space > 0 and digits.isdigit() else 0
            record = content[space + 1 : position + length]
            if length <= len(digits) + 1 or not record.endswith(b"\n") or b"=" not in record:
                raise self._stream.broken("an extended header is malformed")
            keyword, _, value = record[:-1].partition(b"=")
            if every or keyword in _WANTED or keyword.startswith(_SPARSE):
                yield keyword.decode("utf-8", "replace"), value.decode("utf-8", "surrogateescape")
            position += length
        if self._count > _MAX_RECORDS:
            raise self._stream.broken(f"extended headers of more than {_MAX_RECORDS} records")


def _skip_sparse_map(header: bytes, stream: Source) -> None:
    """Pass over the blocks behind an old GNU sparse header that list more holes."""
    more = header[482]
    for _ in range(_MAX_HEADER // BLOCK):
        if not more:
            return
        more = stream.exactly(BLOCK)[504]
    raise stream.broken("a sparse file's map is endless")

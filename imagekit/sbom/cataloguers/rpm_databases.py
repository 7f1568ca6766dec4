"""The three databases that RPM keeps its headers in: SQLite, ndb, and Berkeley DB's hash.

Each is read at the places where headers lie, and as nothing else: no SQL of the image is run, and
no index is trusted. What contradicts itself ends the reading with a ``ValueError``.

Sources: sqlite.org/fileformat2.html; rpm, lib/backend/ndb/rpmpkg.c; Berkeley DB, dbinc/db_page.h.
"""

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from imagekit.sbom.cataloguers.rpm_header import MAX_HEADER

_MAX_PAGES = 4_000_000
_MAX_RECORDS = 100_000
"""Of one database, whatever they hold: a package is one record."""
_MAX_SLOT_PAGES = 4096
_MANY = "with more records than are read"
_LOOP = "with pages that lead to each other"
_PAGE_SIZES = frozenset(1 << power for power in range(9, 17))
# Of SQLite: kinds of pages of a table, and of values that are texts or bytes.
_LEAST_USABLE, _INTERIOR, _LEAF = 480, 5, 13
_BYTES = 12
_MOST_COLUMNS = 8
_LAST, _MORE = 8, 0x80
# Of Berkeley DB: how its magic number begins on a little-endian machine, kinds of pages and items.
_LITTLE, _HASH = 0x61, 8
_HASH_PAGES = frozenset({2, 13})
_OFF_PAGE = 3


def headers(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the headers of a database, whichever it is.

    Args:
        file: the database, read at any place.
        size: its length in bytes.

    Raises:
        ValueError: it is none of them, or contradicts itself.
    """
    head, left = _read(file, 0, min(size, 512)), size
    try:
        for number, header in enumerate(_reader(head)(file, size)):
            if number >= _MAX_RECORDS:
                raise ValueError(_MANY)
            # Each has a place of its own: together they are no longer than the file.
            left -= len(header)
            if left < 0:
                raise ValueError("whose headers lie in each other")
            yield header
    except (struct.error, IndexError) as error:
        raise ValueError(str(error)) from error


def _reader(head: bytes) -> Callable[[BinaryIO, int], Iterator[bytes]]:
    if head.startswith(b"SQLite format 3\0"):
        return _sqlite
    if head.startswith(b"RpmP"):
        return _ndb
    if head[12:16] in {b"\x61\x15\x06\x00", b"\x00\x06\x15\x61"}:
        return _berkeley
    raise ValueError("of an unknown format")


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    raw = file.read(count)
    if len(raw) != count:
        raise ValueError("shorter than it says")
    return raw


class _Sqlite:
    """A database of SQLite, read by pages."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        head = _read(file, 0, 100)
        stated = struct.unpack_from(">H", head, 16)[0]
        self._page = 65536 if stated == 1 else stated
        self._usable = self._page - head[20]
        if self._page not in _PAGE_SIZES or self._usable < _LEAST_USABLE:
            raise ValueError("with pages of an impossible size")
        self._left = min(size // self._page + 1, _MAX_PAGES)
        self._records = _MAX_RECORDS

    def page(self, number: int) -> bytes:
        """Return a page; no database has more pages to read than it has pages."""
        self._left -= 1
        if self._left < 0:
            raise ValueError(_LOOP)
        return _read(self._file, (number - 1) * self._page, self._page)

    def rows(self, root: int) -> Iterator[bytes]:
        """Yield the records of the table whose tree begins at a page (section 1.6)."""
        todo = [root]
        while todo:
            number = todo.pop()
            page, at = self.page(number), 100 if number == 1 else 0
            kind, cells = page[at], struct.unpack_from(">H", page, at + 3)[0]
            interior = kind == _INTERIOR
            if not interior and kind != _LEAF:
                raise ValueError("with a page that is none of a table")
            pointers = struct.unpack_from(f">{cells}H", page, at + (12 if interior else 8))
            if interior:
                todo.append(struct.unpack_from(">I", page, at + 8)[0])
                todo.extend(struct.unpack_from(">I", page, place)[0] for place in pointers[::-1])
                if len(todo) > self._left:
                    raise ValueError(_LOOP)
            else:
                self._records -= cells
                if self._records < 0:
                    raise ValueError(_MANY)
                yield from (self._record(page, place) for place in pointers)

    def _record(self, page: bytes, at: int) -> bytes:
        """Return the payload of a cell, from its own page and those that it flows over to."""
        length, at = _varint(page, at)
        _, at = _varint(page, at)
        most = self._usable - 35
        if length > MAX_HEADER:
            raise ValueError("with a record of impossible length")
        if length <= most:
            return page[at : at + length]
        least = (self._usable - 12) * 32 // 255 - 23
        kept = least + (length - least) % (self._usable - 4)
        kept = kept if kept <= most else least
        parts, left = [page[at : at + kept]], length - kept
        following = struct.unpack_from(">I", page, at + kept)[0]
        while left > 0:
            over = self.page(following)
            following = struct.unpack_from(">I", over)[0]
            parts.append(over[4 : 4 + min(left, self._usable - 4)])
            left -= self._usable - 4
        return b"".join(parts)


def _sqlite(file: BinaryIO, size: int) -> Iterator[bytes]:
    database = _Sqlite(file, size)
    for record in database.rows(1):
        # sqlite_schema: type, name, tbl_name, rootpage, sql. A view of that name is no table.
        schema = _columns(record)
        if schema[:2] == [b"table", b"Packages"] and isinstance(schema[3], int):
            for row in database.rows(schema[3]):
                yield from (value for value in _columns(row)[1:2] if isinstance(value, bytes))
            return
    raise ValueError("without a table of packages")


def _columns(record: bytes) -> list[bytes | int]:
    """Return the values of a record (section 2.1); of no interest are numbers with a fraction."""
    header, at = _varint(record, 0)
    kinds: list[int] = []
    while at < min(header, len(record)) and len(kinds) < _MOST_COLUMNS:
        kind, at = _varint(record, at)
        kinds.append(kind)
    values: list[bytes | int] = []
    at = header
    for kind in kinds:
        length = (kind - _BYTES) // 2 if kind >= _BYTES else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind]
        raw = record[at : at + length]
        number = {8: 0, 9: 1}.get(kind, int.from_bytes(raw, "big", signed=True))
        values.append(raw if kind >= _BYTES else number)
        at += length
    return values


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return a number of one to nine bytes, and where it ends (section 1.6)."""
    value = 0
    for count in range(9):
        byte = raw[at + count]
        if count == _LAST:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & ~_MORE
        if not byte & _MORE:
            return value, at + count + 1
    return value, at + 9


def _ndb(file: BinaryIO, size: int) -> Iterator[bytes]:
    slot_pages = struct.unpack_from("<I", _read(file, 0, 32), 12)[0]
    if slot_pages * 4096 > size or slot_pages > _MAX_SLOT_PAGES:
        raise ValueError("with more slots than bytes, or than are read")
    for page in range(slot_pages):
        slots = _read(file, page * 4096, 4096)
        # The first two slots are the database's own header.
        for at in range(32 if page == 0 else 0, 4096, 16):
            magic, package, block, _ = struct.unpack_from("<4s3I", slots, at)
            if magic != b"Slot":
                raise ValueError("with a slot that is none")
            if package:
                yield _ndb_blob(file, block * 16, package)


def _ndb_blob(file: BinaryIO, at: int, package: int) -> bytes:
    magic, owner, _, length = struct.unpack("<4s3I", _read(file, at, 16))
    if magic != b"BlbS" or owner != package or length > MAX_HEADER:
        raise ValueError("with a slot that leads to no package")
    return _read(file, at + 16, length)


def _berkeley(file: BinaryIO, size: int) -> Iterator[bytes]:
    head = _read(file, 0, 512)
    order = "<" if head[12] == _LITTLE else ">"
    page_size = struct.unpack_from(f"{order}I", head, 20)[0]
    if page_size not in _PAGE_SIZES or head[25] != _HASH:
        raise ValueError("of Berkeley DB and no hash")
    database = _Berkeley(file, order, page_size=page_size, pages=min(size // page_size, _MAX_PAGES))
    for number in range(1, database.pages):
        yield from database.values(number)


class _Berkeley:
    """A hash of Berkeley DB, read page by page; where its buckets lead to is not looked at."""

    def __init__(self, file: BinaryIO, order: str, *, page_size: int, pages: int) -> None:
        self._file, self._size, self._order = file, page_size, order
        self.pages = pages
        self._left = pages
        self._records = _MAX_RECORDS

    def values(self, number: int) -> Iterator[bytes]:
        """Yield the values of a page that lie on other pages: every header does."""
        head = _read(self._file, number * self._size, 26)
        if head[25] not in _HASH_PAGES:
            return
        page = _read(self._file, number * self._size, self._size)
        count = struct.unpack_from(f"{self._order}H", page, 20)[0]
        places = struct.unpack_from(f"{self._order}{count}H", page, 26)
        self._records -= count // 2
        if self._records < 0:
            raise ValueError(_MANY)
        for place in places[1::2]:
            if page[place] == _OFF_PAGE:
                first, length = struct.unpack_from(f"{self._order}2I", page, place + 4)
                yield self._overflow(first, length)

    def _overflow(self, number: int, length: int) -> bytes:
        if length > MAX_HEADER:
            raise ValueError("with a header of impossible length")
        parts: list[bytes] = []
        got = 0
        while number and got < length:
            self._left -= 1
            if self._left < 0:
                raise ValueError(_LOOP)
            page = _read(self._file, number * self._size, self._size)
            number, used = (
                struct.unpack_from(f"{self._order}I", page, 16)[0],
                struct.unpack_from(f"{self._order}H", page, 22)[0],
            )
            parts.append(page[26 : 26 + used])
            got += used
        return b"".join(parts)[:length]

"""Databases of RPM with a few packages, of each format that it had."""

import sqlite3
import struct
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

Value = str | int | Sequence[str] | Sequence[int]
_SIZE = 4096


def header(tags: Mapping[int, Value]) -> bytes:
    """Return a header with these tags."""
    entries, data = b"", b""
    for tag, value in tags.items():
        kind, count, raw = _encoded(value)
        data += bytes(-len(data) % 4) if kind == 4 else b""
        entries += struct.pack(">4I", tag, kind, len(data), count)
        data += raw
    return struct.pack(">2I", len(tags), len(data)) + entries + data


def _encoded(value: Value) -> tuple[int, int, bytes]:
    if isinstance(value, str):
        return 6, 1, value.encode() + b"\0"
    values = [value] if isinstance(value, int) else list(value)
    if all(isinstance(number, int) for number in values):
        return 4, len(values), struct.pack(f">{len(values)}I", *values)
    return 8, len(values), b"".join(str(text).encode() + b"\0" for text in values)


def sqlite(headers: Sequence[bytes], *, sql: str = "") -> bytes:
    """Return a database as RPM 4.16 and later have it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "rpmdb.sqlite"
        connection = sqlite3.connect(place)
        connection.executescript(
            sql or "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB)"
        )
        for blob in headers if not sql else ():
            connection.execute("INSERT INTO Packages (blob) VALUES (?)", (blob,))
        connection.commit()
        connection.close()
        return place.read_bytes()


def ndb(headers: Sequence[bytes]) -> bytes:
    """Return a database as SUSE has it."""
    slots, blobs = b"", b""
    for number, blob in enumerate(headers, 1):
        place = (_SIZE + len(blobs)) // 16
        slots += struct.pack("<4s3I", b"Slot", number, place, 0)
        blobs += struct.pack("<4s3I", b"BlbS", number, 0, len(blob)) + blob
        blobs += bytes(-len(blobs) % 16)
    head = struct.pack("<4s7I", b"RpmP", 0, 1, 1, 0, 0, 0, 0)
    free = struct.pack("<4s3I", b"Slot", 0, 0, 0) * ((_SIZE - len(head) - len(slots)) // 16)
    return head + slots + free + blobs


def berkeley(headers: Sequence[bytes], *, order: str = "<") -> bytes:
    """Return a database as RPM had it until 4.15: one page of a hash, and those behind it."""
    pages: list[bytes] = []
    items = []
    for blob in headers:
        items.append((len(pages) + 2, len(blob)))
        room = _SIZE - 26
        pieces = [blob[at : at + room] for at in range(0, len(blob), room)]
        for left, piece in enumerate(pieces):
            number = len(pages) + 2
            following = number + 1 if left + 1 < len(pieces) else 0
            pages.append(_page(order, number, following, len(piece), 7, piece))
    body, places = b"", []
    for number, (first, length) in enumerate(items, 1):
        for raw in (
            b"\1" + struct.pack(f"{order}I", number),
            b"\3\0\0\0" + struct.pack(f"{order}2I", first, length),
        ):
            body += raw
            places.append(_SIZE - len(body))
    table = struct.pack(f"{order}{len(places)}H", *places)
    hash_page = bytearray(_page(order, 1, 0, 0, 13, table, entries=len(places)))
    at = _SIZE
    for number, place in enumerate(places):
        hash_page[place:at] = body[_SIZE - at : _SIZE - place]
        at = place
        assert number < len(places)
    meta = bytearray(_SIZE)
    struct.pack_into(f"{order}3I", meta, 12, 0x061561, 9, _SIZE)
    meta[25] = 8
    struct.pack_into(f"{order}I", meta, 32, len(pages) + 1)
    return bytes(meta) + bytes(hash_page) + b"".join(pages)


def _page(
    order: str, number: int, following: int, used: int, kind: int, content: bytes, entries: int = 1
) -> bytes:
    head = struct.pack(f"{order}8x3I2H2B", number, 0, following, entries, used, 0, kind)
    return (head + content).ljust(_SIZE, b"\0")

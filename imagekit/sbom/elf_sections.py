"""Sections of ELF files by their names (System V gABI, "Sections")."""

import struct
from typing import BinaryIO

from imagekit.needs.elf import MAGIC

MAX_ELF = 2 << 30
"""Largest file that is looked into, in bytes."""
_MAX_SECTION = 1 << 20
_MAX_SECTIONS = 4096
_MAX_NAME = 64
_WIDE, _LITTLE = 2, 1
_NO_BITS, _COMPRESSED = 8, 0x800


def sections(file: BinaryIO, size: int, wanted: frozenset[str]) -> dict[str, bytes]:
    """Return what the wanted sections of a file hold; what is malformed has none.

    Args:
        file: the file, read at any place.
        size: its length in bytes.
        wanted: names of sections. One of more than 1 MiB is there and empty, so that its reader
            notes it; a compressed one is left out.
    """
    try:
        return _sections(file, size, wanted)
    except (struct.error, IndexError, ValueError, OverflowError):
        return {}


def _sections(file: BinaryIO, size: int, wanted: frozenset[str]) -> dict[str, bytes]:
    head = file.read(64)
    if not head.startswith(MAGIC):
        return {}
    wide, order = head[4] == _WIDE, "<" if head[5] == _LITTLE else ">"
    table = struct.unpack_from(f"{order}Q" if wide else f"{order}I", head, 40 if wide else 32)[0]
    entry, count, names = struct.unpack_from(f"{order}3H", head, 58 if wide else 46)
    header = struct.Struct(f"{order}2I4Q2I2Q" if wide else f"{order}10I")
    if entry != header.size or not 0 < table < size or count > _MAX_SECTIONS or names >= count:
        return {}
    file.seek(table)
    raw = file.read(entry * count)
    headers = [header.unpack_from(raw, number * entry) for number in range(count)]
    texts = _held(file, headers[names], size)
    found: dict[str, bytes] = {}
    for fields in headers:
        name = texts[fields[0] : fields[0] + _MAX_NAME].partition(b"\0")[0].decode("latin-1")
        plain = fields[1] != _NO_BITS and not fields[2] & _COMPRESSED
        if name in wanted and name not in found and plain:
            found[name] = _held(file, fields, size)
    return found


def _held(file: BinaryIO, header: tuple[int, ...], size: int) -> bytes:
    """Return what a section holds; nothing where it is longer than is read, or than the file."""
    offset, length = header[4], header[5]
    if length > _MAX_SECTION or offset + length > size:
        return b""
    file.seek(offset)
    return file.read(length)

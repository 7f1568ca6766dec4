"""Headers of RPM packages as the database holds them (rpm, docs/manual/format_header.md).

A count of entries and a count of bytes, then the entries, each a tag, a type, a place and a count,
then the bytes; all numbers are big-endian, on every machine.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any

MAX_HEADER = 16 << 20
"""Longest header that is read, in bytes: a kernel's sources have one of 6 MiB."""
_ENTRY = struct.Struct(">4I")
_MAX_ENTRIES = 4096
_MAX_STRINGS = 500_000
"""Texts of all lists of a header together: a kernel's sources have 160,000."""
_MAX_TEXT = 4096
_INT32, _STRING, _STRINGS, _I18N = 4, 6, 8, 9

NAME, VERSION, RELEASE, EPOCH, SUMMARY = 1000, 1001, 1002, 1003, 1004
VENDOR, LICENSE, URL, ARCHITECTURE, SOURCE = 1011, 1014, 1020, 1022, 1044
PROVIDES, REQUIRES, FOLDER_INDEXES, BASE_NAMES, FOLDERS = 1047, 1049, 1116, 1117, 1118
OLD_FILES = 1027
_TEXTS = frozenset({NAME, VERSION, RELEASE, SUMMARY, VENDOR, LICENSE, URL, ARCHITECTURE, SOURCE})
_LISTS = frozenset({PROVIDES, REQUIRES, BASE_NAMES, FOLDERS, OLD_FILES})


def header_tags(blob: bytes) -> Mapping[int, Any]:
    """Return what the tags say that are of use: a text, a list of texts, or a tuple of numbers.

    Args:
        blob: the header, without the magic number of package files.

    Raises:
        ValueError: it is none.
    """
    try:
        return dict(_tags(blob))
    except struct.error as error:
        raise ValueError(str(error)) from error


def _tags(blob: bytes) -> Iterator[tuple[int, Any]]:
    entries, length = struct.unpack_from(">2I", blob)
    start = 8 + entries * _ENTRY.size
    if entries > _MAX_ENTRIES or start + length > len(blob):
        raise ValueError("the header is shorter than it says")
    held, seen = blob[start : start + length], set[int]()
    left = _MAX_STRINGS
    for number in range(entries):
        tag, kind, place, count = _ENTRY.unpack_from(blob, 8 + number * _ENTRY.size)
        if place > length:
            raise ValueError("an entry lies outside of the header")
        # The same bytes may not be read again and again.
        if tag in seen:
            continue
        seen.add(tag)
        if tag in _TEXTS and kind in {_STRING, _STRINGS, _I18N}:
            yield tag, _text(held, place)
        elif tag in _LISTS and kind == _STRINGS:
            left -= count
            if left < 0:
                raise ValueError("more texts than are read")
            yield tag, _strings(held, place, count)
        elif tag in {EPOCH, FOLDER_INDEXES} and kind == _INT32 and place + 4 * count <= length:
            yield tag, struct.unpack_from(f">{count}I", held, place)


def _text(held: bytes, at: int) -> str:
    """Return the text that ends with a zero byte; the beginning of one that is longer than any."""
    end = held.find(b"\0", at, at + _MAX_TEXT)
    if end < 0 and at + _MAX_TEXT >= len(held):
        raise ValueError("a text has no end")
    return held[at : at + _MAX_TEXT if end < 0 else end].decode("utf-8", "surrogateescape")


def _strings(held: bytes, at: int, count: int) -> list[str]:
    """Return so many texts, each of which ends with a zero byte."""
    if count > len(held) - at:
        raise ValueError("more texts than bytes")
    texts = held[at:].split(b"\0", count)
    if len(texts) <= count:
        raise ValueError("a text has no end")
    return [text.decode("utf-8", "surrogateescape") for text in texts[:count]]

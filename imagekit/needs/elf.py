"""What the notes of an ELF file say that it needs: a level of the processor, and a kernel.

System V gABI "Note Section"; the notes named GNU are of the Linux Extensions to gABI: the ABI tag
(the oldest kernel that its C library was built for) and program properties (the x86 ISA level that
the loader demands).
"""

import struct
from collections.abc import Iterator

from msgspec import Struct

MAGIC = b"\x7fELF"
HEAD = 16 << 10
"""How many bytes of a file are looked at: notes stand right behind the program headers."""
_MAX_SEGMENTS = 128
_MAX_NOTES = 64
_CLASS_64 = 2
_LITTLE = 1
_MACHINES = frozenset({3, 62})
"""EM_386 and EM_X86_64: the meaning of a property depends on the machine."""
_PT_NOTE = 4
_ABI_TAG, _PROPERTIES = 1, 5
_LINUX = 0
_ISA_NEEDED = 0xC0008002
"""GNU_PROPERTY_X86_ISA_1_NEEDED: one bit for each level, from the baseline up."""
_BASELINE_AND_LEVELS = 4
_WIDE, _NARROW = 8, 4


class ElfNotes(Struct, frozen=True):
    """What an ELF file says that it needs."""

    level: int = 0
    """The highest x86-64 level; 0 where it says none."""
    kernel: tuple[int, ...] = ()
    """The oldest Linux; empty where it says none."""


class ElfSegment(Struct, frozen=True):
    """A program header."""

    kind: int
    flags: int
    offset: int
    """Where it lies in the file; ``size`` is what it has there."""
    address: int
    size: int
    align: int


def elf_notes(head: bytes) -> ElfNotes:
    """Return what the first bytes of an ELF file say; what is malformed says nothing."""
    level, kernel = 0, ()
    try:
        order = byte_order(head)
        (machine,) = struct.unpack_from(f"{order}H", head, 18)
        for kind, description, align in _notes(head, order):
            if kind == _ABI_TAG and len(description) >= 4 * _NARROW:
                os, *version = struct.unpack_from(f"{order}4I", description)
                kernel = max(kernel, tuple(version)) if os == _LINUX else kernel
            if kind == _PROPERTIES and machine in _MACHINES:
                level = max(level, _isa(description, order, align))
    except (struct.error, IndexError):
        return ElfNotes(level, kernel)
    return ElfNotes(level, kernel)


def _notes(head: bytes, order: str) -> Iterator[tuple[int, bytes, int]]:
    """Yield type, description and alignment of each note named GNU."""
    for offset, size, align in _note_segments(head, order):
        at, end = offset, min(offset + size, len(head))
        for _ in range(_MAX_NOTES):
            if at + 3 * _NARROW > end:
                break
            name_size, size_, kind = struct.unpack_from(f"{order}3I", head, at)
            name_at = at + 3 * _NARROW
            # The description begins at a multiple of the alignment, counted from the note.
            start = at + _padded(3 * _NARROW + name_size, align)
            if head[name_at : name_at + name_size] == b"GNU\0" and start + size_ <= end:
                yield kind, head[start : start + size_], align
            at = start + _padded(size_, align)


def _note_segments(head: bytes, order: str) -> Iterator[tuple[int, int, int]]:
    """Yield offset, size and alignment of the segments of notes."""
    for segment in segments(head, order):
        if segment.kind == _PT_NOTE:
            yield segment.offset, segment.size, _WIDE if segment.align == _WIDE else _NARROW


def segments(head: bytes, order: str) -> Iterator[ElfSegment]:
    """Yield the program headers that the first bytes of a file hold (gABI, "Program Header").

    Args:
        head: the first bytes of an ELF file.
        order: the byte order, as ``struct`` writes it.

    Raises:
        struct.error, IndexError: the bytes end before the header of the file does.
    """
    wide = is_wide(head)
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)
    entry, count = struct.unpack_from(f"{order}2H", head, 54 if wide else 42)
    for number in range(min(count, _MAX_SEGMENTS)):
        at = table + number * entry
        if at + (56 if wide else 32) > len(head):
            return
        if wide:
            kind, flags, *rest = struct.unpack_from(f"{order}2I6Q", head, at)
            offset, address, _, size, _, align = rest
        else:
            words = struct.unpack_from(f"{order}8I", head, at)
            kind, offset, address, _, size, _, flags, align = words
        yield ElfSegment(kind, flags, offset, address, size, align)


def is_wide(head: bytes) -> bool:
    """Return whether a file is of 64 bits (EI_CLASS)."""
    return head[4] == _CLASS_64


def byte_order(head: bytes) -> str:
    """Return the byte order of a file (EI_DATA), as ``struct`` writes it."""
    return "<" if head[5] == _LITTLE else ">"


def _isa(properties: bytes, order: str, align: int) -> int:
    at = 0
    for _ in range(_MAX_NOTES):
        if at + 2 * _NARROW > len(properties):
            break
        kind, size = struct.unpack_from(f"{order}2I", properties, at)
        at += 2 * _NARROW
        if kind == _ISA_NEEDED and size == _NARROW:
            (bits,) = struct.unpack_from(f"{order}I", properties, at)
            # Of bits that are not known nobody can say what they need: the highest known counts.
            return min(int(bits).bit_length(), _BASELINE_AND_LEVELS)
        at += _padded(size, align)
    return 0


def _padded(size: int, align: int) -> int:
    return (size + align - 1) // align * align

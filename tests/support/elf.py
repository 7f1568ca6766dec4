"""ELF files of nothing but notes."""

import struct

_NOTE_SEGMENT = 4
_HEADER, _ENTRY = 64, 56


def elf(*notes: tuple[bytes, int], machine: int = 62) -> bytes:
    """Return a 64-bit file whose segments hold these notes, each with its alignment."""
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = struct.pack(
        "<2HI3QI6H", 3, machine, 1, 0, _HEADER, 0, 0, _HEADER, _ENTRY, len(notes), 0, 0, 0
    )
    at = _HEADER + _ENTRY * len(notes)
    table, body = b"", b""
    for note, align in notes:
        place = at + len(body)
        table += struct.pack(
            "<2I6Q", _NOTE_SEGMENT, 4, place, place, place, len(note), len(note), align
        )
        body += note + bytes(-len(note) % 8)
    return ident + header + table + body


def isa_needed(bits: int) -> tuple[bytes, int]:
    """Return GNU_PROPERTY_X86_ISA_1_NEEDED, behind a property that is of no interest."""
    other = struct.pack("<3I4x", 0xC0000002, 4, 3)
    properties = other + struct.pack("<3I4x", 0xC0008002, 4, bits)
    return struct.pack("<3I", 4, len(properties), 5) + b"GNU\0" + properties, 8


def abi_tag(*version: int, os: int = 0) -> tuple[bytes, int]:
    """Return NT_GNU_ABI_TAG."""
    return struct.pack("<3I", 4, 16, 1) + b"GNU\0" + struct.pack("<4I", os, *version), 4

"""ELF files of nothing but notes, or sections."""

import struct
from collections.abc import Mapping

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


def elf_with_sections(
    sections: Mapping[str, bytes], *, wide: bool = True, order: str = "<", flags: int = 0
) -> bytes:
    """Return a file that has nothing but sections, their names among them."""
    texts = b"\0" + b"".join(name.encode() + b"\0" for name in (*sections, ".shstrtab"))
    head_size = 64 if wide else 52
    body, headers = b"", [(0,) * 10]
    for name, content in (*sections.items(), (".shstrtab", texts)):
        place = texts.index(name.encode() + b"\0")
        own = 0 if name == ".shstrtab" else flags
        headers.append((place, 1, own, 0, head_size + len(body), len(content), 0, 0, 1, 0))
        body += content
    shape = f"{order}2I4Q2I2Q" if wide else f"{order}10I"
    table = b"".join(struct.pack(shape, *header) for header in headers)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    numbers = (head_size, 56 if wide else 32, 0, struct.calcsize(shape), len(headers))
    word = "Q" if wide else "I"
    header = struct.pack(
        f"{order}2HI3{word}I6H",
        2, 62, 1, 0, 0, head_size + len(body), 0, *numbers, len(headers) - 1,
    )  # fmt: skip
    return ident + header + body + table

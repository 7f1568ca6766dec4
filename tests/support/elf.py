"""ELF files of nothing but notes, sections, or what the loader reads."""

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

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


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """What a hand-made program or library says to the loader."""

    needed: tuple[str, ...] = ()
    soname: str = ""
    interpreter: str = ""
    rpath: str = ""
    runpath: str = ""
    wants: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """By libraries, versions of symbols."""
    defines: tuple[str, ...] = ()
    machine: int = 62
    kind: int = 3
    """ET_DYN."""
    wide: bool = True
    gap: int = 0
    """Bytes of code between the headers and the tables."""


def linked(**said: Any) -> bytes:
    """Return a program or library that the static checks can read, of the fields of ``Linked``."""
    return _LinkedFile(Linked(**said)).raw()


class _LinkedFile:
    """Lays the tables of a file out; addresses are offsets in it."""

    def __init__(self, said: Linked) -> None:
        self._said = said
        self._names = b"\0"
        self._header, self._entry = (64, 56) if said.wide else (52, 32)

    def raw(self) -> bytes:
        said = self._said
        interpreter = said.interpreter.encode() + b"\0" if said.interpreter else b""
        segments = 2 + bool(interpreter)
        at = self._header + segments * self._entry
        body = interpreter + bytes(said.gap)
        tags = [(tag, self._name(text)) for tag, text in self._texts()]
        wants, defines = self._wants(), self._defines()
        names_at = at + len(body)
        body += self._names + bytes(-len(self._names) % 8)
        tags += [(5, names_at), (10, len(self._names))]
        for table, place, number, count in (
            (wants, 0x6FFFFFFE, 0x6FFFFFFF, len(said.wants)),
            (defines, 0x6FFFFFFC, 0x6FFFFFFD, len(said.defines)),
        ):
            if table:
                tags += [(place, at + len(body)), (number, count)]
                body += table + bytes(-len(table) % 8)
        dynamic_at = at + len(body)
        form = "<2Q" if said.wide else "<2I"
        dynamic = b"".join(struct.pack(form, *tag) for tag in [*tags, (0, 0)])
        end = dynamic_at + len(dynamic)
        table = self._segment(3, at, len(interpreter)) if interpreter else b""
        # Without PF_X, as linkers lay tables out.
        table += self._segment(1, 0, end) + self._segment(2, dynamic_at, len(dynamic))
        return self._head(segments) + table + body + dynamic

    def _texts(self) -> Iterator[tuple[int, str]]:
        said = self._said
        yield from ((1, name) for name in said.needed)
        optional = ((14, said.soname), (15, said.rpath), (29, said.runpath))
        yield from ((tag, text) for tag, text in optional if text)

    def _name(self, text: str) -> int:
        at = len(self._names)
        self._names += text.encode() + b"\0"
        return at

    def _wants(self) -> bytes:
        table = b""
        left = len(self._said.wants)
        for library, versions in self._said.wants.items():
            left -= 1
            size = 16 + 16 * len(versions)
            table += struct.pack(
                "<2H3I", 1, len(versions), self._name(library), 16, size if left else 0
            )
            for number, version in enumerate(versions, 1):
                following = 16 if number < len(versions) else 0
                table += struct.pack("<I2H2I", 0, 0, number, self._name(version), following)
        return table

    def _defines(self) -> bytes:
        table = b""
        for number, version in enumerate(self._said.defines, 1):
            following = 28 if number < len(self._said.defines) else 0
            table += struct.pack("<4H3I", 1, 0, number, 1, 0, 20, following)
            table += struct.pack("<2I", self._name(version), 0)
        return table

    def _segment(self, kind: int, at: int, size: int) -> bytes:
        if self._said.wide:
            return struct.pack("<2I6Q", kind, 4, at, at, at, size, size, 8)
        return struct.pack("<8I", kind, at, at, at, size, size, 4, 8)

    def _head(self, segments: int) -> bytes:
        said = self._said
        ident = b"\x7fELF" + bytes([2 if said.wide else 1, 1, 1]) + bytes(9)
        form = "<2HI3QI6H" if said.wide else "<2HI3II6H"
        return ident + struct.pack(
            form,
            *(said.kind, said.machine, 1, 0, self._header, 0, 0),
            *(self._header, self._entry, segments, 0, 0, 0),
        )

"""Sections of ELF files by their names."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.sbom.elf_sections import sections
from tests.support.elf import elf_with_sections

WANTED = frozenset({".a", ".b"})


def read(raw: bytes) -> dict[str, bytes]:
    """Return the wanted sections of a file."""
    return sections(io.BytesIO(raw), len(raw), WANTED)


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_wanted_sections_are_read(*, wide: bool, order: str) -> None:
    """Of 32 and 64 bits, of both orders of bytes; others are left."""
    raw = elf_with_sections({".a": b"one", ".other": b"x", ".b": b"two"}, wide=wide, order=order)

    assert read(raw) == {".a": b"one", ".b": b"two"}


def test_compressed_sections_are_left_out_and_long_ones_empty() -> None:
    """Neither is read, and who reads the section notes the long one; the others are read."""
    assert read(elf_with_sections({".a": b"x"}, flags=0x800)) == {}
    assert read(elf_with_sections({".a": bytes((1 << 20) + 1), ".b": b"x"})) == {
        ".a": b"",
        ".b": b"x",
    }


@pytest.mark.parametrize(
    ("at", "value"),
    [(40, b"\xff" * 8), (40, bytes(8)), (58, b"\x01\x00"), (60, b"\xff\xff"), (62, b"\xff\xff")],
)
def test_a_malformed_table_has_no_sections(at: int, value: bytes) -> None:
    """Its place, the size of its entries, their number, and the names."""
    raw = bytearray(elf_with_sections({".a": b"x"}))
    raw[at : at + len(value)] = value

    assert read(bytes(raw)) == {}


def test_a_section_behind_the_end_has_nothing() -> None:
    """Its size is a claim."""
    raw = elf_with_sections({".a": b"x"})
    table = struct.unpack_from("<Q", raw, 40)[0]
    entry = bytearray(raw)
    struct.pack_into("<Q", entry, table + 64 + 32, 1 << 19)

    assert read(bytes(entry)) == {".a": b""}


@given(place=st.integers(0, 200), change=st.binary(min_size=1, max_size=8), cut=st.integers(0, 300))
def test_whatever_is_changed_is_read_or_left(place: int, change: bytes, cut: int) -> None:
    """No exception, and never more than the file has."""
    raw = bytearray(elf_with_sections({".a": b"one", ".b": b"two"}))
    raw[place : place + len(change)] = change

    found = read(bytes(raw[:cut]) if cut % 2 else bytes(raw))

    assert found.keys() <= WANTED
    assert all(content in raw for content in found.values())

"""What the notes of ELF files say, and that hostile ones say nothing."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.needs.elf import HEAD, ElfNotes, elf_notes
from tests.support.elf import abi_tag, elf, isa_needed


@pytest.mark.parametrize(
    ("bits", "level"), [(0b1, 1), (0b11, 2), (0b111, 3), (0b1111, 4), (0b1001, 4), (1 << 9, 4)]
)
def test_the_isa_level_of_a_program_is_read(bits: int, level: int) -> None:
    """The highest bit counts, and one that is not known counts as the highest that is."""
    assert elf_notes(elf(isa_needed(bits))) == ElfNotes(level)


def test_the_kernel_of_the_abi_tag_is_read() -> None:
    """It is the oldest Linux that the C library was built for."""
    assert elf_notes(elf(abi_tag(5, 10, 0))) == ElfNotes(0, (5, 10, 0))


def test_both_are_read_of_one_file() -> None:
    """Each note has a segment of its own, with an alignment of its own."""
    assert elf_notes(elf(isa_needed(7), abi_tag(4, 4, 1))) == ElfNotes(3, (4, 4, 1))


def test_another_system_needs_no_linux() -> None:
    """The ABI tag of GNU/Hurd says nothing about Linux."""
    assert elf_notes(elf(abi_tag(5, 10, 0, os=1))) == ElfNotes()


def test_a_property_of_another_machine_is_another_one() -> None:
    """The number of the property is free for each processor."""
    assert elf_notes(elf(isa_needed(7), machine=183)) == ElfNotes()


def test_a_note_of_another_owner_is_passed_over() -> None:
    """Types count from 1 for every owner."""
    raw = elf(abi_tag(5, 10, 0)).replace(b"GNU\0", b"Go\0\0")

    assert elf_notes(raw) == ElfNotes()


@pytest.mark.parametrize("size", [0, 4, 5, 20, 63, 64, 100, 130])
def test_a_file_that_is_cut_short_says_nothing(size: int) -> None:
    """No error comes of it."""
    assert elf_notes(elf(isa_needed(7))[:size]) == ElfNotes()


@given(st.binary(max_size=600), st.integers(0, HEAD))
def test_hostile_headers_end(tail: bytes, at: int) -> None:
    """Any bytes behind the magic are read to an answer."""
    good = elf(isa_needed(7), abi_tag(4, 4, 1))
    at %= len(good)

    notes = elf_notes(good[:at] + tail + good[at + len(tail) :])

    assert 0 <= notes.level <= 4


def test_many_segments_are_not_walked_through() -> None:
    """A count of 65,535 segments is looked at as far as is usual."""
    raw = bytearray(elf(isa_needed(7)))
    struct.pack_into("<H", raw, 56, 0xFFFF)

    assert elf_notes(bytes(raw) + bytes(HEAD)).level == 3

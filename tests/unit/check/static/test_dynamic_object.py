"""What an ELF file says to the loader, read from front to end."""

import pytest

from imagekit.check.static import dynamic_object as room
from imagekit.check.static.dynamic_object import DynamicObject, WantedVersions, dynamic_object
from imagekit.needs.elf import HEAD
from imagekit.oci.layer_stream import Stream
from tests.support.elf import linked

_SAID = {
    "needed": ("liba.so.1", "libb.so"),
    "soname": "libc.so.2",
    "interpreter": "/lib/ld.so",
    "rpath": "/one:/two",
    "runpath": "$ORIGIN/../lib",
    "wants": {"liba.so.1": ("A_1", "A_2"), "libb.so": ("B_1",)},
    "defines": ("C_1", "C_2"),
}


def _read(raw: bytes) -> DynamicObject | None:
    stream = Stream([raw + b"next"], where="x")
    head = stream.exactly(min(len(raw), HEAD))
    found = dynamic_object(head, stream, len(raw))
    # All of the file was taken, and nothing of what follows it.
    assert bytes(stream.some(10)) == b"next"
    return found


@pytest.mark.parametrize("wide", [True, False])
def test_all_that_is_said_is_read(*, wide: bool) -> None:
    """In files of both classes."""
    assert _read(linked(**_SAID, wide=wide)) == DynamicObject(
        machine=62,
        wide=wide,
        interpreter="/lib/ld.so",
        soname="libc.so.2",
        needed=("liba.so.1", "libb.so"),
        rpath=("/one", "/two"),
        runpath=("$ORIGIN/../lib",),
        wanted=(WantedVersions("liba.so.1", ("A_1", "A_2")), WantedVersions("libb.so", ("B_1",))),
        defined=frozenset({"C_1", "C_2"}),
    )


def test_of_a_long_file_its_tables_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind as much code as there may be."""
    monkeypatch.setattr(room, "_FRONT", 32 << 10)
    raw = linked(**_SAID, gap=3 << 20)

    found = _read(raw)

    assert found is not None
    assert found.needed == ("liba.so.1", "libb.so")
    assert found.fault == ""


@pytest.mark.parametrize("kind", [1, 4], ids=["object file", "core"])
def test_what_no_loader_loads_is_nothing(kind: int) -> None:
    """It needs no library."""
    assert _read(linked(kind=kind)) is None


@pytest.mark.parametrize("kept", [17, 40, 150, 400])
def test_what_is_cut_off_is_a_fault(kept: int) -> None:
    """And nothing is raised."""
    found = _read(linked(**_SAID)[:kept])

    assert found is not None
    assert found.fault


@pytest.mark.parametrize("value", [0, 1, 0x7F, 0xFF])
def test_damage_is_a_fault_or_nothing(value: int) -> None:
    """Whatever byte is another one: no error, and no endless table."""
    raw = linked(**_SAID)

    for at in range(16, len(raw)):
        _read(raw[:at] + bytes([value]) + raw[at + 1 :])

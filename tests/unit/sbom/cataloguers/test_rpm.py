"""Packages of RPM, from its three databases."""

import io
import json
import struct
import time
import tracemalloc
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagekit.sbom.cataloguers import rpm_databases
from imagekit.sbom.cataloguers.rpm import _extract, _licences
from imagekit.sbom.cataloguers.rpm_header import header_tags
from imagekit.sbom.contents import Component, Kind, License, Sbom, Supplier
from tests.support.rpmdb import Value, berkeley, header, ndb, sqlite

Listed = Callable[[Mapping[str, bytes]], Sbom]
Written = Callable[[list[bytes]], bytes]

OS = b"ID=rocky\nVERSION_ID=9.3\n"
LIBS = header(
    {
        1000: "solver-libs", 1001: "2.1", 1002: "3.el9", 1003: 1, 1004: "Its libraries",
        1011: "Example", 1014: "GPLv2+ and zlib", 1020: "https://example.org", 1022: "x86_64",
        1044: "solver-2.1-3.el9.src.rpm", 1047: ["libsolver.so.2()(64bit)"],
        1116: [0, 1], 1117: ["libsolver.so.2", "README"], 1118: ["/usr/lib64/", "/usr/share/doc/"],
    }
)  # fmt: skip
SOLVER = header(
    {
        1000: "solver", 1001: "2.1", 1002: "3.el9", 1003: 0, 1022: "x86_64",
        1049: ["rpmlib(CompressedFileNames)", "libsolver.so.2()(64bit)", "/bin/sh"],
        1027: ["/usr/bin/solver"], 1004: "x" * 9000,
    }
)  # fmt: skip
KEY = header({1000: "gpg-pubkey", 1001: "9867c58f", 1002: "601c49ca"})
EVERY = [LIBS, SOLVER, KEY]
FORMATS: list[tuple[str, Written]] = [
    ("var/lib/rpm/rpmdb.sqlite", sqlite),
    ("usr/lib/sysimage/rpm/Packages.db", ndb),
    ("var/lib/rpm/Packages", berkeley),
    ("usr/share/rpm/Packages", lambda headers: berkeley(headers, order=">")),
]


def rpms(found: Sbom) -> dict[str, Component]:
    """Return the packages by their names."""
    return {c.name: c for c in found.components if c.kind is Kind.RPM}


@pytest.mark.parametrize(("path", "written"), FORMATS)
def test_packages_are_listed_from_every_database(
    listed: Listed, path: str, written: Written
) -> None:
    """Each with all that its header says; a key is no software."""
    elf = {"usr/lib64/libsolver.so.2": b"\x7fELF", "usr/bin/solver": b"\x7fELF"}
    found = listed({"etc/os-release": OS, path: written(EVERY), **elf})

    packages = rpms(found)
    assert set(packages) == {"solver", "solver-libs"}
    libs, solver = packages["solver-libs"], packages["solver"]
    assert libs.version == "1:2.1-3.el9"
    assert libs.purl == (
        "pkg:rpm/rocky/solver-libs@2.1-3.el9"
        "?arch=x86_64&distro=rocky-9.3&epoch=1&upstream=solver-2.1-3.el9.src.rpm"
    )
    assert libs.licenses == (License(stated="GPLv2+ and zlib", spdx="GPL-2.0-or-later AND Zlib"),)
    assert libs.supplier == Supplier(name="Example")
    assert solver.version == "2.1-3.el9"
    assert solver.depends == (libs.ref,)
    assert not [c for c in found.components if c.kind is Kind.PROGRAM]
    assert found.notes == ()


def test_many_packages_lie_on_many_pages() -> None:
    """Of a tree of SQLite with inner pages."""
    raw = sqlite([header({1000: f"p{number}", 1001: "1"}) for number in range(3000)])

    assert _extract_names(raw) == {f"p{number}" for number in range(3000)}


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE x (a); CREATE VIEW Packages AS SELECT 1, zeroblob(9)",
        "CREATE TABLE other (hnum, blob)",
    ],
)
def test_a_view_or_nothing_of_that_name_is_a_note(listed: Listed, sql: str) -> None:
    """No SQL of the image is ever run."""
    found = listed({"var/lib/rpm/rpmdb.sqlite": sqlite([], sql=sql)})

    assert rpms(found) == {}
    assert "/var/lib/rpm/rpmdb.sqlite was not read to its end" in found.notes[0]


@pytest.mark.parametrize("raw", [b"", b"none", b"SQLite format 3\0", b"RpmP", bytes(4096)])
def test_what_is_no_database_is_a_note(listed: Listed, raw: bytes) -> None:
    """It is neither an error nor silence."""
    found = listed({"var/lib/rpm/Packages": raw})

    assert (found.components, len(found.notes)) == ((), 1)


def test_what_was_read_before_a_fault_is_listed(listed: Listed) -> None:
    """With a note that there is more."""
    found = listed({"usr/lib/sysimage/rpm/Packages.db": ndb([LIBS, b"\0\0\1\0" + bytes(8)])})

    assert set(rpms(found)) == {"solver-libs"}
    assert "was not read to its end" in found.notes[0]


def test_pages_that_lead_to_each_other_end() -> None:
    """A page that is its own child, and a chain that comes back to itself."""
    raw = bytearray(sqlite([header({1000: f"p{n}", 1001: "1"}) for n in range(3000)]))
    for page in range(1, len(raw) // 4096):
        if raw[page * 4096] == 5:
            struct.pack_into(">I", raw, page * 4096 + 8, page + 1)
    chain = bytearray(berkeley([SOLVER]))
    struct.pack_into("<I", chain, 2 * 4096 + 16, 2)
    struct.pack_into("<H", chain, 2 * 4096 + 22, 0)

    began = time.process_time()
    for hostile in (raw, chain):
        assert b"lead to each other" in _extracted(bytes(hostile))
    assert time.process_time() - began < 2


def test_slots_that_lead_to_one_package_end(listed: Listed) -> None:
    """All headers together are no longer than the database."""
    raw = bytearray(ndb([SOLVER] * 200))
    for number in range(200):
        struct.pack_into("<2I", raw, 36 + 16 * number, 1, 4096 // 16)

    (note,) = listed({"usr/lib/sysimage/rpm/Packages.db": bytes(raw[: 4096 + 40_000])}).notes

    assert "headers lie in each other" in note


@pytest.mark.parametrize(
    ("tags", "place"),
    [
        ({1116: [0] * 9000, 1117: ["x"] * 9000, 1118: [f"/{'a' * 100_000}/"]}, "paths"),
        ({1047: ["a"] * 300_000, 1049: ["b"] * 300_000}, "more texts"),
    ],
)
def test_products_and_lists_of_a_header_are_bounded(tags: Mapping[int, Value], place: str) -> None:
    """A folder counts for each file in it: a megabyte would else become gigabytes."""
    raw = ndb([header({1000: "a", 1001: "1", **tags})])

    tracemalloc.start()
    assert place.encode() in _extracted(raw)
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


def test_a_long_text_is_cut_and_no_name() -> None:
    """A part of a name would be another one."""
    raw = ndb([header({1000: "x" * 9000, 1001: "1"}), SOLVER])

    assert _extract_names(raw) == {"solver"}


def test_pages_that_lead_to_many_others_hold_no_memory() -> None:
    """Each of the pages that are still to be read is one of the file's."""
    size, cells = 512, 200
    first, inner = bytearray(size), bytearray(size)
    first[:16], first[16:18] = b"SQLite format 3\0", struct.pack(">H", size)
    struct.pack_into(">BxxH3xI", first, 100, 5, 0, 2)
    struct.pack_into(f">BxxH3xI{cells}H", inner, 0, 5, cells, 2, *[508] * cells)
    struct.pack_into(">I", inner, 508, 2)

    tracemalloc.start()
    assert b"lead to each other" in _extracted(bytes(first + inner) + bytes(size * 20_000))
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_empty_records_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost as much as others, and no byte each."""
    monkeypatch.setattr(rpm_databases, "_MAX_RECORDS", 2)

    for _, written in FORMATS:
        assert b"more records" in _extracted(written(EVERY))


@pytest.mark.parametrize(("raw", "notes"), [(b"", 0), (bytes(32), 0), (bytes(4152), 1)])
def test_a_log_with_changes_is_a_note(listed: Listed, raw: bytes, notes: int) -> None:
    """What it says is not in the database yet."""
    found = listed({"var/lib/rpm/rpmdb.sqlite": sqlite(EVERY), "var/lib/rpm/rpmdb.sqlite-wal": raw})

    assert set(rpms(found)) == {"solver", "solver-libs"}
    assert len(found.notes) == notes


@pytest.mark.parametrize(
    ("stated", "spdx"),
    [
        ("GPLv2+ and (MIT or zlib)", "GPL-2.0-or-later AND (MIT OR Zlib)"),
        ("(GPL+ or Artistic 2.0) and ISC", "(GPL-1.0-or-later OR Artistic-2.0) AND ISC"),
        ("BSD", "BSD"),
    ],
)
def test_older_names_of_licences_are_translated(stated: str, spdx: str) -> None:
    """Those of one meaning, in their operators."""
    assert _licences(stated) == (License(stated=stated, spdx=spdx),)


@pytest.mark.parametrize(
    "blob",
    [
        b"\0\0\0\1\0\0\0\0",
        struct.pack(">2I4I", 1, 1, 1000, 6, 9, 1) + b"x",
        struct.pack(">2I4I", 1, 1, 1117, 8, 0, 1 << 31) + b"x",
        struct.pack(">2I4I", 1, 1, 1000, 6, 0, 1) + b"x",
    ],
)
def test_a_header_that_contradicts_itself_is_refused(blob: bytes) -> None:
    """Shorter than it says, an entry outside, more texts than bytes, a text without an end."""
    with pytest.raises(ValueError, match=r"\w"):
        header_tags(blob)


@settings(deadline=None, max_examples=300)
@given(
    which=st.sampled_from(range(4)),
    place=st.integers(0, 12_000),
    change=st.binary(min_size=1, max_size=6),
)
def test_whatever_is_changed_is_read_or_noted(which: int, place: int, change: bytes) -> None:
    """No exception, and a document at the end."""
    raw = bytearray(_WRITTEN[which])
    raw[place : place + len(change)] = change

    assert _extracted(bytes(raw)).count(b"\n") <= len(EVERY)


_WRITTEN = [written(EVERY) for _, written in FORMATS]


def _extracted(raw: bytes) -> bytes:
    return _extract(io.BytesIO(raw), len(raw))


def _extract_names(raw: bytes) -> set[str]:
    *lines, fault = _extracted(raw).split(b"\n")
    assert fault == b'""'
    return {json.loads(line)["name"] for line in lines}

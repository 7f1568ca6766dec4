"""Products and bytes are counted: what is over is one note, and the rest of the SBOM is there.

Each test is of an image that is small to send and had no end to catalogue.
"""

import gzip
import io
import tarfile
import time
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest

from imagekit.build import catalogued
from imagekit.build.catalogued import Budget
from imagekit.errors import DocumentError
from imagekit.oci import tar
from imagekit.sbom import system
from imagekit.sbom.catalogue import catalogue
from imagekit.sbom.contents import Sbom, Subject
from imagekit.sbom.cyclonedx import cyclonedx_json
from imagekit.sbom.layer_files import read_layer
from imagekit.sbom.overlay import lay_over

STATUS = "var/lib/dpkg/status"
HONEST = b"Package: honest\nVersion: 1\nArchitecture: all\n\n"
Item = tuple[str, bytes, dict[str, object]]


def file(name: str, content: bytes = b"", **fields: object) -> Item:
    """A regular file."""
    return name, content, fields


def link(name: str, target: str) -> Item:
    """A symbolic link."""
    return name, b"", {"type": tarfile.SYMTYPE, "linkname": target}


def hard(name: str, target: str) -> Item:
    """A hard link."""
    return name, b"", {"type": tarfile.LNKTYPE, "linkname": target}


def layer(items: Iterable[Item]) -> bytes:
    """Return a layer of these entries."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content, fields in items:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in fields.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def sbom(*layers: bytes) -> Sbom:
    """Catalogue an image of these layers."""
    budget = Budget()
    read = [
        read_layer([raw], layer=f"sha256:{number}", digest_programs=True, budget=budget)
        for number, raw in enumerate(layers)
    ]
    return catalogue(read, subject=Subject(name="x"))


def names(found: Sbom) -> set[str]:
    """Return what is listed."""
    return {one.name for one in found.components}


@pytest.fixture(autouse=True)
def in_good_time() -> Iterator[None]:
    """Nothing here takes more than seconds of the processor: it took minutes, or for ever."""
    began = time.process_time()
    yield
    assert time.process_time() - began < 60


def test_packages_that_all_need_all_are_few_edges() -> None:
    """A thousand packages that provide and need one name are not a million edges."""
    stanza = b"Package: p%d\nVersion: 1\nArchitecture: all\nProvides: x\nDepends: x\n\n"

    found = sbom(layer([file(STATUS, b"".join(stanza % n for n in range(1000)))]))

    assert len(found.components) == 1000
    assert len(cyclonedx_json(found, tool_version="1")) < 15 << 20
    assert "the dependencies of" in found.notes[0]


def test_python_packages_that_all_need_all_are_few_edges() -> None:
    """The same holds for distributions of Python."""
    needs = b"".join(b"Requires-Dist: p%d\n" % n for n in range(300))
    items = [
        file(f"l/{'s' * 90}{n}.dist-info/METADATA", b"Name: p%d\nVersion: 1\n%s" % (n, needs))
        for n in range(300)
    ]

    found = sbom(layer(items))

    assert sum(len(edge) for one in found.components for edge in one.depends) <= 6 << 20
    assert len(found.components) == 300


def test_one_long_link_is_a_note() -> None:
    """A target of half a million folders is no path of Linux; the rest goes on."""
    found = sbom(layer([link("etc", "a/" * 500_000), file(STATUS, HONEST)]))

    assert names(found) == {"honest"}
    assert "/etc was not read: a link to 1000000 characters" in found.notes


def test_links_with_long_targets_take_no_memory() -> None:
    """A target of a megabyte is not kept."""
    target = "t" * 1_000_000
    raw = gzip.compress(layer([link(f"l{n}", target) for n in range(100)]), compresslevel=1)
    tracemalloc.start()
    try:
        found = sbom(raw)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert most < 30 << 20
    assert found.notes[-1].endswith("more remarks")


def test_links_of_links_end() -> None:
    """Forty links of two thousand levels each are resolved once for nobody's packages."""
    long = "x/" * 500 + "../" * 500
    chain = [link(f"d{n}", f"{long}d{n + 1}") for n in range(39)]
    docs = [link(f"usr/share/doc/p{n}", f"../../../d0/{n}") for n in range(100)]
    stanzas = b"".join(b"Package: p%d\nVersion: 1\n\n" % n for n in range(100))

    found = sbom(layer([*chain, *docs, file(STATUS, stanzas)]))

    assert len(found.components) == 100


def test_a_list_that_many_packages_link_to_is_digested_once() -> None:
    """Two thousand links to eight megabytes are eight megabytes."""
    folder = "var/lib/dpkg/info"
    links = [link(f"{folder}/p{n}.md5sums", "s.md5sums") for n in range(1, 2000)]
    stanzas = b"".join(b"Package: p%d\nVersion: 1\n\n" % n for n in range(2000))
    items = [file(f"{folder}/s.md5sums", b"q" * (8 << 20)), *links, file(STATUS, stanzas)]

    found = sbom(layer(items))

    assert len(found.components) == 2000
    assert any("too many links to one" in note for note in found.notes)


def test_licences_that_many_packages_link_to_do_not_multiply() -> None:
    """Two hundred long licences of six hundred packages are not written six hundred times."""
    lines = b"".join(b"License: %s-%d\n" % (b"l" * 280, n) for n in range(300))
    text = file("usr/share/doc/s/copyright", b"Format: copyright-format/1.0\n" + lines)
    links = [link(f"usr/share/doc/p{n}", "s") for n in range(600)]
    stanzas = b"".join(b"Package: p%d\nVersion: 1\n\n" % n for n in range(600))

    found = sbom(layer([text, *links, file(STATUS, stanzas)]))

    assert len(repr(found)) < 18 << 20
    assert any("texts are too large together" in note for note in found.notes)


def test_metadata_that_is_linked_often_is_counted_each_time() -> None:
    """Hard links to one METADATA are as many headers to read."""
    first = "a0.dist-info/METADATA"
    raw = b"Name: a\nVersion: 1\n" + b"Requires-Dist: a\n" * 10_000
    items = [hard(f"a{n}.dist-info/METADATA", first) for n in range(1, 60)]

    found = sbom(layer([file(first, raw), *items, file(STATUS, HONEST)]))

    assert "honest" in names(found)
    assert any("metadata of" in note for note in found.notes)


def test_a_folded_header_of_many_lines_is_read_in_line() -> None:
    """A hundred thousand continuations are joined once and not over and over."""
    raw = b"Name: a\nVersion: 1\nSummary: x\n" + b" \n" * 100_000 + b"Home-page: h\n"

    assert names(sbom(layer([file("a.dist-info/METADATA", raw)]))) == {"a"}


def test_gzip_members_of_nothing_cost_nothing() -> None:
    """A hundred thousand empty members before the layer are passed over."""
    raw = gzip.compress(b"") * 100_000 + gzip.compress(layer([file(STATUS, HONEST)]))

    assert names(sbom(raw)) == {"honest"}


def test_many_whiteouts_over_many_files_are_looked_at_once() -> None:
    """Files of a lower layer are not gone through for each of many upper ones."""
    lower = layer([file(f"d/p{n}", b"\x7fELF") for n in range(5000)])
    upper = [layer([file(f"d/.wh.p{n}")]) for n in range(200)]

    found = sbom(lower, *upper)

    assert len(found.components) == 4800


def test_deep_paths_are_a_note() -> None:
    """A thousand levels are no place of any package."""
    deep = [file("a/" * 1500 + f"f{n}") for n in range(500)]

    found = sbom(layer([*deep, file(STATUS, HONEST)]), layer([file(".wh.z")]))

    assert names(found) == {"honest"}
    assert "500 paths of more than 250 levels are not looked at" in found.notes


def test_more_packages_than_any_distribution_has_are_a_note() -> None:
    """The first of them are listed."""
    stanzas = b"".join(b"Package: p%d\nVersion: 1\n\n" % n for n in range(20_500))

    found = sbom(layer([file(STATUS, stanzas)]))

    assert len(found.components) == 20_000
    assert "500 more Debian packages are not listed" in found.notes


@pytest.mark.parametrize(
    ("bound", "items", "word"),
    [
        ("entries", [file(STATUS, HONEST), file("b"), file("c")], "more than"),
        ("links", [file(STATUS, HONEST), link("b", "c"), link("c", "d")], "symbolic links"),
        ("documents", [file(STATUS, HONEST), file("a.egg-info", b"x")], "too many"),
        ("kept", [file(STATUS, HONEST), file("a.egg-info", b"x" * 1000)], "too large together"),
        ("names", [file(STATUS, HONEST), file("n" * 90), file("m" * 90)], "paths"),
    ],
)
def test_what_is_over_is_a_note_and_the_rest_goes_on(
    bound: str, items: list[Item], word: str
) -> None:
    """Each bound of reading leaves out what is over, says so, and keeps what came before."""
    budget = Budget()
    getattr(budget, bound).left = {"kept": 500, "names": 500}.get(bound, 1)

    read = read_layer([layer(items)], layer="x", digest_programs=True, budget=budget)

    assert STATUS in read.documents
    assert any(word in note for note in read.notes)


def test_a_system_is_listed_though_nothing_more_may_be_read() -> None:
    """Its file was read at the beginning, whatever the licences of packages took since."""
    items = [file("etc/os-release", b"ID=debian\n"), file(STATUS, HONEST)]
    read = read_layer([layer([*items, file("usr/share/doc/honest/copyright")])], layer="x")
    root = lay_over([read])
    found = system.system(root)
    root.bounds.read.left = 0

    assert [one.name for one in system.component(found)] == ["debian"]


def test_more_licences_than_are_listed_are_a_note() -> None:
    """A package with a thousand licences has two hundred, and that is said."""
    text = "Format: https://x/copyright-format/1.0\n" + "".join(
        f"License: l{number}\n" for number in range(1000)
    )

    found = sbom(
        layer([file(STATUS, HONEST), file("usr/share/doc/honest/copyright", text.encode())])
    )

    assert len(found.components[0].licenses) == 200
    assert "the licences of 1 packages are not all listed" in found.notes


def test_what_a_package_needs_last_is_listed_too() -> None:
    """No number of relations or alternatives is passed over in silence."""
    many = ", ".join(f"none{number}" for number in range(3000))
    either = " | ".join(f"none{number}" for number in range(300))
    needs = f"Package: a\nVersion: 1\nDepends: {many}, {either} | honest\n\n".encode()

    found = sbom(layer([file(STATUS, needs + HONEST)]))

    depends = {one.name: one.depends for one in found.components}
    assert len(depends["a"]) == 1


def test_a_version_is_never_cut() -> None:
    """A part of a version is another version: such an entry is a note."""
    long = b"Package: long\nVersion: 1%s\n\n" % (b"0" * 300)
    python = file("x/a.egg-info", b"Name: a\nVersion: 1%s\n\n" % (b"0" * 300))

    found = sbom(layer([file(STATUS, long + HONEST), python]))

    assert names(found) == {"honest"}
    assert f"/{STATUS} has an entry without a valid name and version" in found.notes
    assert "/x/a.egg-info has no valid name and version" in found.notes


def test_the_budget_is_that_of_the_image() -> None:
    """Two layers together have no more than one of them."""
    budget = Budget()
    budget.documents.left = 1
    raw = layer([file(STATUS, HONEST)])

    first, second = (read_layer([raw], layer="x", budget=budget) for _ in range(2))

    assert (len(first.documents), len(second.documents)) == (1, 0)
    assert second.removed == {STATUS}


def test_layers_together_unpack_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """One layer that a manifest lists a thousand times is not unpacked a thousand times."""
    monkeypatch.setattr(catalogued, "MAX_UNPACKED", 30_000)
    budget, raw = Budget(), layer([])
    for _ in range(2):
        read_layer([raw], layer="x", budget=budget)

    with pytest.raises(DocumentError, match="unpacks to more than"):
        read_layer([raw], layer="x", budget=budget)


def test_records_of_pax_headers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers that say nothing, over and over, end with an error."""
    monkeypatch.setattr(tar, "_MAX_RECORDS", 20)
    raw = layer([file(f"{n}", pax_headers={"comment": "x", "other": "y"}) for n in range(20)])

    with pytest.raises(DocumentError, match="records"):
        sbom(raw)


def test_an_executable_of_holes_is_noted_and_hides_the_lower_one() -> None:
    """A sparse program is not passed over: nothing stale is listed in its place."""
    below = layer([file("bin/x", b"\x7fELF", mode=0o755)])
    above = layer([file("bin/x", b"x", mode=0o755, pax_headers={"GNU.sparse.major": "1"})])

    found = sbom(below, above)

    assert names(found) == set()
    assert "/bin/x was not read: a sparse file" in found.notes


def test_remarks_about_many_files_are_few() -> None:
    """Hundreds of fragments without a name are not hundreds of notes, and hide no other one."""
    bad = [file(f"var/lib/dpkg/status.d/{n:0150}", b"Package: N O\n") for n in range(500)]

    found = sbom(layer([*bad, file("var/lib/opkg/status")]))

    assert len(found.notes) <= 51
    assert "opkg database" in found.notes[0]


@pytest.mark.parametrize(
    ("marker", "needed"),
    [
        ("extra == 'a'", False),
        ('(extra=="a" or extra == "b") and os_name == "posix"', False),
        ('python_version < "4" or extra == "a"', True),
        ('platform_version != "extra"', True),
        ('implementation_name == "cpython"', True),
    ],
)
def test_only_what_an_extra_alone_asks_for_is_no_dependency(marker: str, *, needed: bool) -> None:
    """The word in a string, or beside another reason, is none (PEP 508)."""
    uses = f"Name: uses\nVersion: 1\nRequires-Dist: other; {marker}\n".encode()

    found = sbom(
        layer(
            [file("x/uses.egg-info", uses), file("x/other.egg-info", b"Name: other\nVersion: 1\n")]
        )
    )

    depends = {one.name: one.depends for one in found.components}
    assert bool(depends["uses"]) == needed

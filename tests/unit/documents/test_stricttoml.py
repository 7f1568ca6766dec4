"""TOML with the places of its keys; hostile documents end soon."""

import time

import pytest

from imagekit.documents import stricttoml
from imagekit.documents.report import Report
from imagekit.documents.strictyaml import Broken, Mapping, Scalar, Sequence


def _compose(text: str) -> tuple[Mapping, Report]:
    report = Report("f.toml", "test")
    node = stricttoml.compose(text.encode(), report)
    assert isinstance(node, Mapping)
    return node, report


def _fault(raw: bytes) -> tuple[str, int]:
    report = Report("f.toml", "test")
    stricttoml.compose(raw, report)
    return report.diagnostics[0].code, report.diagnostics[0].line


@pytest.mark.parametrize(
    ("text", "key", "places"),
    [
        pytest.param("a = 1", "a", ((1, 1, 1), (1, 5, 1)), id="plain"),
        pytest.param('# c\n  "a=b" =  "x=y"', "a=b", ((2, 3, 5), (2, 12, 5)), id="quoted"),
        pytest.param('x = [\n"b = 1",\n]\nb = 2', "b", ((4, 1, 1), (4, 5, 1)), id="behind a list"),
        pytest.param('x = """\nb = 1\n"""\nb=2', "b", ((4, 1, 1), (4, 3, 1)), id="behind a text"),
        pytest.param("[t]\nb = 1\n[b]\n", "b", ((3, 1, 3), (3, 1, 3)), id="a table"),
        pytest.param("t.u = 1", "t", ((1, 1, 3), (1, 7, 1)), id="dotted"),
    ],
)
def test_a_key_of_the_first_level_has_its_place(
    text: str, key: str, places: tuple[tuple[int, int, int], ...]
) -> None:
    """The key is found where it is said, and not where a value has the same letters."""
    node, report = _compose(text)

    entry = next(entry for entry in node.entries if entry.key == key)
    found = [(s.line, s.column, s.length) for s in (entry.key_span, entry.value.span)]
    assert tuple(found) == places
    assert not report.failed


def test_values_keep_their_kinds() -> None:
    """A quoted number is text; what is inside a list has the place of its key."""
    node, _ = _compose('a = ["1", 2, true]')

    value = node.entries[0].value
    assert isinstance(value, Sequence)
    scalars = [item for item in value.items if isinstance(item, Scalar)]
    assert [(item.value, item.plain, item.span.line) for item in scalars] == [
        ("1", False, 1),
        (2, True, 1),
        (True, True, 1),
    ]


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"a = 1\nb = x\n", ("test/syntax", 2)),
        (b"a = 1\na = 2\n", ("test/syntax", 2)),
        (b"a = [", ("test/syntax", 1)),
        (b"\xff", ("test/encoding", 1)),
        ("a = '\u202e'".encode(), ("test/control-character", 1)),
        (b"a = 1979-05-27", ("test/wrong-kind", 1)),
        (b"a.b.c.d.e.f.g.h.i.j = 1", ("test/too-deep", 1)),
        (b"a = " + b"[" * 5000, ("test/syntax", 0)),
        (b"a = " + b"9" * 5000, ("test/syntax", 0)),
        (b"#" * (stricttoml.MAX_BYTES + 1), ("test/too-large", 0)),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(raw: bytes, fault: tuple[str, int]) -> None:
    """Each fault stops the reading, and none is an exception."""
    assert _fault(raw) == fault


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("".join(f"k{n} = [\n{'1,' * 4}\n]\n" for n in range(700)), id="many lists"),
        pytest.param(f'"{"=" * 16_000}" = 1', id="a long key"),
        pytest.param("k = [\n" + "1,\n" * 5000 + "]", id="a long list"),
    ],
)
def test_places_are_looked_for_within_bounds(text: str) -> None:
    """Whoever writes the document does not choose how long it is read."""
    began = time.process_time()
    node, _ = _compose(text)

    assert node.entries
    assert time.process_time() - began < 20


def test_an_empty_document_is_an_empty_mapping() -> None:
    """A file of settings that sets none is one."""
    node, report = _compose("# nothing\n")

    assert (node.entries, report.failed) == ((), False)
    assert isinstance(stricttoml.compose(b"=", report), Broken)

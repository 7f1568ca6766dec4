"""YAML that has one meaning, with places."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagekit.documents import strictyaml
from imagekit.documents.report import Report
from imagekit.documents.strictyaml import Broken, Mapping, Scalar, Sequence


def read(raw: bytes | str) -> tuple[strictyaml.Node, Report]:
    """Compose the bytes with a report of their own."""
    report = Report("file.yaml", "test")
    return strictyaml.compose(raw.encode() if isinstance(raw, str) else raw, report), report


def codes(raw: bytes | str) -> list[str]:
    """Return the codes of the faults, without the area."""
    return [d.code.removeprefix("test/") for d in read(raw)[1].diagnostics]


REFUSED = {
    "duplicate": ("a: 1\na: 2\n", "duplicate-key", 2, 1),
    "nested duplicate": ("x: {b: 1, b: 2}\n", "duplicate-key", 1, 11),
    "anchor": ("a: &x 1\n", "alias", 1, 4),
    "alias": ("a: *x\n", "alias", 1, 4),
    "merge": ("a:\n  <<: {b: 1}\n", "alias", 2, 3),
    "tag": ("a: !!python/object:os.system x\n", "tag", 1, 4),
    "plain tag": ("a: !!str 3\n", "tag", 1, 4),
    "non-specific tag": ("a: ! 3\n", "tag", 1, 4),
    "second document": ("a: 1\n---\nb: 2\n", "several-documents", 2, 1),
    "directive": ("%YAML 1.1\n---\na: 1\n", "directive", 1, 1),
    "number as key": ("1: x\n", "key-not-text", 1, 1),
    "truth as key": ("true: x\n", "key-not-text", 1, 1),
    "empty key": ("a: 1\n? \n: x\n", "key-not-text", 2, 2),
    "null as key": ("~: x\n", "key-not-text", 1, 1),
    "list as key": ("[1, 2]: x\n", "key-not-text", 1, 1),
    "tab": ("a:\n\tb: 1\n", "syntax", 2, 1),
    "two colons": ("a: b: c\n", "syntax", 1, 5),
    "unclosed": ("a: [1\n", "syntax", 2, 1),
    "no character": ('a: "\\U00110000"\n', "syntax", 0, 0),
    "beyond all characters": ('a: "\\UFFFFFFFF"\n', "syntax", 0, 0),
    "endless version": (f"%YAML 1.{'1' * 5000}\n---\na: 1\n", "syntax", 0, 0),
    "half a surrogate pair": ('a: "\\ud800"\n', "surrogate", 1, 4),
    "half a pair as key": ('"\\udfff": 1\n', "surrogate", 1, 1),
    "NUL": ("a: b\0\n", "control-character", 1, 5),
    "escape": ("a: \x1b[2J\n", "control-character", 1, 4),
    "bidi": ("a: b\nc: \u202ex\n", "control-character", 2, 4),
    "byte order mark": ("\ufeffa: b\n", "control-character", 1, 1),
    "lone carriage return": ("a: b\rc: d\n", "control-character", 1, 5),
    "next line": ("a: b\u0085\n", "control-character", 1, 5),
    "empty": ("", "empty", 0, 0),
    "comment only": ("# nothing\n", "empty", 0, 0),
    "long number": (f"a: {'1' * 1001}\n", "number-too-long", 1, 4),
    "long hexadecimal number": (f"a: 0x{'1' * 5000}\n", "number-too-long", 1, 4),
    "too deep": ("[" * 40, "too-deep", 1, 33),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
def test_refuses_with_place(row: tuple[str, str, int, int]) -> None:
    """What parsers read differently, or what hides the meaning, is refused where it stands."""
    text, code, line, column = row
    _, report = read(text)

    first = report.diagnostics[0]
    assert (first.code, first.line, first.column) == (f"test/{code}", line, column)


@pytest.mark.parametrize(
    "raw",
    [b"a: \xff\n", "a: b\n".encode("utf-16"), "a: ü\n".encode("latin-1"), b"a: \xed\xa0\x80\n"],
    ids=["byte", "utf-16", "latin-1", "surrogate"],
)
def test_refuses_what_is_not_utf_8(raw: bytes) -> None:
    """Another encoding is one fault, not a guess."""
    assert codes(raw) == ["encoding"]


def test_refuses_a_large_file_unread() -> None:
    """A file of more than a mebibyte is not parsed at all."""
    assert codes(b"a: " + b"x" * strictyaml.MAX_BYTES) == ["too-large"]


def test_billion_laughs_cost_nothing() -> None:
    """Aliases are never expanded."""
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    began = time.process_time()

    found = codes("\n".join(lines))

    assert set(found) == {"alias", "too-many-faults"}
    assert time.process_time() - began < 2


def test_bounds_the_number_of_nodes() -> None:
    """A file of nothing but brackets and commas ends at the bound."""
    assert codes("[" + "1," * (strictyaml.MAX_NODES + 1) + "]") == ["too-large"]


def test_reports_all_faults_at_once() -> None:
    """A fault that can be read past does not hide the next one."""
    assert codes("a: &x 1\nb: !t 2\nb: 3\n4: 5\n") == [
        "alias",
        "tag",
        "duplicate-key",
        "key-not-text",
    ]


def test_gives_the_line_for_the_frame() -> None:
    """A fault shows its line without the line's end, and underlines the key."""
    fault = read("a: 1\r\nlong-key: 1\r\nlong-key: 2\r\n")[1].diagnostics[0]

    assert (fault.source, fault.column, fault.length) == ("long-key: 2", 1, 8)
    assert fault.hint == "the first is in line 2"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3.10", 3.1),
        ("12", 12),
        ("0755", 755),
        ("0o755", 0o755),
        ("0x1F", 31),
        ("-.INF", float("-inf")),
        ("1e3", 1000.0),
        ("no", "no"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-11-23", "2026-11-23"),
        ("True", True),
        ("~", None),
        ("1.2.3", "1.2.3"),
        (".", "."),
        ("=", "="),
    ],
)
def test_resolves_plain_scalars_by_yaml_1_2(text: str, value: object) -> None:
    """The core schema decides, not that of YAML 1.1 in which ``no`` is false."""
    got = strictyaml.resolve(text)

    assert (got, type(got)) == (value, type(value))


def test_quoted_is_text() -> None:
    """Quotes and blocks make a text, whatever it looks like."""
    node, report = read("- '3.10'\n- \"true\"\n- |\n  1\n")

    assert isinstance(node, Sequence)
    assert [item.value for item in node.items if isinstance(item, Scalar)] == [
        "3.10",
        "true",
        "1\n",
    ]
    assert not report.failed


def test_knows_the_place_of_keys_and_values() -> None:
    """Every key and value has line, column and length."""
    node, _ = read("base:\n  image: 'x/y'\n")

    assert isinstance(node, Mapping)
    inner = node.entries[0].value
    assert isinstance(inner, Mapping)
    key, value = inner.entries[0].key_span, inner.entries[0].value.span
    assert (key.line, key.column, key.length) == (2, 3, 5)
    assert (value.line, value.column, value.length) == (2, 10, 5)


@settings(deadline=None)  # coverage and a busy host are slow
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda s: s.encode())))
def test_never_raises(raw: bytes) -> None:
    """Whatever the bytes, the answer is a node or faults."""
    node, report = read(raw)

    assert report.failed or not isinstance(node, Broken)


@settings(deadline=None)  # coverage and a busy host are slow
@given(st.text(alphabet="ab:-[]{},&*!|>'\"#%@?\n\t 0.", max_size=60))
def test_never_raises_on_what_looks_like_yaml(text: str) -> None:
    """The same for text made of YAML's own characters."""
    node, report = read(text)

    assert report.failed or not isinstance(node, Broken)

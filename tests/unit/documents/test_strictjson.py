"""JSON with one meaning for every reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.documents import strictjson
from imagekit.errors import DocumentError


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":2}',
        b'{"config":1,"Config":2}',
        b'{"x":{"layers":[],"LAYERS":[]}}',
        '{"size":1,"\u017fize":2}'.encode(),
        '{"key":1,"\u212aey":2}'.encode(),
    ],
    ids=["twice", "case", "nested", "long-s", "kelvin"],
)
def test_ambiguous_keys_are_refused(raw: bytes) -> None:
    """Keys that Go takes for one are refused, Unicode's foldings included."""
    with pytest.raises(DocumentError) as caught:
        strictjson.loads(raw, what="the manifest")
    assert caught.value.code == "AMBIGUOUS_JSON"


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff", b"\xef\xbb\xbf{}", b"NaN", b"[Infinity]", b"{} {}", b"[" * 100_000],
    ids=["empty", "open", "latin", "bom", "nan", "infinity", "two", "deep"],
)
def test_not_json_is_refused(raw: bytes) -> None:
    """Whatever is not one JSON document is a DocumentError and never a crash."""
    with pytest.raises(DocumentError):
        strictjson.loads(raw, what="the manifest")


@pytest.mark.parametrize(
    "raw",
    [
        rb'"\ud800"',
        rb'{"a":[{"b":"x\uDFFFy"}]}',
        rb'{"\ud83d":1}',
        rb'"\ude00\ud83d"',
        b"1e999",
        b'{"a":[-1E400]}',
    ],
    ids=["half", "nested half", "key", "wrong order", "too large", "too small"],
)
def test_what_cannot_be_written_again_is_refused(raw: bytes) -> None:
    """Half a surrogate pair has no UTF-8, and a number beyond a float's no JSON."""
    with pytest.raises(DocumentError) as caught:
        strictjson.loads(raw, what="the manifest")
    assert caught.value.code == "BAD_DOCUMENT"


def test_whole_surrogate_pairs_are_read() -> None:
    """A pair of escapes is one character, as is an escaped backslash."""
    assert strictjson.loads(rb'["\ud83d\ude00", "\\ud800"]', what="x") == ["\U0001f600", r"\ud800"]


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"a"', b"null"])
def test_object_is_wanted(raw: bytes) -> None:
    """A document that must be an object is one."""
    with pytest.raises(DocumentError):
        strictjson.loads_object(raw, what="the manifest")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.integers() | st.text()))
def test_what_is_written_is_read(value: dict[str, int | str]) -> None:
    """Writing and reading are inverse, and the bytes depend on the value only."""
    raw = strictjson.dumps(value)

    assert strictjson.loads(raw, what="x") == value
    assert strictjson.dumps(dict(reversed(value.items()))) == raw

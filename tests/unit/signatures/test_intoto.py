"""in-toto statements and the envelopes around them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.oci.digest import Digest
from imagekit.signatures.dsse import Envelope, pae
from imagekit.signatures.intoto import (
    CYCLONEDX,
    Statement,
    StatementSubject,
    full_type,
    parse_statement,
    statement_bytes,
    statement_of,
)

HEX = "ab" * 32
GOOD: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "reg.example/app:1", "digest": {"sha256": HEX}}],
    "predicateType": CYCLONEDX,
    "predicate": {"a": 1},
}


def _raw(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"_type": "https://in-toto.io/Statement/v2"}, id="unknown type"),
        pytest.param({"_type": None}, id="no type"),
        pytest.param({"subject": []}, id="no subject"),
        pytest.param({"subject": None}, id="null subject"),
        pytest.param({"subject": {}}, id="subject is an object"),
        pytest.param({"subject": ["x"]}, id="subject is a text"),
        pytest.param({"subject": [{"name": "x"}]}, id="no digest"),
        pytest.param({"subject": [{"digest": {}}]}, id="empty digest"),
        pytest.param({"subject": [{"digest": {"sha1": "a" * 40}}]}, id="only sha1"),
        pytest.param({"subject": [{"digest": {"sha256": HEX.upper()}}]}, id="upper case"),
        pytest.param({"subject": [{"digest": {"sha256": HEX[2:]}}]}, id="short"),
        pytest.param({"subject": [{"digest": {"sha256": 1}}]}, id="number"),
        pytest.param(
            {"subject": [{"digest": {"sha256": HEX, "sha512": "x"}}]}, id="second malformed"
        ),
        pytest.param({"subject": [{"digest": {"sha256": HEX}}] * 1025}, id="too many"),
        pytest.param({"predicateType": ""}, id="empty predicate type"),
        pytest.param({"predicateType": "\ud800"}, id="half a surrogate"),
        pytest.param({"predicate": []}, id="predicate is a list"),
    ],
)
def test_parse_refuses_what_is_no_statement(changes: dict[str, object]) -> None:
    """Each fault alone is refused as BAD_STATEMENT."""
    with pytest.raises(DocumentError) as caught:
        parse_statement(_raw(**changes))

    assert caught.value.code == "BAD_STATEMENT"


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"\xff", b"{", b'{"a":NaN}'])
def test_parse_refuses_what_is_no_json_object(raw: bytes) -> None:
    """What is no JSON object is BAD_STATEMENT too."""
    with pytest.raises(DocumentError) as caught:
        parse_statement(raw)

    assert caught.value.code == "BAD_STATEMENT"


def test_parse_refuses_keys_that_differ_in_case() -> None:
    """Go would read the second predicate type, Python the first."""
    raw = _raw()[:-1] + b',"PredicateType":"https://slsa.dev/provenance/v1"}'

    with pytest.raises(DocumentError) as caught:
        parse_statement(raw)

    assert caught.value.code == "AMBIGUOUS_JSON"


def test_statement_of_refuses_another_payload_type() -> None:
    """An envelope that says that it holds something else is not read as a statement."""
    envelope = Envelope(payload=_raw(), payload_type="application/json", signatures=(b"x",))

    with pytest.raises(DocumentError, match="application/json") as caught:
        statement_of(envelope)

    assert caught.value.code == "BAD_STATEMENT"


def test_parse_takes_version_0_1_and_a_missing_predicate() -> None:
    """Old: cosign writes v0.1 for some attestations, and 3.0.0 to 3.0.4 wrote no predicate."""
    document = {**GOOD, "_type": "https://in-toto.io/Statement/v0.1"}
    del document["predicate"]

    statement = parse_statement(json.dumps(document).encode())

    assert statement.predicate == {}
    assert statement.subjects == (
        StatementSubject(name="reg.example/app:1", digest=Digest("sha256", HEX)),
    )


def test_statement_bytes_are_these() -> None:
    """The bytes that are signed do not change from one version of imagekit to the next."""
    statement = Statement(
        subjects=(
            StatementSubject(name="reg.example/app:1", digest=Digest("sha256", HEX)),
            StatementSubject(digest=Digest("sha256", HEX), annotations={"k": "v"}),
        ),
        predicate_type="https://sigstore.dev/cosign/sign/v1",
    )

    assert statement_bytes(statement) == (
        b'{"_type":"https://in-toto.io/Statement/v1","predicate":{},'
        b'"predicateType":"https://sigstore.dev/cosign/sign/v1","subject":['
        b'{"digest":{"sha256":"%b"},"name":"reg.example/app:1"},'
        b'{"annotations":{"k":"v"},"digest":{"sha256":"%b"}}]}' % (HEX.encode(), HEX.encode())
    )


@given(
    names=st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4),
    predicate=st.dictionaries(
        st.text("abc", min_size=1, max_size=3), st.integers() | st.booleans() | st.none()
    ),
)
def test_statements_survive_a_round_trip(names: list[str], predicate: dict[str, object]) -> None:
    """What is written is read back equal."""
    statement = Statement(
        subjects=tuple(StatementSubject(name=name, digest=Digest.of(b"")) for name in names),
        predicate_type=CYCLONEDX,
        predicate=predicate,
    )

    assert parse_statement(statement_bytes(statement)) == statement


@given(st.binary(max_size=200))
def test_parse_raises_nothing_but_document_errors(raw: bytes) -> None:
    """Any bytes are a statement or a DocumentError."""
    with pytest.raises(DocumentError):
        parse_statement(raw)


def test_pae_is_that_of_the_specification() -> None:
    """The example of the DSSE protocol, and lengths in bytes where UTF-8 needs more."""
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("ä", b"") == b"DSSEv1 2 \xc3\xa4 0 "


def test_short_words_are_those_of_cosign() -> None:
    """A short word and its predicate type are the same thing; others stay as they are."""
    assert full_type("cyclonedx") == CYCLONEDX
    assert full_type("https://x.example/y") == "https://x.example/y"

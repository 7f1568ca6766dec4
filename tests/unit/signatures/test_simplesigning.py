"""Payloads of the legacy signature."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.oci.digest import Digest
from imagekit.signatures.simplesigning import SimpleSigning, parse_payload, payload_bytes

CLAIM = SimpleSigning(identity="reg.example:5000/org/app:1", digest=Digest.of(b""))


def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(payload_bytes(CLAIM))
    return document


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("more",), 1, id="unknown key"),
        pytest.param(("critical",), None, id="no critical"),
        pytest.param(("critical", "more"), 1, id="unknown critical"),
        pytest.param(("critical", "type"), "atomic container signature", id="GPG's type"),
        pytest.param(("critical", "image"), {}, id="no digest"),
        pytest.param(
            ("critical", "image", "docker-manifest-digest"), "sha256:../../x", id="bad digest"
        ),
        pytest.param(("critical", "image", "more"), 1, id="unknown in image"),
        pytest.param(("critical", "identity"), {}, id="no identity"),
        pytest.param(("critical", "identity", "docker-reference"), 1, id="identity is a number"),
        pytest.param(("critical", "identity", "more"), 1, id="unknown in identity"),
        pytest.param(("optional",), [], id="optional is a list"),
        pytest.param(("optional",), {"creator": 1}, id="creator is a number"),
        pytest.param(("optional",), {"timestamp": 1.5}, id="timestamp is no whole number"),
        pytest.param(("optional",), {"timestamp": True}, id="timestamp is a boolean"),
    ],
)
def test_parse_refuses_each_fault_alone(path: tuple[str, ...], value: object) -> None:
    """c/image refuses a payload in which one of these is wrong, and so does imagekit."""
    document = _document()
    *parents, last = path
    inner = document
    for parent in parents:
        inner = inner[parent]
    inner[last] = value

    with pytest.raises(DocumentError) as caught:
        parse_payload(json.dumps(document).encode())

    assert caught.value.code == "BAD_PAYLOAD"


@pytest.mark.parametrize("key", ["critical", "optional"])
def test_parse_refuses_missing_keys(key: str) -> None:
    """Both keys must be there, ``optional`` too."""
    document = _document()
    del document[key]

    with pytest.raises(DocumentError, match=f"has no '{key}'"):
        parse_payload(json.dumps(document).encode())


def test_parse_refuses_duplicate_keys() -> None:
    """Two digests in one payload are nobody's claim."""
    raw = payload_bytes(CLAIM).replace(b'"type":', b'"Image":{},"type":')

    with pytest.raises(DocumentError) as caught:
        parse_payload(raw)

    assert caught.value.code == "AMBIGUOUS_JSON"


@given(st.binary(max_size=200))
def test_parse_raises_nothing_but_document_errors(raw: bytes) -> None:
    """Any bytes are a payload or a DocumentError."""
    with pytest.raises(DocumentError):
        parse_payload(raw)


def test_parse_refuses_huge_payloads() -> None:
    """The limit counts, not the content."""
    with pytest.raises(DocumentError, match="at most"):
        parse_payload(b" " * 65537)


def test_payload_bytes_are_these() -> None:
    """The bytes that upstream skopeo and cosign were seen to accept."""
    assert payload_bytes(CLAIM) == (
        b'{"critical":{"identity":{"docker-reference":"reg.example:5000/org/app:1"},'
        b'"image":{"docker-manifest-digest":"sha256:'
        b'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},'
        b'"type":"cosign container image signature"},"optional":null}'
    )
    assert parse_payload(payload_bytes(CLAIM)) == CLAIM


def test_parse_reads_what_others_put_into_optional() -> None:
    """There skopeo writes who signed and when; annotations of cosign are anything."""
    document = _document()
    document["optional"] = {"creator": "containers/image", "timestamp": 1657296609, "x": [1]}

    assert parse_payload(json.dumps(document).encode()) == CLAIM

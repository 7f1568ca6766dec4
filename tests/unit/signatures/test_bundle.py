"""Sigstore bundles."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.oci.types import IN_TOTO
from imagekit.signatures.bundle import (
    CertificateBundle,
    KeyBundle,
    key_bundle_bytes,
    parse_bundle,
)
from imagekit.signatures.publickey import PublicKey

KEY = PublicKey(b"der")


def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(key_bundle_bytes(b"{}", b"sig", KEY))
    return document


def _refused(document: object) -> str:
    with pytest.raises(DocumentError) as caught:
        parse_bundle(json.dumps(document).encode())
    assert caught.value.code == "BAD_BUNDLE"
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("mediaType",), "application/vnd.dev.sigstore.bundle.v0.4+json", id="v0.4"),
        pytest.param(("mediaType",), None, id="no media type"),
        pytest.param(("more",), 1, id="unknown key"),
        pytest.param(("verificationMaterial",), None, id="no material"),
        pytest.param(("verificationMaterial", "publicKey"), None, id="no key"),
        pytest.param(("verificationMaterial", "certificate"), {}, id="key and certificate"),
        pytest.param(("verificationMaterial", "more"), {}, id="unknown material"),
        pytest.param(("verificationMaterial", "publicKey"), {"hint": 1}, id="hint is a number"),
        pytest.param(("verificationMaterial", "publicKey"), {"key": ""}, id="unknown key key"),
        pytest.param(("dsseEnvelope",), None, id="no envelope"),
        pytest.param(("messageSignature",), {}, id="both contents"),
        pytest.param(("dsseEnvelope", "payload"), "e30", id="unpadded"),
        pytest.param(("dsseEnvelope", "payload"), "e3 0=", id="blank in base64"),
        pytest.param(("dsseEnvelope", "payload"), "e31=", id="loose bits in base64"),
        pytest.param(("dsseEnvelope", "payload"), "_-8=", id="URL alphabet"),
        pytest.param(("dsseEnvelope", "payloadType"), 1, id="payload type is a number"),
        pytest.param(("dsseEnvelope", "signatures"), [], id="no signature"),
        pytest.param(("dsseEnvelope", "signatures"), [{"sig": "AA=="}] * 2, id="two signatures"),
        pytest.param(("dsseEnvelope", "signatures"), ["AA=="], id="signature is a text"),
        pytest.param(("dsseEnvelope", "signatures"), [{"sig": ""}, 1], id="signature and more"),
        pytest.param(("dsseEnvelope", "signatures"), [{"sig": "A"}], id="signature not base64"),
    ],
)
def test_parse_refuses_each_fault_alone(path: tuple[str, ...], value: object) -> None:
    """A bundle in which one thing is wrong is BAD_BUNDLE."""
    document = _document()
    *parents, last = path
    inner = document
    for parent in parents:
        inner = inner[parent]
    inner[last] = value

    _refused(document)


def test_parse_refuses_signatures_over_bare_bytes_with_a_remedy() -> None:
    """``cosign sign-blob`` makes bundles that say nothing about an image."""
    document = _document()
    document["messageSignature"] = document.pop("dsseEnvelope")

    assert "bare bytes" in _refused(document)


def test_parse_refuses_keys_that_differ_in_case() -> None:
    """A second envelope under another spelling cannot hide behind the first."""
    raw = key_bundle_bytes(b"{}", b"sig", KEY)[:-1] + b',"DSSEEnvelope":{}}'

    with pytest.raises(DocumentError) as caught:
        parse_bundle(raw)

    assert caught.value.code == "AMBIGUOUS_JSON"


def test_parse_refuses_huge_bundles_before_reading_them() -> None:
    """The limit counts, not the content."""
    with pytest.raises(DocumentError, match="at most"):
        parse_bundle(b" " * ((32 << 20) + 1))


@given(st.binary(max_size=200))
def test_parse_raises_nothing_but_document_errors(raw: bytes) -> None:
    """Any bytes are a bundle or a DocumentError."""
    with pytest.raises(DocumentError):
        parse_bundle(raw)


def test_key_bundle_bytes_are_these() -> None:
    """The shape that cosign, sigstore-go and sigstore-js were seen to accept."""
    assert key_bundle_bytes(b'{"a":1}', b"\x30\x01", KEY) == (
        b'{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",'
        b'"verificationMaterial":{"publicKey":'
        b'{"hint":"UFDYDSLs1HHqVd9wNAQsHgQTQf9AZuf2/zjiC3IN+Oo="}},'
        b'"dsseEnvelope":{"payload":"eyJhIjoxfQ==","payloadType":"application/vnd.in-toto+json",'
        b'"signatures":[{"sig":"MAE="}]}}'
    )


def test_parse_reads_what_was_written() -> None:
    """Payload, type, signature and hint come back."""
    bundle = parse_bundle(key_bundle_bytes(b"{}", b"sig", KEY))

    assert isinstance(bundle, KeyBundle)
    assert bundle.hint == KEY.hint
    assert bundle.envelope.payload == b"{}"
    assert bundle.envelope.payload_type == IN_TOTO
    assert bundle.envelope.signatures == (b"sig",)


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3"])
def test_parse_reads_older_versions_and_log_entries(version: str) -> None:
    """Bundles of version 0.1 to 0.3 are read, with transparency entries or without."""
    document = _document()
    document["mediaType"] = f"application/vnd.dev.sigstore.bundle+json;version={version}"
    document["verificationMaterial"]["tlogEntries"] = []
    document["dsseEnvelope"]["signatures"][0]["keyid"] = ""

    assert isinstance(parse_bundle(json.dumps(document).encode()), KeyBundle)


@pytest.mark.parametrize("material", ["certificate", "x509CertificateChain"])
def test_parse_keeps_keyless_bundles_whole(material: str) -> None:
    """What sigstore-python verifies later are the bytes that were received."""
    document = _document()
    document["verificationMaterial"] = {material: {"rawBytes": base64.b64encode(b"x").decode()}}
    raw = json.dumps(document, indent=1).encode()

    bundle = parse_bundle(raw)

    assert isinstance(bundle, CertificateBundle)
    assert bundle.raw == raw

"""Entries of logs: each kind is read, and each fault alone is refused."""

import contextlib
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.signatures.logentry import Recorded, Signed, parse_recorded
from imagekit.signatures.publickey import PublicKey
from tests.support import witnesses
from tests.support.fakes import MemorySigner

KEY = MemorySigner().public_key
ENVELOPE = Signed(signature=b"signature", message=b"encoded", payload=b"payload")
MESSAGE = Signed(signature=b"signature", message=b"message")
BODIES: dict[str, tuple[Callable[[Signed, PublicKey], dict[str, Any]], Signed]] = {
    "hashedrekord 0.0.1": (witnesses.hashedrekord, MESSAGE),
    "hashedrekord 0.0.2": (witnesses.hashedrekord_v2, ENVELOPE),
    "dsse 0.0.1": (witnesses.dsse, ENVELOPE),
    "intoto 0.0.2": (witnesses.intoto, ENVELOPE),
}
V2 = ("spec", "hashedRekordV002")


def _read(document: object) -> Recorded:
    return parse_recorded(json.dumps(document).encode())


@pytest.mark.parametrize("kind", BODIES)
def test_each_kind(kind: str) -> None:
    """It is of the signature, message and key that it was made for, and of no other."""
    make, signed = BODIES[kind]
    recorded = _read(make(signed, KEY))

    assert recorded.kind == kind
    assert recorded.is_of(signed)
    assert recorded.is_by(KEY)
    assert not recorded.is_by(MemorySigner().public_key)
    other = Signed(signature=b"other", message=signed.message, payload=signed.payload)
    assert not recorded.is_of(other)
    changed = Signed(signature=b"signature", message=b"x", payload=signed.payload and b"x")
    assert not recorded.is_of(changed)


@pytest.mark.parametrize("kind", BODIES)
def test_envelopes_and_bare_bytes_are_not_mixed_up(kind: str) -> None:
    """Rekor v1 has kinds for either; only Rekor v2 has one for both."""
    make, signed = BODIES[kind]
    payload = b"payload" if signed.payload is None else None
    swapped = Signed(signature=signed.signature, message=signed.message, payload=payload)

    assert _read(make(swapped, KEY)).is_of(swapped) == (kind == "hashedrekord 0.0.2")


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_hashes_of_larger_curves(algorithm: str) -> None:
    """The log records the hash that goes with the key."""
    assert _read(witnesses.hashedrekord(MESSAGE, KEY, algorithm)).is_of(MESSAGE)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("dsse 0.0.1", ("kind",), "rpm"),
        ("dsse 0.0.1", ("apiVersion",), "0.0.2"),
        ("dsse 0.0.1", ("kind",), None),
        ("dsse 0.0.1", ("spec",), []),
        ("dsse 0.0.1", ("spec", "payloadHash", "algorithm"), "md5"),
        ("dsse 0.0.1", ("spec", "payloadHash", "value"), "xyz"),
        ("dsse 0.0.1", ("spec", "signatures"), []),
        ("dsse 0.0.1", ("spec", "signatures"), [{}, {}]),
        ("dsse 0.0.1", ("spec", "signatures"), [{"signature": "AA==", "verifier": "A"}]),
        ("intoto 0.0.2", ("spec", "content", "envelope"), None),
        (
            "intoto 0.0.2",
            ("spec", "content", "envelope", "signatures"),
            [{"sig": "/w==", "publicKey": "AA=="}],
        ),
        ("hashedrekord 0.0.1", ("spec", "signature", "publicKey"), "PEM"),
        ("hashedrekord 0.0.1", ("spec", "data", "hash"), None),
        ("hashedrekord 0.0.2", (*V2, "data", "algorithm"), "sha256"),
        ("hashedrekord 0.0.2", (*V2, "signature", "verifier"), {}),
        (
            "hashedrekord 0.0.2",
            (*V2, "signature", "verifier"),
            {"publicKey": {"rawBytes": ""}, "x509Certificate": {"rawBytes": ""}},
        ),
    ],
)
def test_each_fault_alone(kind: str, path: tuple[str, ...], value: object) -> None:
    """An entry in which one thing is wrong cannot be read."""
    make, signed = BODIES[kind]
    document = copy.deepcopy(make(signed, KEY))
    *parents, last = path
    inner = document
    for parent in parents:
        inner = inner[parent]
    inner[last] = value

    with pytest.raises(DocumentError) as caught:
        _read(document)

    assert caught.value.code == "BAD_TLOG_ENTRY"


def test_keys_that_programs_read_differently() -> None:
    """A second body under another spelling cannot hide behind the first."""
    raw = json.dumps(witnesses.dsse(ENVELOPE, KEY)).encode()[:-1] + b',"Spec":{}}'

    with pytest.raises(DocumentError) as caught:
        parse_recorded(raw)

    assert caught.value.code == "AMBIGUOUS_JSON"


@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    """Whatever they are, they are no entry, and nothing but that is said."""
    with pytest.raises(DocumentError):
        parse_recorded(raw)


@given(
    st.sampled_from(sorted(BODIES)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(("content", "signatures", "sig", "data", "hash", "value")),
                inner,
                max_size=3,
            )
        ),
    ),
)
def test_any_content_of_a_known_kind(kind: str, spec: object) -> None:
    """A body of any shape is read or refused, and nothing else."""
    name, version = kind.split()

    with contextlib.suppress(DocumentError):
        _read({"kind": name, "apiVersion": version, "spec": spec})

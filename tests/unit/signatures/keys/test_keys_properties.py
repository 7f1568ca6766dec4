"""Key files: what was written is read, and anything else is refused in one way."""

import functools

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from imagekit.documents.fields import base64_text, strict_base64
from imagekit.errors import SigningKeyError
from imagekit.signatures.keys.cosign import cosign_key_pem, is_encrypted, load_private_key
from imagekit.signatures.publickey import PublicKey, parse_public_key, public_key_of, public_key_pem
from imagekit.signatures.signature import verify_signature

_LABELS = ("PUBLIC KEY", "PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED SIGSTORE PRIVATE KEY")


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@settings(max_examples=2, deadline=None)
@given(st.text(max_size=20), st.binary(min_size=32, max_size=32))
def test_a_sealed_key_opens_by_its_password_only(password: str, salt: bytes) -> None:
    """What cosign would write is read, and no other password opens it."""
    sealed = cosign_key_pem(_key(), password=password, salt=salt, nonce=bytes(24))
    opened = load_private_key(sealed, password=password, what="x")

    assert public_key_of(opened.public_key()) == public_key_of(_key().public_key())
    with pytest.raises(SigningKeyError) as caught:
        load_private_key(sealed, password=f"{password}x", what="x")
    assert caught.value.code == "WRONG_PASSWORD"


@given(st.sampled_from(_LABELS), st.binary(max_size=80), st.booleans())
def test_any_pem_is_refused_in_one_way(label: str, raw: bytes, encoded: bool) -> None:  # noqa: FBT001 - drawn
    """Whatever stands between the right lines is a SigningKeyError."""
    inner = base64_text(raw).encode() if encoded else raw
    pem = b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label.encode(), inner, label.encode())
    with pytest.raises(SigningKeyError):
        parse_public_key(pem)
    with pytest.raises(SigningKeyError):
        load_private_key(pem, password="", what="x")


@given(st.binary(max_size=120))
def test_any_bytes_are_no_key_file(raw: bytes) -> None:
    """A file without such lines is none."""
    with pytest.raises(SigningKeyError):
        parse_public_key(raw)
    with pytest.raises(SigningKeyError):
        is_encrypted(raw, what="x")


@given(st.integers(min_value=0, max_value=2000), st.binary(min_size=1, max_size=4))
def test_an_altered_key_is_whole_or_none(at: int, new: bytes) -> None:
    """A key of which some bytes were changed is refused, or can be written and read as any."""
    pem = public_key_pem(public_key_of(_key().public_key()))
    at %= len(pem)
    altered = pem[:at] + new + pem[at + len(new) :]
    try:
        found = parse_public_key(altered)
    except SigningKeyError:
        return
    assert found == parse_public_key(public_key_pem(found))


@given(st.binary(max_size=100), st.binary(max_size=100), st.binary(max_size=20))
def test_no_bytes_are_a_signature(der: bytes, signature: bytes, message: bytes) -> None:
    """Chance signs nothing, and a key that is none is said to be."""
    assert not verify_signature(public_key_of(_key().public_key()), signature, message)
    with pytest.raises(SigningKeyError):
        verify_signature(PublicKey(der), signature, message)


@given(st.binary(max_size=40), st.text(alphabet="AQgw=\n -_/+9", max_size=12))
def test_base64_has_one_spelling(raw: bytes, text: str) -> None:
    """What is decoded is what encoding gives, to the last bit."""
    decoded = strict_base64(text)

    assert strict_base64(base64_text(raw)) == raw
    assert decoded is None or base64_text(decoded) == text


_WRITTEN = {
    "pkcs8": lambda: _key().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption()
    ),
    "pkcs8-sealed": lambda: _key().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    ),
    "sec1": lambda: _key().private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ),
    "sec1-sealed": lambda: _key().private_bytes(
        Encoding.PEM,
        PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"secret"),
    ),
    "cosign": lambda: cosign_key_pem(_key(), password="secret", salt=bytes(32), nonce=bytes(24)),
    "public": lambda: public_key_pem(public_key_of(_key().public_key())),
}
_EDITED = {
    "mark": lambda raw: b"\xef\xbb\xbf" + raw,
    "blanks": lambda raw: raw.replace(b"\n", b" \t \n"),
    "windows": lambda raw: b"\xef\xbb\xbf" + raw.replace(b"\n", b" \r\n"),
    "no-end": lambda raw: raw.rstrip(b"\n") + b"  ",
    "indented": lambda raw: b"  " + raw.replace(b"\n", b"\n  "),
    "feeds": lambda raw: raw.replace(b"\n", b"\v\f\n"),
}


@pytest.mark.parametrize("edited", _EDITED)
@pytest.mark.parametrize("written", _WRITTEN)
def test_what_an_editor_leaves_does_not_matter(written: str, edited: str) -> None:
    """A byte order mark and blanks at line ends are read over, in private keys as in public."""
    raw = _EDITED[edited](_WRITTEN[written]())
    want = public_key_of(_key().public_key())

    if written == "public":
        assert parse_public_key(raw) == want
        return
    sealed = is_encrypted(raw, what="x")
    opened = load_private_key(raw, password="secret" if sealed else None, what="x")

    assert sealed == (written.endswith("sealed") or written == "cosign")
    assert public_key_of(opened.public_key()) == want

"""Public keys of repositories: what is taken as one, and that a private key never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import InputError
from imagekit.recipe.openpgp import parse_public_keys
from tests.support.openpgp import ARMORED, PACKETS

BODY = ARMORED.split("\n", 2)[2]
SECRET_PACKET = b"\x94" + PACKETS[1:]
"""The same packet, called a secret key (RFC 9580, section 5.5.1.3: type 5)."""


@pytest.mark.parametrize(
    "raw",
    [
        PACKETS,
        PACKETS + PACKETS,
        # A trust packet, as GnuPG's own keyrings have them.
        PACKETS + b"\xb0\x02\x01\x02",
        ARMORED.encode(),
        ARMORED.replace("\n", "\r\n").encode(),
        f"for apt\n{ARMORED}".encode(),
        ARMORED.replace("BLOCK-----\n\n", "BLOCK-----\nComment: ours\n\n", 1).encode(),
        ARMORED.replace("=Ru58\n", "").encode(),
        # The newer form of a header, with lengths of one, two and five octets.
        b"\xc6" + PACKETS[1:],
        b"\xc6\xc0\x00" + bytes(192),
        b"\xc6\xff\x00\x00\x00\x01x",
    ],
)
def test_a_public_key_is_taken(raw: bytes) -> None:
    """Plain or armored, one or several; what apt gets are its packets."""
    packets = parse_public_keys(raw)

    assert packets[0] & 0x80
    assert parse_public_keys(packets) == packets
    assert raw.startswith(b"\xc6") or packets.startswith(PACKETS)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "no block of an OpenPGP public key"),
        (b"https://example.org/key.asc\n", "no block"),
        (b"\xff\xfe not text", "damaged|type"),
        (b"not \xff text", "no OpenPGP public key"),
        (ARMORED.replace("PUBLIC", "PRIVATE").encode(), "a private key"),
        (SECRET_PACKET, "a private key"),
        (PACKETS + SECRET_PACKET, "a private key"),
        (ARMORED.encode() + ARMORED.replace("PUBLIC", "PRIVATE").encode(), "a private key"),
        ((ARMORED + ARMORED).encode(), "more than one block"),
        (ARMORED.replace("-----END", "-----BEND").encode(), "no block"),
        (ARMORED.replace("mDME", "mD!E").encode(), "armor is damaged"),
        (ARMORED.replace(BODY, BODY[-35:]).encode(), "no OpenPGP public key"),
        (PACKETS[:-1], "damaged, or cut off"),
        (PACKETS + b"\x99", "damaged, or cut off"),
        (PACKETS + b"\xc6", "damaged, or cut off"),
        # A partial length, and a length that has no end (old form).
        (PACKETS + b"\xc6\xe0", "damaged, or cut off"),
        (PACKETS + b"\x9b", "something else"),
        # A signature alone, encrypted data, and literal data.
        (PACKETS[90:], "no OpenPGP public key"),
        (b"\x84\x01x", "type 1"),
        (PACKETS + b"\xcb\x01x", "type 11"),
    ],
)
def test_what_is_no_public_key_is_refused(raw: bytes, said: str) -> None:
    """With what it is instead, and how to write one."""
    with pytest.raises(InputError, match=said) as caught:
        parse_public_keys(raw)

    assert "gpg --export" in caught.value.hint


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda more: PACKETS + more))
def test_any_bytes_are_a_key_or_an_error(raw: bytes) -> None:
    """Nothing else comes out."""
    try:
        packets = parse_public_keys(raw)
    except InputError:
        return

    assert packets == raw

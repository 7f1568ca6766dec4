"""Java's store of certificates is the same whenever it was made, and is opened as before."""

import hashlib
from pathlib import Path

import pytest

from imagekit.build.keystore import CACERTS, settled
from imagekit.build.tidy import settle

SALT = "changeit".encode("utf-16-be") + b"Mighty Aphrodite"


def store(*times: int, version: int = 2, tag: int = 2) -> bytes:
    """Return a store of one certificate for each time, in milliseconds."""
    body = b"\xfe\xed\xfe\xed" + version.to_bytes(4, "big") + len(times).to_bytes(4, "big")
    for time in times:
        body += tag.to_bytes(4, "big") + b"\0\x01a" + time.to_bytes(8, "big")
        body += b"\0\x05X.509" + b"\0\0\0\x03DER"
    return body + hashlib.sha1(SALT + body, usedforsecurity=False).digest()


def test_the_times_are_that_of_the_image() -> None:
    """Two stores of one list made at two moments are one, with the digest that Java wants."""
    assert settled(store(1, 2), epoch=7) == settled(store(3, 4), epoch=7) == store(7000, 7000)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x30\x82PKCS12",
        store(1)[:-1],
        store(1, version=1),
        store(1, tag=1),
        store(1).replace(b"DER", b"DEX"),
    ],
    ids=["empty", "pkcs12", "cut", "version", "private-key", "changed"],
)
def test_another_kind_of_store_is_left_as_it_is(raw: bytes) -> None:
    """What is not understood, or has another password, is not touched."""
    assert settled(raw, epoch=7) is None


def test_a_length_beyond_the_end_is_no_store() -> None:
    """A length is never believed."""
    body = store(1)[:-20].replace(b"\0\0\0\x03DER", b"\x7f\xff\xff\xffDER")
    raw = body + hashlib.sha1(SALT + body, usedforsecurity=False).digest()

    assert settled(raw, epoch=7) is None


def test_only_a_store_of_the_layer_is_settled(tmp_path: Path) -> None:
    """What lies in the base already is not written again; neither is what a link leads to."""
    place = tmp_path / CACERTS
    place.parent.mkdir(parents=True)
    place.write_bytes(store(1))

    assert not settle(tmp_path, ["etc"], epoch=7)
    assert settle(tmp_path, ["etc", CACERTS], epoch=7)
    assert not settle(tmp_path, ["etc", CACERTS], epoch=7)
    assert place.read_bytes() == store(7000)
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert not settle(tmp_path, ["etc", CACERTS], epoch=8)

"""Java's store of certificates, which differs from build to build by the time of each entry.

The form is JKS (``sun.security.provider.JavaKeyStore``): a magic number, a version, a count, the
entries, and a digest over all of it that begins with the store's password.
"""

import hashlib
from collections.abc import Iterator

CACERTS = "etc/ssl/certs/java/cacerts"
"""Made by Debian's ca-certificates-java, with the password that Java's own has."""

_MAGIC = bytes.fromhex("feedfeed00000002")
_HEAD = len(_MAGIC) + 4
_DIGEST = 20
_SALT = "changeit".encode("utf-16-be") + b"Mighty Aphrodite"
_CERTIFICATE = 2
_TIME = 8


def settled(raw: bytes, *, epoch: int) -> bytes | None:
    """Return the store with one time in every entry; None where it is another kind of store."""
    # The password in UTF-16 and a fixed phrase stand before what is hashed; the time of an entry
    # is in milliseconds.
    body, digest = raw[:-_DIGEST], bytearray(raw[-_DIGEST:])
    if not raw.startswith(_MAGIC) or _signed(body) != digest:
        return None
    new = bytearray(body)
    try:
        for place in _times(body):
            new[place : place + _TIME] = (epoch * 1000).to_bytes(_TIME, "big")
    except ValueError:
        return None
    return bytes(new) + _signed(new)


def _signed(body: bytes | bytearray) -> bytes:
    return hashlib.sha1(_SALT + body, usedforsecurity=False).digest()


def _times(body: bytes) -> Iterator[int]:
    """Yield where the time of each entry stands.

    Raises:
        ValueError: an entry is none of a certificate, or the store does not end where it should.
    """
    place = _HEAD
    for _ in range(int.from_bytes(body[len(_MAGIC) : _HEAD], "big")):
        if _number(body, place, 4) != _CERTIFICATE:
            raise ValueError
        place += 4
        place += 2 + _number(body, place, 2)
        yield place
        place += _TIME
        place += 2 + _number(body, place, 2)
        place += 4 + _number(body, place, 4)
    if place != len(body):
        raise ValueError


def _number(body: bytes, place: int, size: int) -> int:
    if place + size > len(body):
        raise ValueError
    return int.from_bytes(body[place : place + size], "big")

"""OpenPGP public keys of repositories, read as far as needed to know that they are nothing else.

apt verifies signatures by them; here they are only looked at: packets of the kinds that a public
key has (RFC 9580, section 10.1), plain or in one block of ASCII armor (section 6.2).
"""

import base64
import binascii

from imagekit.errors import InputError

MAX_KEY = 256 << 10
"""The largest file; that of all Debian's keys has 60 kB."""
_PUBLIC_KEY = 6
_SECRET = frozenset({5, 7})
_KINDS = {
    2: "signature",
    _PUBLIC_KEY: "public key",
    12: "trust",
    13: "user id",
    14: "public subkey",
    17: "user attribute",
}
"""The packets of public keys; GnuPG exports the third into its own keyrings."""
_BEGIN, _END = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
_SECRET_BEGIN = b"-----BEGIN PGP PRIVATE KEY BLOCK-----"
_EXPORT = "write it with: gpg --export KEY > files/key.gpg, or with --armor into files/key.asc"
_MAX_PACKETS = 10_000
_NEW_FORM = 0xC0
"""The first octets of packets, from which on they have the newer form (section 4.2)."""
_TWO_OCTETS, _PARTIAL, _FIVE_OCTETS = 192, 224, 255
"""The first octets of lengths, from which on they have that form (section 4.2.1)."""


def parse_public_keys(raw: bytes) -> bytes:
    """Return the packets of a file of public keys.

    Args:
        raw: the file: packets, or one block of ASCII armor.

    Raises:
        InputError: it holds something else, such as a private key.
    """
    if _SECRET_BEGIN in raw:
        raise _private()
    packets = raw if raw[:1] and raw[0] & 0x80 else _armored(raw)
    kinds = _kinds(packets)
    if not kinds or kinds[0] != _PUBLIC_KEY:
        raise InputError("it holds no OpenPGP public key", hint=_EXPORT)
    return packets


def _private() -> InputError:
    return InputError(
        "it holds a private key, which nobody else may have",
        hint="take it out of the folder, and of its history; " + _EXPORT,
    )


def _armored(raw: bytes) -> bytes:
    """Return what one block of ASCII armor holds."""
    try:
        lines = [line.rstrip() for line in raw.decode("utf-8").splitlines()]
    except UnicodeError as error:
        raise InputError("it holds no OpenPGP public key", hint=_EXPORT) from error
    if lines.count(_BEGIN) != 1 or lines.count(_END) != 1:
        blocks = "more than one block" if lines.count(_BEGIN) > 1 else "no block"
        raise InputError(f"it holds {blocks} of an OpenPGP public key", hint=_EXPORT)
    block = lines[lines.index(_BEGIN) + 1 : lines.index(_END)]
    # Headers end with an empty line; the line that begins with "=" is an optional checksum.
    body = block[block.index("") + 1 :] if "" in block else block
    text = "".join(line for line in body if not line.startswith("="))
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise InputError(f"its ASCII armor is damaged: {error}", hint=_EXPORT) from error


def _kinds(packets: bytes) -> list[int]:
    """Return the kinds of all packets (RFC 9580, section 4.2)."""
    kinds: list[int] = []
    at = 0
    while at < len(packets):
        kind, start, length = _header(packets, at)
        if kind in _SECRET:
            raise _private()
        if kind not in _KINDS:
            raise InputError(
                f"it holds an OpenPGP packet of type {kind}, as no public key does", hint=_EXPORT
            )
        at = start + length
        kinds.append(kind)
        if at > len(packets) or len(kinds) > _MAX_PACKETS:
            raise InputError("it is damaged, or cut off", hint=_EXPORT)
    return kinds


def _header(packets: bytes, at: int) -> tuple[int, int, int]:
    """Return a packet's kind, where its body begins, and how long that is."""
    first = packets[at]
    if first >= _NEW_FORM:
        return first & 0x3F, *_new_length(packets, at + 1)
    size = {0: 1, 1: 2, 2: 4}.get(first & 3, 0)
    if first & 0x80 == 0 or not size:
        raise InputError("it holds something else than OpenPGP packets", hint=_EXPORT)
    start = at + 1 + size
    return first >> 2 & 0x0F, start, int.from_bytes(packets[at + 1 : start])


def _new_length(packets: bytes, at: int) -> tuple[int, int]:
    # RFC 9580, section 4.2.1: one, two or five octets; partial lengths are for streams of data.
    octet = packets[at] if at < len(packets) else _PARTIAL
    if octet < _TWO_OCTETS:
        return at + 1, octet
    if octet < _PARTIAL:
        low = int.from_bytes(packets[at + 1 : at + 2])
        return at + 2, ((octet - _TWO_OCTETS) << 8) + low + _TWO_OCTETS
    if octet < _FIVE_OCTETS:
        raise InputError("it is damaged, or cut off", hint=_EXPORT)
    return at + 5, int.from_bytes(packets[at + 1 : at + 5])

"""Alters JSON documents as documents: random bytes seldom get past the first bracket."""

import json
import random
from typing import Any

_STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 2.0, 1 << 31, 1 << 63, 1 << 64, 10**400, -0.0, 1e300,
    "", "\0", "\x1b[2J", "\ud800", "\u2028", "a" * 300, "é", "💣", "sha256:" + "a" * 64,
    "sha512:" + "b" * 128, "2026-11-23T00:00:00Z", "application/vnd.oci.image.index.v1+json",
    [], {}, [[]], [{}], {"": None}, {"digest": 1},
)  # fmt: skip
_SMALL = 15
_RAW = (b"1e999", b"-1e999", b"NaN", b"1E+0", b"1.0", b'"\\ud800"', b"0" * 30, b"9" * 5000)


def mutate(data: bytes, *, seed: int, limit: int) -> bytes | None:
    """Return the document with one to four changes, or None where it is none or grows too big."""
    # What was found must be found again: nothing here is a secret.
    chance = random.Random(seed)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    for _ in range(chance.randint(1, 4)):
        document = _changed(document, chance)
    try:
        raw = json.dumps(document, ensure_ascii=chance.random() < 0.5).encode()
    except (ValueError, RecursionError):
        return None
    if chance.random() < 0.1:
        raw = _with_raw_value(raw, chance)
    return raw if len(raw) <= limit else None


def _changed(document: Any, chance: random.Random) -> Any:
    """Change one node, which is found by going down at random."""
    if isinstance(document, dict) and document and chance.random() < 0.85:
        return _object(dict(document), chance)
    if isinstance(document, list) and document and chance.random() < 0.85:
        return _list(list(document), chance)
    return _value(document, chance)


def _object(document: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    key = chance.choice(list(document))
    match chance.randrange(10):
        case 0:
            del document[key]
        case 1:
            document[chance.choice((key.upper(), key.title(), key + " ", "x"))] = document[key]
        case 2:
            document[chance.choice(list(document))] = document[key]
        case _:
            document[key] = _changed(document[key], chance)
    return document


def _list(document: list[Any], chance: random.Random) -> list[Any]:
    at = chance.randrange(len(document))
    match chance.randrange(10):
        case 0:
            del document[at]
        case 1:
            many = len(str(document[at])) < _SMALL
            document += [document[at]] * chance.choice((1, 2, 1100 if many else 3))
        case _:
            document[at] = _changed(document[at], chance)
    return document


def _value(value: Any, chance: random.Random) -> Any:
    if isinstance(value, str) and value and chance.random() < 0.6:
        at = chance.randrange(len(value))
        new = chance.choice(
            ("", "\0", "/", ":", "@", "%", "A", "\n", "\u212a", "\ud800", "==", " ")
        )
        return value[:at] + new + value[at + chance.randrange(2) :]
    if isinstance(value, int) and abs(value) < 1 << 64 and chance.random() < 0.6:
        return value + chance.choice((-1, 1, -value, 1 << 50, 0.5))
    if chance.random() < 0.05:
        return [[value] * 3] * 3
    return chance.choice(_STRANGE)


def _with_raw_value(raw: bytes, chance: random.Random) -> bytes:
    """Put a value in that Python's writer would never write."""
    places = [at for at, byte in enumerate(raw) if byte == ord(":")]
    if not places:
        return raw
    at = chance.choice(places) + 1
    ends = [end for end in (raw.find(mark, at) for mark in (b",", b"}", b"]")) if end > 0]
    return raw[:at] + chance.choice(_RAW) + raw[min(ends, default=len(raw)) :]

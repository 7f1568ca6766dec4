"""JSON that has one meaning for every reader.

Go programs match keys without regard to case and take the last of two; Python takes the last of
two and minds the case. A document on which they could differ is refused, so that the verifier and
the runtime never see two different images in the same bytes (RFC 8259 section 4 leaves it open).
"""

import json
import math
from typing import Any, NoReturn

from imagekit.errors import DocumentError

# How half a surrogate pair begins; a text in UTF-8 can hold one as an escape only.
_HALVES = (r"\ud", r"\uD")


def loads(raw: bytes, *, what: str) -> Any:
    """Read a JSON document from its exact bytes.

    Args:
        raw: UTF-8 without a byte order mark.
        what: what the document is, for the message.

    Returns:
        The values of Python's json module.

    Raises:
        DocumentError: it is not JSON, or ambiguous (code ``AMBIGUOUS_JSON``).
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(f"{what} is not UTF-8: {error}", code="BAD_DOCUMENT") from error

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        return _unambiguous(items, what=what)

    def refuse_constant(text: str) -> NoReturn:
        raise DocumentError(f"{what} holds {text}, which is not JSON", code="BAD_DOCUMENT")

    def finite(text: str) -> float:
        return _finite(text, what=what)

    try:
        value = json.loads(
            text, object_pairs_hook=pairs, parse_constant=refuse_constant, parse_float=finite
        )
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{what} is not JSON: {error}", code="BAD_DOCUMENT") from error
    if any(half in text for half in _HALVES):
        _refuse_halves(value, what=what)
    return value


def loads_object(raw: bytes, *, what: str) -> dict[str, Any]:
    """Read a JSON document that must be an object.

    Raises:
        DocumentError: it is not JSON, ambiguous, or not an object.
    """
    value = loads(raw, what=what)
    if not isinstance(value, dict):
        raise DocumentError(f"{what} is not a JSON object", code="BAD_DOCUMENT")
    return value


def dumps(value: object) -> bytes:
    """Write compact JSON with sorted keys: the same value gives the same bytes."""
    # RFC 8785 but for two things: keys are sorted by code points and not by UTF-16 units (section
    # 3.2.3), and floats are written as Python writes them (3.2.2.3).
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def _finite(text: str, *, what: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise DocumentError(
            f"{what} holds the number {text[:40]}, which is too large to be read",
            code="BAD_DOCUMENT",
        )
    return value


def _refuse_halves(value: object, *, what: str) -> None:
    """Refuse half a surrogate pair anywhere: Go reads another character, and UTF-8 has none."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left += [*item, *item.values()]
        elif isinstance(item, list):
            left += item
        elif isinstance(item, str) and any("\ud800" <= character <= "\udfff" for character in item):
            raise DocumentError(
                f"{what} holds half a surrogate pair, which programs read differently",
                code="BAD_DOCUMENT",
            )


def _unambiguous(items: list[tuple[str, Any]], *, what: str) -> dict[str, Any]:
    seen: dict[str, str] = {}
    for key, _ in items:
        folded = key.casefold()
        if folded in seen:
            raise DocumentError(
                f"{what} has the keys {seen[folded]!r} and {key!r}, "
                "which programs read differently",
                hint="no known tool writes this; ask who pushed it",
                code="AMBIGUOUS_JSON",
            )
        seen[folded] = key
    return dict(items)

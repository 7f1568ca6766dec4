"""JSON that has one meaning for every reader.

Go programs match keys without regard to case and take the last of two; Python takes the last of
two and minds the case. A document on which they could differ is refused, so that the verifier and
the runtime never see two different images in the same bytes (RFC 8259 section 4 leaves it open).
"""

import json
from typing import Any, NoReturn

from imagekit.errors import DocumentError


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

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{what} is not JSON: {error}", code="BAD_DOCUMENT") from error


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
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def _unambiguous(items: list[tuple[str, Any]], *, what: str) -> dict[str, Any]:
    seen: dict[str, str] = {}
    for key, _ in items:
        folded = key.casefold()
        if folded in seen:
            raise DocumentError(
                f"{what} has the keys {seen[folded]!r} and {key!r}, "
                "which programs read differently",
                hint="no honest tool writes this; ask who pushed it",
                code="AMBIGUOUS_JSON",
            )
        seen[folded] = key
    return dict(items)

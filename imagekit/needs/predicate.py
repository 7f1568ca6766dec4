"""The statement that is signed: ``{"needs", "compatibility", "annotations"}``.

``needs`` is what decides. The other two are what lies beside the image for other programs (see
``compatibility``), so that it is signed, too; a later version may write them in other words.

A key that is not known is refused, other than in in-toto's statements in general: it might be a
need that the node lacks.
"""

from collections.abc import Mapping

from msgspec import Struct, ValidationError, convert, json

from imagekit.errors import DocumentError
from imagekit.needs.compatibility import annotations, compatibility
from imagekit.needs.needs import Needs

_SHOWN = 200


class _Predicate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    needs: Needs
    compatibility: dict[str, object]
    annotations: dict[str, str]


def needs_predicate(needs: Needs) -> dict[str, object]:
    """Return the predicate of a statement about what an image needs."""
    return {
        # As JSON has it, so that it equals what was read back: with lists, and without tuples.
        "needs": json.decode(json.encode(needs)),
        "compatibility": compatibility(needs),
        "annotations": annotations(needs),
    }


def parse_needs(predicate: Mapping[str, object]) -> Needs:
    """Read what an image needs from the predicate of a statement.

    Raises:
        DocumentError: it is none, or holds what is not known (code ``BAD_STATEMENT``).
    """
    try:
        read = convert(dict(predicate), type=_Predicate)
    except ValidationError as fault:
        raise DocumentError(
            f"what the image needs of its node cannot be read: {str(fault)[:_SHOWN]}",
            hint="publish it again, or check it with the version of imagekit that published it",
            code="BAD_STATEMENT",
        ) from fault
    return read.needs

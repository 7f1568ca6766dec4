"""What an image needs of its node: said by who may say it, and compared with the node, if any.

What cannot be told of the node counts as lacking, and a need that is not known is no statement.
"""

from collections.abc import Mapping

from imagekit.needs.compare import FindLacks
from imagekit.needs.predicate import parse_needs
from imagekit.signatures.results import Refusal

_SHOWN = 5


def check_needs(predicate: Mapping[str, object], find_lacks: FindLacks | None) -> Refusal | None:
    """Return what the node lacks, or None.

    Raises:
        DocumentError: it does not say what an image needs.
    """
    needs = parse_needs(predicate)
    missing = () if find_lacks is None else find_lacks(needs)
    if not missing:
        return None
    more = f"; and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return Refusal(
        code="NODE_LACKS",
        message="; ".join(lack.message for lack in missing[:_SHOWN]) + more,
        hint=missing[0].hint,
    )

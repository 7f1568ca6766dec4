"""The condition of a rebuild: a second builder built the image again, and it came out the same.

What must hold:

1. Its ``result`` is ``identical`` or ``same-content``; nothing else is agreement.
2. Its builder is named, and so are those of the first build, and it is none of them: a builder that
   agrees with itself shows nothing. Both are the word of whoever signed it, whom the rule trusts.
3. The builder is one of those that the policy names, if it names any.
4. The rebuild is young enough, by ``finishedOn``.

The type is imagekit's own: see docs/rebuild.md.
"""

from collections.abc import Mapping

from imagekit.documents.fields import Fields
from imagekit.policy.condition import RebuildCondition
from imagekit.policy.now import Now
from imagekit.signatures.results import Refusal
from imagekit.verify.conditions.untrusted_json import (
    by_lower_case,
    exactly,
    fields_of,
    finished_fault,
    shown,
    texts,
)

MAX_BUILDERS = 1000
_AGREEING = frozenset({"identical", "same-content"})
_NAMES = by_lower_case("builder", "id", "originalBuilders", "result", "finishedOn")


def check_rebuild(
    predicate: Mapping[str, object], condition: RebuildCondition, *, now: Now
) -> Refusal | None:
    """Return why a rebuild does not do, or None.

    Raises:
        DocumentError: it is no statement of a rebuild that can be read whole.
    """
    document = exactly(fields_of(predicate, "the rebuild"), _NAMES)
    result = document.text("result")
    if result not in _AGREEING:
        return Refusal(
            code="REBUILD_DIFFERS",
            message=f"the second build came out {shown(result)!r}",
            hint="imagekit rebuild shows which files differ, and why",
        )
    fault = _builder_fault(document, condition)
    return fault or finished_fault(document, condition.max_age, now=now, what="the rebuild")


def _builder_fault(document: Fields, condition: RebuildCondition) -> Refusal | None:
    builder = exactly(document.object("builder"), _NAMES).text("id")
    if condition.builder_ids and builder not in condition.builder_ids:
        return Refusal(
            code="BUILDER_NOT_ALLOWED",
            message=f"it was built again by {shown(builder)!r}; the policy allows "
            f"{', '.join(condition.builder_ids)}",
            hint="build it again where the policy wants it built",
        )
    first = texts(document, "originalBuilders", limit=MAX_BUILDERS)
    if not builder or not first or builder in first:
        said = ", ".join(shown(name) for name in first[:8]) or "nobody"
        return Refusal(
            code="SAME_BUILDER",
            message=f"it was built again by {shown(builder)!r}, and first by {said}: that is no "
            "second builder",
            hint="build it again on another builder, and name that with --builder",
        )
    return None

"""What a policy demands of a predicate: one module for each kind of condition.

Each is a function of predicate, condition and time, and returns why the predicate does not do, or
None. What must hold of all of them:

1. Everything in a predicate is untrusted text until its type was checked. A document that is
   not what its type promises is refused (``BAD_STATEMENT``), and never taken for an empty one.
2. Counts are bounded, and no work grows faster than the document.
3. What cannot be decided is refused: a version that cannot be compared, a severity that nobody
   states, a time that is missing.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, assert_never

from msgspec import Struct

from imagekit.errors import DocumentError
from imagekit.oci.reference import PinnedReference
from imagekit.policy.condition import (
    Condition,
    NeedsCondition,
    PassedTestsCondition,
    ProvenanceCondition,
    RebuildCondition,
    SbomCondition,
    SelfContainedCondition,
    VsaCondition,
    VulnerabilityCondition,
)
from imagekit.policy.now import Now
from imagekit.policy.ruleset import ImageRule
from imagekit.signatures.results import Refusal

if TYPE_CHECKING:
    from imagekit.needs.compare import FindLacks


class ConditionContext(Struct, frozen=True, kw_only=True):
    """What a condition is judged for: the image, the rule, the time and the node."""

    image: PinnedReference
    rule: ImageRule
    now: Now
    find_lacks: "FindLacks | None" = None
    """Compares the node that is to run the image; None where the verdict is for none."""


def condition_fault(
    condition: Condition, predicate: Mapping[str, object], question: ConditionContext
) -> Refusal | None:
    """Return why a predicate does not meet a condition, or None where it does.

    Args:
        condition: what the policy demands.
        predicate: of a statement that was verified and counts.
        question: the image that is judged, by which rule and when.
    """
    try:
        return _check(condition, predicate, question)
    except DocumentError as fault:
        return Refusal(code=fault.code, message=fault.message, hint=fault.hint)


# Few policies have conditions, and no policy has all: only what is asked for is loaded.
def _check(
    condition: Condition, predicate: Mapping[str, object], question: ConditionContext
) -> Refusal | None:
    match condition:
        case SbomCondition():
            from imagekit.verify.conditions.sbom import check_sbom

            fault = check_sbom(predicate, condition)
        case ProvenanceCondition():
            from imagekit.verify.conditions.provenance import check_provenance

            fault = check_provenance(predicate, condition)
        case VulnerabilityCondition():
            from imagekit.verify.conditions import vulnerabilities

            fault = vulnerabilities.check_vulnerabilities(predicate, condition, now=question.now)
        case VsaCondition():
            from imagekit.verify.conditions.summary import check_summary

            fault = check_summary(
                predicate, condition, image=question.image, rule=question.rule, now=question.now
            )
        case PassedTestsCondition():
            from imagekit.verify.conditions.passed_tests import check_tests

            fault = check_tests(predicate, condition, now=question.now)
        case RebuildCondition():
            from imagekit.verify.conditions.rebuilds import check_rebuild

            fault = check_rebuild(predicate, condition, now=question.now)
        case SelfContainedCondition():
            from imagekit.verify.conditions.self_contained import check_self_contained

            fault = check_self_contained(predicate, condition, now=question.now)
        case NeedsCondition():
            from imagekit.verify.conditions.needs import check_needs

            fault = check_needs(predicate, question.find_lacks)
        case _:
            assert_never(condition)
    return fault

"""The condition of ``imagekit check``: nothing was found in the image but what may be excepted.

What must hold:

1. It says ``PASSED``, and lists no finding; it says what was looked for.
2. Every finding that the recipe excepts has a number that the policy lets it except, if the policy
   names any, and a reason; as many are listed as there are.
3. The check is young enough, by ``finishedOn``.

The type is imagekit's own: see docs/check.md.
"""

from collections.abc import Iterator, Mapping

from imagekit.documents.fields import Fields
from imagekit.policy.condition import SelfContainedCondition
from imagekit.policy.now import Now
from imagekit.signatures.results import Refusal
from imagekit.verify.conditions.untrusted_json import (
    by_lower_case,
    exactly,
    fields_of,
    finished_fault,
    objects,
    shown,
    texts,
)

MAX_FINDINGS = 10_000
_NAMES = by_lower_case(
    "result", "checks", "findings", "findingCount", "excepted", "exceptedCount", "finishedOn"
)
_ENTRY_NAMES = by_lower_case("code", "path", "message", "reason")
_HINT = "imagekit check shows what was found, and how to mend it"


def check_self_contained(
    predicate: Mapping[str, object], condition: SelfContainedCondition, *, now: Now
) -> Refusal | None:
    """Return why the result of a check does not do, or None.

    Raises:
        DocumentError: it is no such result that can be read whole.
    """
    document = exactly(fields_of(predicate, "the check"), _NAMES)
    if not texts(document, "checks", limit=MAX_FINDINGS):
        raise document.fault("does not say what was looked for: it has no 'checks'")
    fault = _finding_fault(document) or _exception_fault(document, condition.allow_excepted)
    return fault or finished_fault(document, condition.max_age, now=now, what="the check")


def _finding_fault(document: Fields) -> Refusal | None:
    found = tuple(_codes(document, "findings"))
    if document.text("result") == "PASSED" and not found:
        return None
    what = (
        f"such as {shown(found[0])}"
        if found
        else f"the check says {shown(document.text('result'))}"
    )
    message = f"the image is not self-contained: {what}"
    return Refusal(code="NOT_SELF_CONTAINED", message=message, hint=_HINT)


def _exception_fault(document: Fields, allowed: frozenset[str] | None) -> Refusal | None:
    excepted = tuple(_codes(document, "excepted", reasons=True))
    if document.get("exceptedCount") != len(excepted) and allowed is not None:
        message = "the check does not list all that the recipe excepts"
        return Refusal(code="EXCEPTION_NOT_ALLOWED", message=message, hint=_HINT)
    refused = [code for code in excepted if allowed is not None and code not in allowed]
    if not refused:
        return None
    return Refusal(
        code="EXCEPTION_NOT_ALLOWED",
        message=f"the recipe excepts {shown(refused[0])}, which the policy does not allow",
        hint="mend what was found, and publish a new version without the exception",
    )


def _codes(document: Fields, key: str, *, reasons: bool = False) -> Iterator[str]:
    """Yield the numbers of what is listed.

    Raises:
        DocumentError: an entry has no number, or lacks the reason that it must have.
    """
    for entry in objects(document, key, limit=MAX_FINDINGS):
        exactly(entry, _ENTRY_NAMES)
        code = entry.text("code")
        if not code or (reasons and not entry.text("reason")):
            raise entry.fault("has no number, or no reason")
        yield code

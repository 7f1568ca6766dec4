"""Accounts of verdicts for people and for programs: ``imagekit policy explain``."""

from collections.abc import Iterator

from imagekit.policy.findings import plain
from imagekit.policy.ruleset import Policy
from imagekit.verify.explanation import Explanation, FoundSignature
from imagekit.verify.steps import Step, steps
from imagekit.verify.verdict_text import document, heading

_MARKS = {"ok": "✓", "warning": "!", "error": "✗", "not asked": "-", "not reached": "·"}
_WIDTH = 11
_SHOWN = 12
"""How many rules that do not match are named, and how many of what is offered."""


def account_text(explanation: Explanation, policy: Policy) -> str:
    """Return the account as a person reads it."""
    made = steps(explanation.verdict, policy)
    return "\n".join(
        [
            *heading(explanation.verdict),
            "",
            "rules of the policy",
            *_rules(explanation),
            "",
            "checks, in their order",
            *(line for step in made for line in _step(step)),
            "",
            "what the registry has beside the image",
            *_all_offered(explanation),
            *_change(explanation, unreached=any(one.state == "not reached" for one in made)),
        ]
    )


def account_document(explanation: Explanation, policy: Policy) -> dict[str, object]:
    """Return the account as ``--json`` prints it: the verdict's document and more."""
    return {
        **document(explanation.verdict),
        "rules": [
            {"glob": one.glob, "chosen": one.chosen, "why": one.why} for one in explanation.rules
        ],
        "checks": [
            {
                "check": one.check,
                "state": one.state,
                "code": one.code,
                "message": one.message,
                "hint": one.hint,
            }
            for one in steps(explanation.verdict, policy)
        ],
        "offered": [_offered_document(one) for one in explanation.offered],
        "unread": list(explanation.unread),
        "change": list(explanation.change),
    }


def _rules(explanation: Explanation) -> Iterator[str]:
    fitting = [one for one in explanation.rules if not one.why.startswith("does not")]
    others = [one for one in explanation.rules if one not in fitting]
    for one in fitting + others[:_SHOWN]:
        mark = "✓" if one.chosen else "·"
        yield f"  {mark} {plain(one.glob)}"
        yield f"      {plain(one.why)}"
    if len(others) > _SHOWN:
        yield f"    and {len(others) - _SHOWN} more that do not match"


def _step(step: Step) -> Iterator[str]:
    code = f"{step.code}: " if step.state in {"warning", "error"} else ""
    said = {"not asked": "not asked for", "not reached": "not reached"}.get(step.state, "")
    text = ": ".join(filter(None, (said, f"{code}{step.message}")))
    head = f"  {_MARKS[step.state]} {plain(step.check):<{_WIDTH}} "
    yield head + text
    if step.hint:
        yield " " * len(head) + step.hint


def _all_offered(explanation: Explanation) -> Iterator[str]:
    for one in explanation.offered[: _SHOWN * 4]:
        yield from _offered(one)
    if len(explanation.offered) > _SHOWN * 4:
        yield f"  and {len(explanation.offered) - _SHOWN * 4} more (--json shows all)"
    for text in explanation.unread[:_SHOWN]:
        yield f"  ✗ not read: {text}"
    if not explanation.offered and not explanation.unread:
        yield "  nothing" if explanation.asked else "  it was not asked"


def _offered(one: FoundSignature) -> Iterator[str]:
    algorithm, _, digits = one.digest.partition(":")
    who = one.signer or "by nobody whom the rule knows"
    yield f"  {one.form} {algorithm}:{digits[:12]}…, {who}"
    yield f"      {one.predicate_type or 'of an unknown type'}, beside {one.image[:19]}…"
    for use in one.uses:
        mark = "✓" if use.counts else "✗"
        code = f"{use.code}: " if use.code not in {"", "OK"} else ""
        purpose = f"as {use.purpose}: " if use.purpose else ""
        yield f"      {mark} {purpose}{code}{use.why}"
    if not one.uses:
        yield "      - the rule does not ask for this"


def _change(explanation: Explanation, *, unreached: bool) -> Iterator[str]:
    if not explanation.change:
        return
    yield ""
    yield "what would have to change"
    for number, text in enumerate(explanation.change, start=1):
        yield f"  {number}. {plain(text)}"
    if unreached:
        yield "  and then the checks that were not reached have to pass"


def _offered_document(one: FoundSignature) -> dict[str, object]:
    return {
        "image": one.image,
        "form": one.form,
        "digest": one.digest,
        "signer": one.signer,
        "predicate_type": one.predicate_type,
        "uses": [
            {"as": use.purpose, "counts": use.counts, "code": use.code, "why": use.why}
            for use in one.uses
        ],
    }

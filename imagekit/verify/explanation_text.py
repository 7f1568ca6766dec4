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
            *_change(explanation, unreached=any(step.state == "not reached" for step in made)),
        ]
    )


def account_document(explanation: Explanation, policy: Policy) -> dict[str, object]:
    """Return the account as ``--json`` prints it: the verdict's document and more."""
    return {
        **document(explanation.verdict),
        "rules": [
            {"glob": rule.glob, "chosen": rule.chosen, "why": rule.why}
            for rule in explanation.rules
        ],
        "checks": [
            {
                "check": step.check,
                "state": step.state,
                "code": step.code,
                "message": step.message,
                "hint": step.hint,
            }
            for step in steps(explanation.verdict, policy)
        ],
        "offered": [_offered_document(signature) for signature in explanation.offered],
        "unread": list(explanation.unread),
        "change": list(explanation.change),
    }


def _rules(explanation: Explanation) -> Iterator[str]:
    fitting = [rule for rule in explanation.rules if not rule.why.startswith("does not")]
    others = [rule for rule in explanation.rules if rule not in fitting]
    for rule in fitting + others[:_SHOWN]:
        mark = "✓" if rule.chosen else "·"
        yield f"  {mark} {plain(rule.glob)}"
        yield f"      {plain(rule.why)}"
    if len(others) > _SHOWN:
        yield f"    and {len(others) - _SHOWN} more that do not match"


def _step(step: Step) -> Iterator[str]:
    code = f"{step.code}: " if step.state in {"warning", "error"} else ""
    label = {"not asked": "not asked for", "not reached": "not reached"}.get(step.state, "")
    text = ": ".join(filter(None, (label, f"{code}{step.message}")))
    head = f"  {_MARKS[step.state]} {plain(step.check):<{_WIDTH}} "
    yield head + text
    if step.hint:
        yield " " * len(head) + step.hint


def _all_offered(explanation: Explanation) -> Iterator[str]:
    for signature in explanation.offered[: _SHOWN * 4]:
        yield from _offered(signature)
    if len(explanation.offered) > _SHOWN * 4:
        yield f"  and {len(explanation.offered) - _SHOWN * 4} more (--json shows all)"
    for text in explanation.unread[:_SHOWN]:
        yield f"  ✗ not read: {text}"
    if not explanation.offered and not explanation.unread:
        yield "  nothing" if explanation.asked else "  it was not asked"


def _offered(signature: FoundSignature) -> Iterator[str]:
    algorithm, _, digits = signature.digest.partition(":")
    who = signature.signer or "by nobody whom the rule knows"
    yield f"  {signature.form} {algorithm}:{digits[:12]}…, {who}"
    kind = signature.predicate_type or "of an unknown type"
    yield f"      {kind}, beside {signature.image[:19]}…"
    for use in signature.uses:
        mark = "✓" if use.counts else "✗"
        code = f"{use.code}: " if use.code not in {"", "OK"} else ""
        purpose = f"as {use.purpose}: " if use.purpose else ""
        yield f"      {mark} {purpose}{code}{use.why}"
    if not signature.uses:
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


def _offered_document(signature: FoundSignature) -> dict[str, object]:
    return {
        "image": signature.image,
        "form": signature.form,
        "digest": signature.digest,
        "signer": signature.signer,
        "predicate_type": signature.predicate_type,
        "uses": [
            {"as": use.purpose, "counts": use.counts, "code": use.code, "why": use.why}
            for use in signature.uses
        ],
    }

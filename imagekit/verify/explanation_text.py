"""Accounts of verdicts for people and for programs: ``imagekit policy explain``."""

from collections.abc import Iterator

from imagekit.policy.findings import plain
from imagekit.policy.types import Policy
from imagekit.verify.explanation import Account, Offered
from imagekit.verify.steps import Step, steps
from imagekit.verify.verdict_text import document, heading

_MARKS = {"ok": "✓", "warning": "!", "error": "✗", "not asked": "-", "not reached": "·"}
_WIDTH = 11
_SHOWN = 12
"""How many rules that do not match are named, and how many of what is offered."""


def account_text(account: Account, policy: Policy) -> str:
    """Return the account as a person reads it."""
    made = steps(account.verdict, policy)
    return "\n".join(
        [
            *heading(account.verdict),
            "",
            "rules of the policy",
            *_rules(account),
            "",
            "checks, in their order",
            *(line for step in made for line in _step(step)),
            "",
            "what the registry has beside the image",
            *_all_offered(account),
            *_change(account, unreached=any(one.state == "not reached" for one in made)),
        ]
    )


def account_document(account: Account, policy: Policy) -> dict[str, object]:
    """Return the account as ``--json`` prints it: the verdict's document and more."""
    return {
        **document(account.verdict),
        "rules": [
            {"glob": one.glob, "chosen": one.chosen, "why": one.why} for one in account.rules
        ],
        "checks": [
            {
                "check": one.check,
                "state": one.state,
                "code": one.code,
                "message": one.message,
                "hint": one.hint,
            }
            for one in steps(account.verdict, policy)
        ],
        "offered": [_offered_document(one) for one in account.offered],
        "unread": list(account.unread),
        "change": list(account.change),
    }


def _rules(account: Account) -> Iterator[str]:
    fitting = [one for one in account.rules if not one.why.startswith("does not")]
    others = [one for one in account.rules if one not in fitting]
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


def _all_offered(account: Account) -> Iterator[str]:
    for one in account.offered[: _SHOWN * 4]:
        yield from _offered(one)
    if len(account.offered) > _SHOWN * 4:
        yield f"  and {len(account.offered) - _SHOWN * 4} more (--json shows all)"
    for text in account.unread[:_SHOWN]:
        yield f"  ✗ not read: {text}"
    if not account.offered and not account.unread:
        yield "  nothing" if account.asked else "  it was not asked"


def _offered(one: Offered) -> Iterator[str]:
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


def _change(account: Account, *, unreached: bool) -> Iterator[str]:
    if not account.change:
        return
    yield ""
    yield "what would have to change"
    for number, text in enumerate(account.change, start=1):
        yield f"  {number}. {plain(text)}"
    if unreached:
        yield "  and then the checks that were not reached have to pass"


def _offered_document(one: Offered) -> dict[str, object]:
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

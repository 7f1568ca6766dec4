"""The checks of a verdict in their order, with those that passed silently or were not reached."""

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from imagekit.documents.quantity import count
from imagekit.policy.findings import Finding
from imagekit.policy.glob import applicable
from imagekit.policy.ruleset import ImageRule, Policy
from imagekit.verify.verdict import Verdict

State = Literal["ok", "warning", "error", "not asked", "not reached"]

# The order of the judge; what ends a stage in an error, the later ones are not reached.
_STAGES = (
    ("policy", "deny"),
    ("image", "platforms"),
    ("exception",),
    ("referrers", "withdrawal"),
)
_EARLY = tuple(check for stage in _STAGES for check in stage)


class Step(Struct, frozen=True, kw_only=True):
    """One check: what came of it, or why nothing did."""

    check: str
    state: State
    message: str
    code: str = ""
    hint: str = ""


def steps(verdict: Verdict, policy: Policy) -> tuple[Step, ...]:
    """Return every check that the policy makes of the image."""
    return tuple(_steps(verdict, policy))


def _steps(verdict: Verdict, policy: Policy) -> Iterator[Step]:
    rules = applicable(policy, verdict.reference.repository.name)
    rule = rules[0] if len(rules) == 1 else None
    made = verdict.findings
    stopped = _stopped(made)
    for number, stage in enumerate(_STAGES):
        for check in stage:
            matching = [finding for finding in made if finding.check == check]
            yield from (_step(finding) for finding in matching)
            if not matching and rule is not None:
                reached = stopped is None or number < stopped or (number == 0 and _known(verdict))
                yield from _silent(check, policy, rule, reached=reached)
    if rule is not None and not _asks_freshness(rule):
        message = "the rule asks neither for maxAge nor for monotonic"
        yield Step(check="freshness", state="not asked", message=message)
    yield from (_step(finding) for finding in made if finding.check not in _EARLY)
    if rule is not None and all(finding.check != "signature" for finding in made):
        yield from _not_made(rule)


def _known(verdict: Verdict) -> bool:
    """Return whether the digest was known, and so looked up in the deny list."""
    return verdict.digest is not None


def _stopped(made: Sequence[Finding]) -> int | None:
    """Return the stage behind which nothing was looked at."""
    for number, stage in enumerate(_STAGES):
        if any(finding.check in stage and finding.severity == "error" for finding in made):
            return number
    waived = any(finding.check == "exception" for finding in made)
    return 2 if waived else None


def _silent(check: str, policy: Policy, rule: ImageRule, *, reached: bool) -> Iterator[Step]:
    """Yield what a check says that made no finding."""
    exceptions = len(policy.exceptions)
    message = {
        "deny": _deny(policy),
        "image": "",
        "platforms": "" if rule.platforms.require else "the rule requires no platform",
        "exception": f"none of {exceptions} is for this image" if exceptions else "there is none",
        "withdrawal": "nobody whom the rule trusts has withdrawn the image",
    }.get(check)
    if message is None:
        return
    if check == "platforms" and not rule.platforms.require:
        yield Step(check=check, state="not asked", message=message)
    elif not reached or not message:
        yield Step(check=check, state="not reached", message="")
    else:
        yield Step(check=check, state="ok", message=message)


def _deny(policy: Policy) -> str:
    deny = policy.deny
    if not (deny.digests or deny.keys or deny.identities):
        return "the policy denies nothing by name"
    keys = count(len(deny.keys), "key")
    identities = count(len(deny.identities), "identity", "identities")
    return (
        f"the digest is not among the {len(deny.digests)} that are denied; besides, "
        f"{keys} and {identities} count for nothing"
    )


def _asks_freshness(rule: ImageRule) -> bool:
    return rule.freshness.monotonic or rule.freshness.max_age is not None


def _not_made(rule: ImageRule) -> Iterator[Step]:
    """Yield the last checks, which were not made."""
    if _asks_freshness(rule):
        yield Step(check="freshness", state="not reached", message="")
    names = ", ".join(authority.name for authority in rule.authorities)
    message = f"wants {rule.threshold} of {names}"
    yield Step(check="signature", state="not reached", message=message)
    for attestation in rule.attestations:
        by = ", ".join(authority.name for authority in attestation.authorities)
        yield Step(check=attestation.type, state="not reached", message=f"wants it signed by {by}")
    if rule.expressions:
        count = len(rule.expressions)
        message = f"wants {count} to be true"
        yield Step(check="expressions", state="not reached", message=message)


def _step(finding: Finding) -> Step:
    return Step(
        check=finding.check,
        state=finding.severity,
        code=finding.code,
        message=finding.message,
        hint=finding.hint,
    )

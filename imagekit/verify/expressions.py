"""The check ``expressions``: what a policy says in CEL of an image, and must be true.

Each expression is judged for the image of each platform, with its own manifest and configuration.
True is the only answer that allows: false is a refusal (``EXPRESSION_FAILED``), and so is an
expression that comes to something else or to an error (``EXPRESSION_ERROR``), because a key is
missing or because the image holds more than an expression may look at.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from imagekit.documents import strictjson
from imagekit.errors import DocumentError
from imagekit.oci.reference import PinnedReference
from imagekit.policy.findings import Finding, error, ok
from imagekit.policy.now import Now
from imagekit.policy.ruleset import Expression
from imagekit.verify.content import PlatformImage
from imagekit.verify.image_evidence import ImageEvidence, counted

_CHECK = "expressions"
_STEP = timedelta(seconds=1)
_LOOKS = 60
"""Later times that are tried of one expression: what is true by day may be false at night only."""


def check_expressions(
    image_evidence: ImageEvidence, part: PlatformImage, *, asked: PinnedReference
) -> tuple[Finding, ...]:
    """Return the findings on the rule's expressions; none where it has none.

    Args:
        image_evidence: what the expressions are judged with: the rule, the attestations that
            count, the time.
        part: the image of one platform.
        asked: the reference that was asked for, by the digest that it has.
    """
    expressions = image_evidence.rule.expressions
    if not expressions:
        return ()
    from imagekit.policy.cel import evaluate, words  # few policies have expressions

    variables = _variables(image_evidence, part, asked)
    faults = []
    for expression in expressions:
        if "now" in words(expression.cel):
            image_evidence.now.ends(_end(expression, variables, image_evidence.now))
        try:
            if not evaluate(expression.cel, variables):
                faults.append(_failed(expression))
        except DocumentError as fault:
            faults.append(_in_error(expression, fault))
    return tuple(faults) or (ok(_CHECK, f"{len(expressions)} of {len(expressions)} are true"),)


def _end(expression: Expression, variables: Mapping[str, object], now: Now) -> datetime:
    """Return until when an expression that speaks of the time comes to what it comes to now.

    That is found out by later times, up to the horizon: a change that lasts for a sixtieth of the
    way is found, to the second.
    """
    from imagekit.policy.cel import evaluate

    def comes_to(time: datetime) -> bool | None:
        try:
            return evaluate(expression.cel, {**variables, "now": time})
        except DocumentError:
            return None

    # Without a horizon nobody keeps the verdict, so that its end need not be found.
    if now.horizon is None:
        return now.time
    present, last = comes_to(now.time), now.horizon - _STEP
    way = max(last - now.time, timedelta(0)) / _LOOKS
    looks = [now.time + way * step for step in range(1, _LOOKS)]
    good = now.time
    for bad in (*looks, last):
        if comes_to(bad) != present:
            break
        good = bad
    else:
        return now.horizon
    while bad - good > _STEP:
        middle = good + (bad - good) / 2
        good, bad = (middle, bad) if comes_to(middle) == present else (good, middle)
    return good


def _failed(expression: Expression) -> Finding:
    return error(
        _CHECK,
        "EXPRESSION_FAILED",
        f"{expression.message} ({expression.cel})"
        if expression.message
        else f"this is not true: {expression.cel}",
        hint="correct the image, or the policy's expression",
    )


def _in_error(expression: Expression, fault: DocumentError) -> Finding:
    prefix = f"{expression.message}; " if expression.message else ""
    return error(
        _CHECK,
        fault.code,
        f"{prefix}{expression.cel} cannot be judged: {fault.message}",
        hint="has(config.config.User) && ... asks first whether a key is there",
    )


def _variables(
    image_evidence: ImageEvidence, part: PlatformImage, asked: PinnedReference
) -> Mapping[str, object]:
    manifest = strictjson.loads_object(part.raw.raw, what="the manifest")
    name = asked.repository.name
    return {
        "reference": f"{name}:{asked.tag}" if asked.tag else f"{name}@{asked.digest}",
        "repository": name,
        "tag": asked.tag or "",
        "digest": str(part.reference.digest),
        "platform": part.platform,
        "config": part.config,
        "manifest": manifest,
        "annotations": manifest.get("annotations") or {},
        "attestations": _attestations(image_evidence),
        "now": image_evidence.now.time,
    }


def _attestations(image_evidence: ImageEvidence) -> Mapping[str, list[object]]:
    """Return the predicates that count, by the type of their statements."""
    predicates: dict[str, list[object]] = {}
    for evidence in counted(image_evidence):
        predicates.setdefault(evidence.predicate_type, []).append(dict(evidence.predicate))
    return predicates

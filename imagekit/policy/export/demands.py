"""Every demand of a policy that policy.json has no words for: each that is made is a loss."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from imagekit.errors import PolicyError
from imagekit.policy.authorities import authorities_of
from imagekit.policy.export.conditions import span
from imagekit.policy.export.result import Loss, stricter, weaker
from imagekit.policy.force import not_in_force
from imagekit.policy.now import Now
from imagekit.policy.overlap import ambiguous
from imagekit.policy.ruleset import ImageRule, Policy
from imagekit.signatures.authority import Need

_NOT_IN_FORCE = {"POLICY_EXPIRED": "export/expired", "CLOCK": "export/not-issued"}


def in_force(policy: Policy, now: datetime) -> None:
    """Refuse a policy by which nothing is allowed at present: such a policy is not exported.

    Raises:
        PolicyError: the policy has expired, or is not issued yet.
    """
    fault = not_in_force(policy, Now(now))
    if fault is not None:
        raise PolicyError(
            f"{fault.message}: it allows nothing, and what is exported would",
            hint=fault.hint,
            code=_NOT_IN_FORCE[fault.code],
        )


def policy_losses(policy: Policy) -> Iterator[Loss]:
    """Yield what is lost of the demands that stand outside of the rules."""
    for code, message_of in _POLICY.items():
        message = message_of(policy)
        if message:
            yield weaker(code, message)
    for exception in policy.exceptions:
        yield stricter(
            "exceptions",
            f"{exception.repository.name}@{exception.digest} is allowed without signatures until "
            f"{exception.expires.isoformat()}; the target knows no exception and refuses it",
        )
    for first, second in ambiguous(policy.images):
        yield weaker(
            "ambiguous",
            f"names that {first.glob} and {second.glob} match equally well are refused; "
            "the target accepts what is good by one or both of them",
            rule=first.glob,
        )


def rule_losses(rule: ImageRule, now: datetime) -> Iterator[Loss]:
    """Yield what is lost of the demands of a rule."""
    for code, message_of in _RULE.items():
        message = message_of(rule)
        if message:
            yield weaker(code, message, rule=rule.glob)
    yield from _attestation_losses(rule)
    if rule.warn_until is not None and now < rule.warn_until:
        yield stricter(
            "warn-until",
            f"until {rule.warn_until.isoformat()} this rule only warns; the target refuses",
            rule=rule.glob,
        )


def _attestation_losses(rule: ImageRule) -> Iterator[Loss]:
    for attestation in rule.attestations:
        names = ", ".join(authority.name for authority in attestation.authorities)
        message = (
            f"an attestation of type {attestation.type} by {names} is required; "
            "the target looks at no attestation"
        )
        yield weaker("attestations", message, rule=rule.glob)


def _expiry(policy: Policy) -> str:
    return (
        f"the policy allows nothing from {policy.expires.isoformat()} on; "
        "the target goes on: export again before"
    )


def _issued(policy: Policy) -> str:
    if policy.issued is None:
        return ""
    return (
        f"before {policy.issued.isoformat()} the policy allows nothing, so that a clock that was "
        "set back is noticed; not by the target"
    )


def _digests(policy: Policy) -> str:
    count = len(policy.deny.digests)
    return f"{count} denied digest(s) are refused; not by the target" if count else ""


def _max_age(rule: ImageRule) -> str:
    age = rule.freshness.max_age
    return "" if age is None else f"images older than {span(age)} are refused; not by the target"


def _monotonic(rule: ImageRule) -> str:
    if not rule.freshness.monotonic:
        return ""
    return "a tag that goes back to an older release is refused; the target remembers nothing"


def _platforms(rule: ImageRule) -> str:
    wanted = ", ".join(rule.platforms.require)
    return f"an image without {wanted} is refused; not by the target" if wanted else ""


def _expressions(rule: ImageRule) -> str:
    count = len(rule.expressions)
    return f"{count} CEL expression(s) must be true of the image; the target asks none" * bool(
        count
    )


def _timestamp(rule: ImageRule) -> str:
    names = ", ".join(
        authority.name for authority in authorities_of(rule) if authority.timestamp is Need.REQUIRED
    )
    return f"signatures of {names} need a timestamp; not for the target" if names else ""


_POLICY: Mapping[str, Callable[[Policy], str]] = {
    "expiry": _expiry,
    "issued": _issued,
    "deny-digests": _digests,
}
_RULE: Mapping[str, Callable[[ImageRule], str]] = {
    "max-age": _max_age,
    "monotonic": _monotonic,
    "platforms": _platforms,
    "expressions": _expressions,
    "timestamp": _timestamp,
}

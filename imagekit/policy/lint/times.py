"""Remarks on a policy's dates: what has ended, what soon will, and what then counts no more."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from imagekit.documents.report import Report, shown
from imagekit.policy.lint.places import Places
from imagekit.policy.ruleset import ImageRule, Policy
from imagekit.signatures.authority import Authority

SOON = timedelta(days=30)
"""How long before its end something is remarked on."""

Path = tuple[str | int, ...]


def authorities(policy: Policy, places: Places) -> Iterator[tuple[Path, Authority]]:
    """Yield every authority that is written out, with the keys that lead to it."""
    for number, rule in enumerate(policy.images):
        at: Path = ("images", number)
        for n, authority in enumerate(rule.authorities):
            yield (*at, "authorities", n), authority
        for kind, required in enumerate(rule.attestations):
            inner: Path = (*at, "attestations", kind, "authorities")
            for n, authority in enumerate(required.authorities):
                # Where only the name stands, it is one of the rule's.
                if places.has(*inner, n, "name"):
                    yield (*inner, n), authority


def check_times(policy: Policy, places: Places, report: Report, *, now: datetime) -> None:
    """Report what is over and what soon will be."""
    _lifetime(policy, places, report, now=now)
    for number, rule in enumerate(policy.images):
        if rule.warn_until is not None and rule.warn_until <= now:
            report.warn(
                places.value("images", number, "warnUntil"),
                "warning-over",
                f"this rule has been enforced since {_day(rule.warn_until)}: mode warn is over",
                hint="take mode and warnUntil out",
            )
    for number, exception in enumerate(policy.exceptions):
        if exception.expires <= now:
            report.warn(
                places.value("exceptions", number, "expires"),
                "exception-over",
                f"this exception ended at {_day(exception.expires)} and allows nothing any more",
                hint="take it out",
            )
    for path, authority in authorities(policy, places):
        _key(path, authority, places, report=report, now=now)
    _reachable(policy, places, report, now=now)


def lasting(authority: Authority, now: datetime) -> bool:
    """Return whether signatures of an authority can count at a time, or still count then.

    Old ones count after its end where a trusted root proves when they were made.
    """
    ended = authority.not_after is not None and authority.not_after <= now
    return not ended or authority.trust_root is not None


def counting_now(rule: ImageRule, policy: Policy, now: datetime) -> list[Authority]:
    """Return the authorities of a rule that are neither denied nor over."""
    return [
        authority
        for authority in rule.authorities
        if lasting(authority, now)
        and not (authority.key and authority.key.fingerprint in policy.deny.keys)
    ]


def _lifetime(policy: Policy, places: Places, report: Report, *, now: datetime) -> None:
    span = places.value("metadata", "expires")
    hint = "review it, raise metadata.version and set metadata.expires anew"
    if policy.expires <= now:
        message = f"the policy expired at {_day(policy.expires)}: it allows nothing any more"
        report.error(span, "expired", message, hint=hint)
    elif policy.expires - now <= SOON:
        days = (policy.expires - now).days
        message = f"the policy expires in {days} days and then allows nothing any more"
        report.warn(span, "expires-soon", message, hint=hint)
    if policy.issued is not None and policy.issued > now:
        message = f"until {_day(policy.issued)} the policy allows nothing: it is not issued yet"
        hint = "correct metadata.issued, or this machine's clock"
        report.warn(places.value("metadata", "issued"), "not-issued", message, hint=hint)


def _key(
    path: Path, authority: Authority, /, places: Places, *, report: Report, now: datetime
) -> None:
    end = authority.not_after
    if end is None:
        return
    span = places.value(*path, "key", "notAfter")
    name = shown(authority.name)
    if not lasting(authority, now):
        report.warn(
            span,
            "key-over",
            f"the key of {name} ended at {_day(end)}: nothing that it signed counts any more",
            hint="take it out; or add a trustRoot: old signatures then count by their timestamps",
        )
    elif now < end <= now + SOON:
        report.warn(
            span,
            "key-ends-soon",
            f"the key of {name} ends in {(end - now).days} days"
            + ("" if authority.trust_root else ", and all that it signed with it"),
            hint="list the next key beside it, and sign again with that one",
        )


def _reachable(policy: Policy, places: Places, report: Report, *, now: datetime) -> None:
    for number, rule in enumerate(policy.images):
        left = len(counting_now(rule, policy, now))
        if left < min(rule.threshold, len(rule.authorities)):
            report.error(
                places.value("images", number, "authorities"),
                "nobody-left",
                f"{rule.threshold} must sign, and {left} of these authorities still can: the "
                "others are denied or over, so that the rule allows nothing",
                hint="list keys that hold, or lower the threshold",
            )


def _day(moment: datetime) -> str:
    return moment.isoformat()

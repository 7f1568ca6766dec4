"""Remarks on whom a policy trusts: patterns that match too much, and settings that undo others."""

from datetime import datetime

from imagekit.documents.report import Report, shown
from imagekit.policy.authorities import identifies
from imagekit.policy.lint.identity_patterns import PatternRemark, of_issuer, of_subject
from imagekit.policy.lint.places import Places
from imagekit.policy.lint.times import Path, authorities, counting_now
from imagekit.policy.ruleset import ImageRule, Policy, SignedIdentity
from imagekit.signatures.authority import Authority, Identity, Need
from imagekit.signatures.results import Certified

_MANY = 4
"""From so many authorities on, it is remarked that any one of them suffices."""


def check_trust(policy: Policy, places: Places, report: Report, *, now: datetime) -> None:
    """Report what trusts more than its author may think, or less."""
    for path, authority in authorities(policy, places):
        _denied(path, authority, policy, places=places, report=report)
        _patterns(path, authority, places, report=report)
        _idle_root(path, authority, places, report=report)
    for number, rule in enumerate(policy.images):
        _rule(number, rule, policy, places=places, report=report, now=now)
    _unused_roots(policy, places, report)


def _denied(
    path: Path, authority: Authority, policy: Policy, /, *, places: Places, report: Report
) -> None:
    hint = "take it out here; on the deny list it may stay"
    if authority.key is not None and authority.key.fingerprint in policy.deny.keys:
        message = f"the key of {shown(authority.name)} is on this policy's deny list"
        report.warn(places.value(*path, "key"), "denied-authority", message, hint=hint)
    for number, identity in enumerate(authority.identities):
        if _on_list(identity, policy):
            message = f"{shown(identity.subject.text)} is on this policy's deny list"
            span = places.value(*path, "keyless", "identities", number)
            report.warn(span, "denied-authority", message, hint=hint)


def _on_list(identity: Identity, policy: Policy) -> bool:
    """Return whether an identity is denied; one by a pattern is, where the same pattern is."""
    if identity in policy.deny.identities:
        return True
    if identity.issuer.regexp or identity.subject.regexp:
        return False
    named = Certified(subject=identity.subject.text, issuer=identity.issuer.text)
    return any(identifies(named, denied) for denied in policy.deny.identities)


def _patterns(path: Path, authority: Authority, /, places: Places, *, report: Report) -> None:
    for number, identity in enumerate(authority.identities):
        at = (*path, "keyless", "identities", number)
        for word, pattern, remarks_on in (
            ("issuerRegExp", identity.issuer, of_issuer),
            ("subjectRegExp", identity.subject, of_subject),
        ):
            remarks: tuple[PatternRemark, ...] = remarks_on(pattern.text) if pattern.regexp else ()
            for remark in remarks:
                span = places.value(*at, word)
                report.warn(span, remark.code, remark.message, hint=remark.hint)


def _idle_root(path: Path, authority: Authority, /, places: Places, *, report: Report) -> None:
    if authority.key is None or authority.trust_root is None:
        return
    if {authority.tlog, authority.timestamp} == {Need.OFF}:
        report.warn(
            places.value(*path, "trustRoot"),
            "idle-root",
            f"{shown(authority.name)} has a trusted root, and neither its log nor its timestamps "
            "are looked at",
            hint="take trustRoot out; or say tlog or timestamp: optional, or required",
        )


def _rule(
    number: int,
    rule: ImageRule,
    policy: Policy,
    /,
    *,
    places: Places,
    report: Report,
    now: datetime,
) -> None:
    at: Path = ("images", number)
    if rule.signed_identity is SignedIdentity.DIGEST_ONLY:
        report.warn(
            places.value(*at, "signedIdentity"),
            "digest-only",
            "any image that these authorities ever signed is allowed under any name here: an old "
            "or foreign one can stand under a new tag",
            hint="matchRepository binds at least the repository; digestOnly is for images that "
            "others sign without a name",
        )
    many = len(counting_now(rule, policy, now))
    if rule.threshold == 1 and many >= _MANY:
        report.warn(
            places.value(*at, "authorities"),
            "one-of-many",
            f"any one of {many} authorities suffices: whoever gets one of their keys signs "
            "everything here",
            hint="raise threshold, or split the rule by repositories",
        )
    if rule.glob.partition("/")[0] in {"*", "**"}:
        report.warn(
            places.value(*at, "match", "glob"),
            "any-registry",
            f"`{shown(rule.glob)}` matches every registry, also an attacker's own",
            hint="name the registry: registry.example.org/**",
        )


def _unused_roots(policy: Policy, places: Places, report: Report) -> None:
    used = {
        authority.trust_root.name
        for _, authority in authorities(policy, places)
        if authority.trust_root
    }
    for name in places.keys("trustRoots"):
        if name not in used:
            report.warn(
                places.key("trustRoots", name),
                "unused-root",
                f"no authority uses the trusted root {shown(name)}",
                hint="take it out, or name it: trustRoot: NAME",
            )

"""The checks ``withdrawal`` and ``freshness``: what is signed about an image's place in time.

What must hold where a rule asks for it:

1. Nobody whom the rule lists has withdrawn the image, and nothing was left unread, for the sake of
   a bound, that may be a withdrawal. A registry can hide a withdrawal; the policy's deny list
   cannot be hidden.
2. ``monotonic``: asked for by tag, the image has a release of that tag whose sequence is not
   below the highest that this verifier has seen, and the same sequence is the same image.
3. ``maxAge``: its newest release, or trusted time of a signature, is not older than that. No time
   at all is a refusal.
4. Nothing is from the future, and the clock has not gone back behind what was seen before.

What is seen is remembered only of images that are allowed.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec import Struct

from imagekit.errors import DocumentError, RollbackStoreError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import canonical_name
from imagekit.policy.authorities import is_of
from imagekit.policy.findings import Finding, error, ok, warning
from imagekit.signatures.authority import Need
from imagekit.signatures.release import (
    RELEASE,
    WITHDRAWAL,
    Release,
    parse_release,
    parse_withdrawal,
)
from imagekit.signatures.results import Refusal
from imagekit.verify.identity import signed_name
from imagekit.verify.image_evidence import ImageEvidence
from imagekit.verify.ports import HighWaterMark, RollbackStore
from imagekit.verify.signatures import accepted
from imagekit.verify.signer_trust import times_of

_CHECK = "freshness"
_CLOCK = "@clock"


class Fresh(Struct, frozen=True, kw_only=True):
    """The findings, and what to remember if the image is allowed in the end."""

    findings: tuple[Finding, ...]
    learned: tuple[tuple[str, HighWaterMark], ...] = ()


def check_withdrawal(case: ImageEvidence) -> tuple[Finding, ...]:
    """Return the finding that somebody trusted has withdrawn the image, if so."""
    for each in case.evidence:
        if each.predicate_type != WITHDRAWAL or not each.about:
            continue
        # Neither a key that is denied by now nor one that has expired brings an image back: what is
        # added to a policy never allows more. Who must not withdraw is no authority of the rule.
        if not any(is_of(each.signatory, one) for one in case.rule.authorities):
            continue
        try:
            said = parse_withdrawal(each.predicate)
            why = f"at {said.time.isoformat()}: {said.reason}"
        except DocumentError as fault:
            why = f"in a statement that cannot be read: {fault.message}"
        return (
            error(
                "withdrawal",
                "WITHDRAWN",
                f"{case.signer(each)} withdrew the image {why}",
                hint="use another version of the image",
            ),
        )
    return ()


def check_unread(case: ImageEvidence) -> tuple[Finding, ...]:
    """Return the finding that something attached was not read and may be a withdrawal."""
    lost = case.attachments.lost
    if lost is not None:
        return (
            error(
                "withdrawal",
                "REFERRERS_LOST",
                f"{lost} is attached to {case.image.digest} and may be a withdrawal, but the "
                "registry does not have it",
                hint="copy the image whole, with all that is attached to it; or, if that is known "
                "to be no withdrawal, take it out of the list",
            ),
        )
    if not case.attachments.cut:
        return ()
    return (
        error(
            "withdrawal",
            "TOO_MANY",
            f"more is attached to {case.image.digest} than is read, and what was not read may be "
            "a withdrawal",
            hint="delete what strangers attached, and let only the publisher push",
        ),
    )


def check_freshness(case: ImageEvidence, memory: RollbackStore) -> Fresh:
    """Return what the rule's freshness comes to; nothing where it asks for none."""
    wanted = case.rule.freshness
    if wanted.max_age is None and not wanted.monotonic:
        return Fresh(findings=())
    releases, refusals = _releases(case)
    findings = list(_age(case, releases))
    learned: list[tuple[str, HighWaterMark]] = []
    if wanted.monotonic:
        judged = _monotonic(case, memory, releases=releases, faults=refusals)
        findings += judged.findings
        learned += judged.learned
    return Fresh(findings=tuple(findings), learned=tuple(learned))


def remember(case: ImageEvidence, fresh: Fresh, memory: RollbackStore) -> tuple[Finding, ...]:
    """Remember what was learned of an image that is allowed; tell where that was impossible."""
    try:
        for name, seen in fresh.learned:
            memory.remember(name, seen)
    except RollbackStoreError as fault:
        return (_unremembered(case, fault),)
    return ()


def _releases(case: ImageEvidence) -> tuple[tuple[Release, ...], tuple[str, ...]]:
    """Return the releases of the image that the rule's authorities signed, and what is wrong."""
    found, faults = [], []
    name = signed_name(case.rule, case.image)
    for each in case.evidence:
        if each.predicate_type != RELEASE or not each.about:
            continue
        if isinstance(case.counting(each, case.rule.authorities), Refusal):
            continue
        try:
            release = parse_release(each.predicate)
        except DocumentError as fault:
            faults.append(fault.message)
            continue
        if canonical_name(release.repository) == name:
            found.append(release)
        else:
            faults.append(f"one release is of {release.repository}")
    return tuple(found), tuple(faults)


def _age(case: ImageEvidence, releases: Iterable[Release]) -> tuple[Finding, ...]:
    limit = case.rule.freshness.max_age
    good, _ = accepted(case)
    witnessed = [time for each, whose in good for one in whose for time in times_of(each, one)]
    times = witnessed + [release.time for release in releases]
    newest = max(times, default=None)
    if newest is not None and case.now.is_behind(newest):
        return (_clock(case, newest, "the newest release"),)
    if limit is None:
        return ()
    if newest is None:
        return (
            error(
                _CHECK,
                "NO_TRUSTED_TIME",
                "the policy limits the age of signatures, and nothing signed says when it was "
                "made: neither a release nor a timestamp",
                hint="publish with imagekit, which signs a release, or sign with a timestamp",
            ),
        )
    if case.now.is_older(newest, limit):
        return (
            error(
                _CHECK,
                "STALE_SIGNATURE",
                f"the newest release or signature is of {newest.isoformat()}, "
                f"{(case.now.time - newest).days} days old; the policy allows {limit}",
                hint="publish the image again, rebuilt with today's packages",
            ),
        )
    return (ok(_CHECK, f"released or signed at {newest.isoformat()}"),)


def _monotonic(
    case: ImageEvidence,
    memory: RollbackStore,
    *,
    releases: Iterable[Release],
    faults: Iterable[str],
) -> Fresh:
    tag = case.image.tag
    if tag is None:
        return Fresh(findings=(ok(_CHECK, "asked for by digest: there is no tag to go back"),))
    mine = [release for release in releases if tag in release.tags]
    if not mine:
        why = "; ".join(faults)
        return Fresh(
            findings=(
                error(
                    _CHECK,
                    "NO_RELEASE",
                    f"nobody trusted has signed a release of this image as {tag}"
                    + (f": {why}" if why else ""),
                    hint="publish it with imagekit, which signs one for each of its tags",
                ),
            )
        )
    newest = max(mine, key=lambda release: release.sequence)
    name = f"{signed_name(case.rule, case.image)}:{tag}"
    return _compare(case, newest, memory, name=name)


def _compare(
    case: ImageEvidence, release: Release, memory: RollbackStore, /, *, name: str
) -> Fresh:
    now = HighWaterMark(sequence=int(case.now.time.timestamp()), digest=case.policy.digest)
    mark = HighWaterMark(sequence=release.sequence, digest=case.image.digest)
    learned = ((name, mark), (_CLOCK, now))
    try:
        highest, clock = memory.highest(name), memory.highest(_CLOCK)
    except RollbackStoreError as fault:
        return Fresh(findings=(_unremembered(case, fault),))
    newest = datetime.fromtimestamp(clock.sequence, UTC) if clock else case.now.time
    if case.now.is_behind(newest):
        return Fresh(findings=(_clock(case, newest, "what was verified here before"),))
    if highest is None:
        message = f"release {release.sequence}, the first that is seen here of {name}"
        return Fresh(findings=(ok(_CHECK, message),), learned=learned)
    if mark.goes_back_from(highest):
        return Fresh(findings=(_rollback(release, highest, case.image.digest, name=name),))
    message = f"release {release.sequence}; the highest seen here was {highest.sequence}"
    return Fresh(findings=(ok(_CHECK, message),), learned=learned)


def _rollback(release: Release, highest: HighWaterMark, digest: Digest, /, *, name: str) -> Finding:
    if release.sequence == highest.sequence:
        message = (
            f"release {release.sequence} of {name} was {highest.digest.short} when it was seen "
            f"here, and is {digest.short} now"
        )
    else:
        message = (
            f"{name} was moved back: this is release {release.sequence}, and release "
            f"{highest.sequence} ({highest.digest.short}) was seen here"
        )
    return error(
        _CHECK,
        "ROLLBACK",
        message,
        hint="ask who moved the tag; to go back on purpose publish the older image anew, "
        "or name it by its digest",
    )


def _unremembered(case: ImageEvidence, fault: RollbackStoreError) -> Finding:
    make = error if case.rule.freshness.remember is Need.REQUIRED else warning
    return make(
        _CHECK,
        "NOT_REMEMBERED",
        f"whether the tag was moved back cannot be told later: {fault.message}",
        hint="let the verifier write its state (XDG_STATE_HOME), or say --state FILE",
    )


def _clock(case: ImageEvidence, newest: datetime, what: str) -> Finding:
    return error(
        _CHECK,
        "CLOCK",
        f"this machine's clock says {case.now.isoformat()}, which is before {what} "
        f"({newest.isoformat()})",
        hint="set the clock; what is signed for a limited time cannot be judged without it",
    )

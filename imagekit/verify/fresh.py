"""The checks ``withdrawal`` and ``freshness``: what is signed about an image's place in time.

What must hold where a rule asks for it:

1. Nobody whom the rule lists has withdrawn the image, and nothing that may be a withdrawal was
   left unread because of a bound. A registry can hide a withdrawal; the policy's deny list
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
# Kept beside names of images, none of which begins so.
_CLOCK = "@clock"


class Fresh(Struct, frozen=True, kw_only=True):
    """The findings, and what to remember if the image is allowed in the end."""

    findings: tuple[Finding, ...]
    learned: tuple[tuple[str, HighWaterMark], ...] = ()


def check_withdrawal(image_evidence: ImageEvidence) -> tuple[Finding, ...]:
    """Return the finding that somebody trusted has withdrawn the image, if so."""
    for evidence in image_evidence.evidence:
        if evidence.predicate_type != WITHDRAWAL or not evidence.about:
            continue
        # Neither a key that is denied by now nor one that has expired brings an image back: what is
        # added to a policy never allows more. Who must not withdraw is no authority of the rule.
        if not any(
            is_of(evidence.signatory, authority) for authority in image_evidence.rule.authorities
        ):
            continue
        try:
            withdrawal = parse_withdrawal(evidence.predicate)
            why = f"at {withdrawal.time.isoformat()}: {withdrawal.reason}"
        except DocumentError as fault:
            # Who signed it meant to withdraw the image, whatever the reason should have been.
            why = f"in a statement that cannot be read: {fault.message}"
        return (
            error(
                "withdrawal",
                "WITHDRAWN",
                f"{image_evidence.signer(evidence)} withdrew the image {why}",
                hint="use another version of the image",
            ),
        )
    return ()


def check_unread(image_evidence: ImageEvidence) -> tuple[Finding, ...]:
    """Return the finding that something attached was not read and may be a withdrawal."""
    lost = image_evidence.attachments.lost
    if lost is not None:
        return (
            error(
                "withdrawal",
                "REFERRERS_LOST",
                f"{lost} is attached to {image_evidence.image.digest} and may be a withdrawal, "
                "but the registry does not have it",
                hint="copy the image whole, with all that is attached to it; or, if that is known "
                "to be no withdrawal, take it out of the list",
            ),
        )
    if not image_evidence.attachments.cut:
        return ()
    return (
        error(
            "withdrawal",
            "TOO_MANY",
            f"more is attached to {image_evidence.image.digest} than is read, "
            "and what was not read may be a withdrawal",
            hint="delete what strangers attached, and let only the publisher push",
        ),
    )


def check_freshness(image_evidence: ImageEvidence, memory: RollbackStore) -> Fresh:
    """Return what the rule's freshness comes to; nothing where it asks for none."""
    freshness = image_evidence.rule.freshness
    if freshness.max_age is None and not freshness.monotonic:
        return Fresh(findings=())
    releases, refusals = _releases(image_evidence)
    findings = list(_age(image_evidence, releases))
    learned: list[tuple[str, HighWaterMark]] = []
    if freshness.monotonic:
        judged = _monotonic(image_evidence, memory, releases=releases, faults=refusals)
        findings += judged.findings
        learned += judged.learned
    return Fresh(findings=tuple(findings), learned=tuple(learned))


def remember(
    image_evidence: ImageEvidence, fresh: Fresh, memory: RollbackStore
) -> tuple[Finding, ...]:
    """Remember what was learned of an image that is allowed; return a finding where that fails."""
    try:
        for name, mark in fresh.learned:
            memory.remember(name, mark)
    except RollbackStoreError as fault:
        return (_unremembered(image_evidence, fault),)
    return ()


def _releases(image_evidence: ImageEvidence) -> tuple[tuple[Release, ...], tuple[str, ...]]:
    """Return the releases of the image that the rule's authorities signed, and what is wrong."""
    releases, faults = [], []
    name = signed_name(image_evidence.rule, image_evidence.image)
    for evidence in image_evidence.evidence:
        if evidence.predicate_type != RELEASE or not evidence.about:
            continue
        # Else anybody who may push could raise the sequence.
        if isinstance(image_evidence.counting(evidence, image_evidence.rule.authorities), Refusal):
            continue
        try:
            release = parse_release(evidence.predicate)
        except DocumentError as fault:
            faults.append(fault.message)
            continue
        # The same key may release the same image in another repository, with sequences of its own.
        if canonical_name(release.repository) == name:
            releases.append(release)
        else:
            faults.append(f"one release is of {release.repository}")
    return tuple(releases), tuple(faults)


def _age(image_evidence: ImageEvidence, releases: Iterable[Release]) -> tuple[Finding, ...]:
    limit = image_evidence.rule.freshness.max_age
    good, _ = accepted(image_evidence)
    witnessed = [
        time
        for evidence, authorities in good
        for authority in authorities
        for time in times_of(evidence, authority)
    ]
    # A release's time is its signer's word. Who may sign can sign anew at any time, so that a false
    # one gains nothing.
    times = witnessed + [release.time for release in releases]
    # What is signed again is young again, whatever old signatures lie beside.
    newest = max(times, default=None)
    if newest is not None and image_evidence.now.is_behind(newest):
        return (_clock(image_evidence, newest, "the newest release"),)
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
    if image_evidence.now.is_older(newest, limit):
        return (
            error(
                _CHECK,
                "STALE_SIGNATURE",
                f"the newest release or signature is of {newest.isoformat()}, "
                f"{(image_evidence.now.time - newest).days} days old; the policy allows {limit}",
                hint="publish the image again, rebuilt with today's packages",
            ),
        )
    return (ok(_CHECK, f"released or signed at {newest.isoformat()}"),)


def _monotonic(
    image_evidence: ImageEvidence,
    memory: RollbackStore,
    *,
    releases: Iterable[Release],
    faults: Iterable[str],
) -> Fresh:
    tag = image_evidence.image.tag
    if tag is None:
        return Fresh(findings=(ok(_CHECK, "asked for by digest: there is no tag to go back"),))
    tagged = [release for release in releases if tag in release.tags]
    if not tagged:
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
    newest = max(tagged, key=lambda release: release.sequence)
    name = f"{signed_name(image_evidence.rule, image_evidence.image)}:{tag}"
    return _compare(image_evidence, newest, memory, name=name)


def _compare(
    image_evidence: ImageEvidence, release: Release, memory: RollbackStore, /, *, name: str
) -> Fresh:
    # The time is kept as a sequence, too: a clock that is set back is noticed as a tag is.
    now = HighWaterMark(
        sequence=int(image_evidence.now.time.timestamp()), digest=image_evidence.policy.digest
    )
    mark = HighWaterMark(sequence=release.sequence, digest=image_evidence.image.digest)
    learned = ((name, mark), (_CLOCK, now))
    try:
        highest, clock = memory.highest(name), memory.highest(_CLOCK)
    except RollbackStoreError as fault:
        return Fresh(findings=(_unremembered(image_evidence, fault),))
    newest = datetime.fromtimestamp(clock.sequence, UTC) if clock else image_evidence.now.time
    if image_evidence.now.is_behind(newest):
        return Fresh(findings=(_clock(image_evidence, newest, "what was verified here before"),))
    if highest is None:
        message = f"release {release.sequence}, the first that is seen here of {name}"
        return Fresh(findings=(ok(_CHECK, message),), learned=learned)
    if mark.goes_back_from(highest):
        return Fresh(
            findings=(_rollback(release, highest, image_evidence.image.digest, name=name),)
        )
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


def _unremembered(image_evidence: ImageEvidence, fault: RollbackStoreError) -> Finding:
    make = error if image_evidence.rule.freshness.remember is Need.REQUIRED else warning
    return make(
        _CHECK,
        "NOT_REMEMBERED",
        f"a later rollback of the tag cannot be detected: {fault.message}",
        hint="let the verifier write its state (XDG_STATE_HOME), or say --state FILE",
    )


def _clock(image_evidence: ImageEvidence, newest: datetime, what: str) -> Finding:
    return error(
        _CHECK,
        "CLOCK",
        f"this machine's clock says {image_evidence.now.isoformat()}, which is before {what} "
        f"({newest.isoformat()})",
        hint="set the clock; what is signed for a limited time cannot be judged without it",
    )

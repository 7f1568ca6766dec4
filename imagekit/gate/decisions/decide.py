"""Deciding: the verdict on a reference, and for how long it holds.

A verdict holds as long as the same evidence would lead to the same verdict, and that is found out
by judging again, with the same bytes and a later clock: whatever a policy makes depend on time,
now or in later versions, ends the decision (its expiry, ages, dated exceptions and warnings, keys'
lifetimes). The times that a policy names end it in any case.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from imagekit.errors import ImagekitError
from imagekit.gate.decisions.decision import Decision, DecisionClosure, closure_of, moments
from imagekit.gate.decisions.recording_reader import RecordingReader
from imagekit.oci.reference import Reference
from imagekit.policy.types import Policy
from imagekit.signatures.ports import CertificateVerifier
from imagekit.verify.fresh import FrozenRollbackStore
from imagekit.verify.ports import RollbackStore
from imagekit.verify.verdict import Verdict
from imagekit.verify.verify import verify

_STEP = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long decisions are kept at most."""

    allowed: timedelta = timedelta(minutes=10)
    """An image that is allowed is judged again after so long."""
    denied: timedelta = timedelta(seconds=30)
    """One that is denied: somebody may just be signing it."""
    stale: timedelta = timedelta(hours=1)
    """With the upstream down, an allowed image is served for so long after it was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivePolicy:
    """A policy as it is used here."""

    policy: Policy
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierDeps:
    """What a judgement needs besides the policy and the registry."""

    memory: RollbackStore
    certificates: CertificateVerifier


@dataclass(frozen=True, slots=True)
class _At:
    """A clock that stands."""

    time: datetime

    def now(self) -> datetime:
        return self.time


def decide(
    reference: Reference,
    active: ActivePolicy,
    recorder: RecordingReader,
    *,
    deps: VerifierDeps,
    now: datetime,
    lifetimes: Lifetimes,
) -> Decision:
    """Judge a reference.

    Args:
        reference: what a client asked for, by the upstream's name.
        active: the policy.
        recorder: reads from the upstream; what a tag points to may have been read already.
        deps: what was seen before, and what verifies certificates.
        now: the time.
        lifetimes: how long the decision is kept at most.

    Raises:
        RegistryError: there is no verdict.
    """
    verdict = _judged(reference, active, recorder, now=now, deps=deps)
    manifest = None if verdict.digest is None else recorder.manifests.get(verdict.digest)
    allowed = verdict.allowed and manifest is not None
    closure = DecisionClosure()
    if allowed and manifest is not None:
        denied = active.policy.deny.digests
        closure = closure_of(
            manifest, recorder.manifests, judged=frozenset(verdict.judged), denied=denied
        )
        fresh = now + lifetimes.allowed
        later = _Later(reference, active, recorder, deps)
        until = later.holds_until(now, now + max(lifetimes.allowed, lifetimes.stale))
    else:
        fresh = until = now + lifetimes.denied
    return Decision(
        reference=reference,
        digest=verdict.digest,
        allowed=allowed,
        policy=active.fingerprint,
        policy_name=f"{verdict.policy} version {verdict.policy_version}",
        findings=verdict.findings,
        made=now,
        fresh=min(fresh, until),
        until=until,
        manifest=manifest if allowed else None,
        closure=closure,
    )


@dataclass(frozen=True, slots=True)
class _Later:
    """The same judgement at a later time."""

    reference: Reference
    active: ActivePolicy
    recorder: RecordingReader
    deps: VerifierDeps

    def holds_until(self, now: datetime, longest: datetime) -> datetime:
        """Return when the verdict ends, ``longest`` at the latest; to the second."""
        self.recorder.seal()
        end = min([longest, *(time for time in moments(self.active.policy) if time > now)])
        if end - now <= _STEP or self._allowed(end - _STEP):
            return end
        return _last(now, end, self._allowed)

    def _allowed(self, time: datetime) -> bool:
        # A look into the future must not be remembered.
        deps = replace(self.deps, memory=FrozenRollbackStore(self.deps.memory))
        try:
            verdict = _judged(self.reference, self.active, self.recorder, now=time, deps=deps)
        except ImagekitError:
            # What would be asked for then is not known now.
            return False
        return verdict.allowed


def _judged(
    reference: Reference,
    active: ActivePolicy,
    recorder: RecordingReader,
    *,
    now: datetime,
    deps: VerifierDeps,
) -> Verdict:
    return verify(
        reference,
        policy=active.policy,
        reader=recorder,
        clock=_At(now),
        memory=deps.memory,
        certificates=deps.certificates,
    )


def _last(good: datetime, bad: datetime, holds: Callable[[datetime], bool]) -> datetime:
    """Return the last time that holds, between one that does and one that does not."""
    while bad - good > _STEP:
        middle = good + (bad - good) / 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good

"""Deciding: the verdict on a reference, and for how long it holds.

An image is verified once: each check says until when it holds, and the first that ends ends the
decision (the policy's expiry, ages, dated exceptions and warnings, keys' lifetimes). The times that
a policy names end it in any case.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from imagekit.gate.decisions.decision import Decision, DecisionClosure, closure_of, moments
from imagekit.gate.decisions.recording_reader import RecordingReader
from imagekit.oci.location import LocatedReference
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.signatures.ports import CertificateVerifier
from imagekit.verify.context import VerifyContext
from imagekit.verify.judge import judge
from imagekit.verify.ports import RollbackStore
from imagekit.verify.verify import REQUESTS


class Lifetimes(Struct, frozen=True, kw_only=True):
    """How long decisions are kept at most."""

    allowed: timedelta = timedelta(minutes=10)
    """An image that is allowed is judged again after so long."""
    denied: timedelta = timedelta(seconds=30)
    """One that is denied: somebody may just be signing it."""
    stale: timedelta = timedelta(hours=1)
    """With the upstream down, an allowed image is served for so long after it was judged."""


class ActivePolicy(Struct, frozen=True, kw_only=True):
    """A policy as it is used here."""

    policy: OpenedPolicy
    fingerprint: str


class VerifierDeps(Struct, frozen=True, kw_only=True):
    """What a judgement needs besides the policy and the registry."""

    memory: RollbackStore
    certificates: CertificateVerifier


def decide(
    reference: LocatedReference,
    active: ActivePolicy,
    recorder: RecordingReader,
    *,
    deps: VerifierDeps,
    now: datetime,
    lifetimes: Lifetimes,
) -> Decision:
    """Judge a reference.

    Args:
        reference: what a client asked for, where it is and by the upstream's name.
        active: the policy.
        recorder: reads from the upstream; what a tag points to may have been read already.
        deps: what was seen before, and what verifies certificates.
        now: the time.
        lifetimes: how long the decision is kept at most.

    Raises:
        RegistryError: there is no verdict.
    """
    longest = now + max(lifetimes.allowed, lifetimes.stale)
    context = VerifyContext(
        now=now,
        open_reader=lambda: recorder,
        location=reference.location,
        certificates=deps.certificates,
        memory=deps.memory,
        horizon=longest,
        at_once=REQUESTS,
    )
    verdict = judge(reference.reference, active.policy, context)
    # The bytes that were judged, not others that are read again.
    manifest = None if verdict.digest is None else recorder.manifests.get(verdict.digest)
    allowed = verdict.allowed and manifest is not None
    closure = DecisionClosure()
    if allowed and manifest is not None:
        denied = active.policy.deny.digests
        closure = closure_of(
            manifest, recorder.manifests, judged=frozenset(verdict.judged), denied=denied
        )
        fresh = now + lifetimes.allowed
        times = (time for time in moments(active.policy) if time > now)
        # A date in the policy may change what it says, though no check of this image named it.
        until = min(longest, verdict.until or longest, *times)
    else:
        # Nothing is served by it, so that it is never stale.
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

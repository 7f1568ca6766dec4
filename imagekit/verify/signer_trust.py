"""Whose evidence counts for whom: keys, identities, their validity and what witnesses it.

What must hold before evidence counts for an authority of the policy:

1. The signer is not on the deny list, neither as a key nor as an identity.
2. The key is the authority's; or the certificate's issuer and subject are, both wholly, of one of
   its identities, under the authority's own trusted root.
3. Log entry and timestamp are there where the authority needs them, and hold where they are
   there, unless it says that they are not looked at.
4. The signature was made while the authority was valid: at its earliest trusted time, or, where
   nobody testifies of one, now.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from imagekit.policy.authorities import identifies, is_of
from imagekit.policy.now import Now
from imagekit.policy.patterns import matches
from imagekit.policy.ruleset import Deny
from imagekit.signatures.authority import Authority, Need
from imagekit.signatures.publickey import PublicKey
from imagekit.signatures.results import (
    Certified,
    Refusal,
    ServiceResult,
    Signatory,
    TransparencyResult,
)
from imagekit.verify.evidence import Evidence


def name_of(signatory: Signatory, authorities: Iterable[Authority]) -> str:
    """Return how people call who signed."""
    names = (authority.name for authority in authorities if is_of(signatory, authority))
    name = next(names, "somebody")
    if isinstance(signatory, PublicKey):
        return f"{name} (key {signatory.fingerprint[:19]}...)"
    return f"{name} ({signatory.subject} by {signatory.issuer})"


def denied(evidence: Evidence, deny: Deny) -> Refusal | None:
    """Return why the signer may sign nothing any more, or None."""
    signatory = evidence.signatory
    if isinstance(signatory, PublicKey):
        if signatory.fingerprint not in deny.keys:
            return None
        who = f"the key {signatory.fingerprint}"
    else:
        if not any(identifies(signatory, identity) for identity in deny.identities):
            return None
        who = f"the identity {signatory}"
    return Refusal(
        code="REVOKED",
        message=f"{who} is on the policy's deny list",
        hint="sign with a key or an identity that is not revoked",
    )


def counting(
    evidence: Evidence, authorities: Sequence[Authority], *, deny: Deny, now: Now
) -> tuple[Authority, ...] | Refusal:
    """Return the authorities for whom the evidence counts, or why it counts for none.

    Args:
        evidence: a verified statement.
        authorities: those that may make it.
        deny: who may not any more.
        now: the present time.
    """
    # Before anything that could allow it.
    refusal = denied(evidence, deny)
    if refusal is not None:
        return refusal
    listed = [authority for authority in authorities if is_of(evidence.signatory, authority)]
    if not listed:
        return _stranger(evidence.signatory, authorities)
    faults = [(authority, _fault(evidence, authority, now)) for authority in listed]
    good = tuple(authority for authority, fault in faults if fault is None)
    return good or next(fault for _, fault in faults if fault is not None)


def times_of(evidence: Evidence, authority: Authority) -> tuple[datetime, ...]:
    """Return the trusted times of the signature, as the authority's trusted root has them."""
    return _times(_witness(evidence, authority), authority)


def _times(transparency: TransparencyResult | None, authority: Authority) -> tuple[datetime, ...]:
    if transparency is None:
        return ()
    log = transparency.log.times if authority.tlog is not Need.OFF else ()
    return log + (transparency.timestamps.times if authority.timestamp is not Need.OFF else ())


def _witness(evidence: Evidence, authority: Authority) -> TransparencyResult | None:
    if authority.trust_root is None:
        return None
    root = authority.trust_root.digest
    return next((witness for witness in evidence.witnesses if witness.root == root), None)


def _stranger(signatory: Signatory, authorities: Sequence[Authority]) -> Refusal:
    if isinstance(signatory, PublicKey):
        return Refusal(
            code="UNTRUSTED_KEY",
            message=f"the key {signatory.fingerprint} is trusted for other things, not for this",
        )
    wanted = [identity for authority in authorities for identity in authority.identities]
    # A subject alone is no identity: every issuer can vouch for any.
    if any(matches(identity.subject, signatory.subject) for identity in wanted):
        return Refusal(
            code="ISSUER_MISMATCH",
            message=f"{signatory.subject} was vouched for by {signatory.issuer}, "
            "which the policy does not list for this subject",
            hint="anybody can run an issuer that vouches for any name",
        )
    code = "IDENTITY_MISMATCH" if wanted else "UNTRUSTED_KEY"
    return Refusal(code=code, message=f"{signatory} is not an identity that the policy lists")


def _fault(evidence: Evidence, authority: Authority, now: Now) -> Refusal | None:
    transparency = _witness(evidence, authority)
    # Another authority's trusted root has verified it, and this one's has not.
    if isinstance(evidence.signatory, Certified) and transparency is None:
        return Refusal(
            code="UNTRUSTED_KEY",
            message=f"the certificate of {evidence.signatory} is not of the trusted root that "
            f"{authority.name} has",
        )
    return _witness_fault(transparency, authority) or _time_fault(
        _times(transparency, authority), authority, now
    )


def _witness_fault(transparency: TransparencyResult | None, authority: Authority) -> Refusal | None:
    log, timestamps = (
        (transparency.log, transparency.timestamps)
        if transparency
        else (ServiceResult(), ServiceResult())
    )
    for need, result in ((authority.tlog, log), (authority.timestamp, timestamps)):
        # A proof that is there and does not hold refuses, also where none is required.
        if need is not Need.OFF and result.fault is not None:
            return result.fault
    if authority.tlog is Need.REQUIRED and not log.there:
        return _unlogged(authority, foreign=log.foreign)
    if authority.timestamp is Need.REQUIRED and not timestamps.there:
        return _unstamped(authority, foreign=timestamps.foreign)
    return None


def _unlogged(authority: Authority, *, foreign: bool) -> Refusal:
    if foreign:
        return Refusal(
            code="UNKNOWN_LOG",
            message=f"the signature of {authority.name} is in a transparency log that the trusted "
            "root does not know",
            hint="is the policy's trusted root that of the Sigstore which the image was signed by?",
        )
    return Refusal(
        code="NO_TLOG_ENTRY",
        message=f"the signature of {authority.name} is in no transparency log "
        "of the trusted root, and the policy wants it to be",
        hint="sign with a log (cosign sign --key, without --tlog-upload=false), "
        "or say tlog: optional",
    )


def _unstamped(authority: Authority, *, foreign: bool) -> Refusal:
    more = "; the one that it has is of an authority that the root does not know"
    return Refusal(
        code="NO_TRUSTED_TIME",
        message=f"the signature of {authority.name} has no timestamp of an authority "
        f"of the trusted root, and the policy wants one{more if foreign else ''}",
        hint="sign with a timestamp authority (cosign sign --key, with a signing configuration "
        "that has one), or say timestamp: optional",
    )


def _time_fault(times: Sequence[datetime], authority: Authority, now: Now) -> Refusal | None:
    if any(now.is_behind(time) for time in times):
        return Refusal(
            code="CLOCK",
            message=f"the signature's trusted time, {max(times).isoformat()}, is in the future: "
            f"this machine's clock says {now.isoformat()}",
            hint="set the clock",
        )
    # What is trusted does not change; what nobody testifies of is judged by the present time.
    # The earliest: a later timestamp can be had for an old signature at any time.
    moment = min(times, default=None)

    def is_early(limit: datetime) -> bool:
        return now.is_before(limit) if moment is None else moment < limit

    before = authority.not_before is not None and is_early(authority.not_before)
    after = authority.not_after is not None and not is_early(authority.not_after)
    if not (before or after):
        return None
    limit = authority.not_before if before else authority.not_after
    word = "notBefore" if before else "notAfter"
    return Refusal(
        code="KEY_NOT_VALID",
        message=f"{authority.name} is not valid at {(moment or now).isoformat()}: {word} is "
        f"{limit.isoformat() if limit else ''}"
        + ("" if times else ", and nobody testifies of when the signature was made"),
        hint="sign again with the present key; a timestamp would keep old signatures good",
    )

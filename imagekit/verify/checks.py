"""Decides from evidence: one finding for each check.

The checks: ``withdrawal`` and ``freshness`` (see ``fresh``), ``signature`` (see ``signatures``),
and one for each required attestation (see ``attestations``). Where attestations are the proof there
is no check of signatures, and the policy's schema sees to it that at least one is required.

A candidate that proves nothing does no harm either: it is told as a warning, since everybody who
may push could attach one, and its reason becomes that of the refusal where nothing else suffices.
"""

from imagekit.policy.findings import Finding, warning
from imagekit.policy.ruleset import Proof
from imagekit.verify.attestations import check_attestation
from imagekit.verify.image_evidence import ORDINARY, SHOWN, ImageEvidence
from imagekit.verify.signatures import check_signature


def decide(case: ImageEvidence, *, attestations: bool = True) -> tuple[Finding, ...]:
    """Return the findings on signatures and attestations.

    Args:
        case: the image or index and what was found beside it.
        attestations: whether the rule's attestations are looked for here.
    """
    attested = case.rule.proof is Proof.ATTESTATIONS
    required = case.rule.attestations if attestations or attested else ()
    return (
        *(() if attested else (check_signature(case),)),
        *(check_attestation(case, each) for each in required),
        *_ignored(case),
    )


def _ignored(case: ImageEvidence) -> tuple[Finding, ...]:
    """Return what was passed over, once: broken signatures, and not those of strangers."""
    odd = [each for each in case.refusals if each.code not in ORDINARY]
    lost = _lost_warning(case)
    if not odd:
        return lost
    shown = "; ".join(each.message for each in odd[:SHOWN])
    more = f"; and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
    return (
        *lost,
        warning(
            "attached",
            odd[0].code,
            f"not counted: {shown}{more}",
            hint="anybody who may push can attach such things; ask who did",
        ),
    )


def _lost_warning(case: ImageEvidence) -> tuple[Finding, ...]:
    if not case.attachments.trace or not case.evidence:
        return ()
    return (
        warning(
            "referrers",
            "REFERRERS_LOST",
            f"the image's referrers were lost: {case.attachments.trace}",
            hint=f"ask who writes that tag, then sign again: {case.remedy}",
        ),
    )

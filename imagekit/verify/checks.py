"""Decides from evidence: one finding for each check.

The checks: ``withdrawal`` and ``freshness`` (see ``fresh``), ``signature`` (see ``signatures``),
and one for each required attestation (see ``attestations``). Where attestations are the proof there
is no check of signatures, and the policy's schema sees to it that at least one is required.

A candidate that proves nothing does not count against an image: it is reported as a warning, since
everybody who may push could attach one. Its reason becomes that of the refusal where nothing else
suffices.
"""

from imagekit.policy.findings import Finding, warning
from imagekit.policy.ruleset import Proof
from imagekit.verify.attestations import check_attestation
from imagekit.verify.image_evidence import ORDINARY, SHOWN, ImageEvidence
from imagekit.verify.signatures import check_signature


def decide(image_evidence: ImageEvidence, *, attestations: bool = True) -> tuple[Finding, ...]:
    """Return the findings on signatures and attestations.

    Args:
        image_evidence: the image or index and what was found beside it.
        attestations: whether the rule's attestations are looked for here.
    """
    attested = image_evidence.rule.proof is Proof.ATTESTATIONS
    required = image_evidence.rule.attestations if attestations or attested else ()
    return (
        *(() if attested else (check_signature(image_evidence),)),
        *(check_attestation(image_evidence, attestation) for attestation in required),
        *_ignored(image_evidence),
    )


def _ignored(image_evidence: ImageEvidence) -> tuple[Finding, ...]:
    """Return what was passed over, once: broken signatures, and not those of strangers."""
    unusual = [refusal for refusal in image_evidence.refusals if refusal.code not in ORDINARY]
    lost = _lost_warning(image_evidence)
    if not unusual:
        return lost
    shown = "; ".join(refusal.message for refusal in unusual[:SHOWN])
    more = f"; and {len(unusual) - SHOWN} more" if len(unusual) > SHOWN else ""
    return (
        *lost,
        warning(
            "attached",
            unusual[0].code,
            f"not counted: {shown}{more}",
            hint="anybody who may push can attach such things; ask who did",
        ),
    )


def _lost_warning(image_evidence: ImageEvidence) -> tuple[Finding, ...]:
    if not image_evidence.attachments.trace or not image_evidence.evidence:
        return ()
    return (
        warning(
            "referrers",
            "REFERRERS_LOST",
            f"the image's referrers were lost: {image_evidence.attachments.trace}",
            hint=f"ask who writes that tag, then sign again: {image_evidence.remedy}",
        ),
    )

"""The check ``signature``: enough distinct signers, each for this very image and name.

Each authority counts once, and each signer too: neither two names for one key, nor one identity
that two patterns match, nor two identities that one pattern matches reach a threshold of two.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from imagekit.policy.condition import Condition
from imagekit.policy.findings import Finding, error, ok
from imagekit.policy.ruleset import Proof
from imagekit.signatures.authority import Authority
from imagekit.signatures.intoto import COSIGN_SIGN, VSA
from imagekit.signatures.results import Refusal, Signatory
from imagekit.verify.conditions import ConditionContext, condition_fault
from imagekit.verify.evidence import Evidence
from imagekit.verify.identity import accepts, wanted
from imagekit.verify.image_evidence import ORDINARY, SHOWN, ImageEvidence, nearest, other_image


def check_signature(image_evidence: ImageEvidence) -> Finding:
    """Return the finding on the image's signatures, or on its verification summaries."""
    good, refusals = accepted(image_evidence)
    # DSSE protocol, "Multi-signature Verification": what counts are unique keys, not signatures.
    signers = distinct(good)
    # A threshold of 0 would allow what nobody has signed.
    if len(signers) >= max(1, image_evidence.rule.threshold):
        return ok("signature", _signed_by(image_evidence, signers))
    if signers:
        return _too_few(image_evidence, signers, refusals)
    return _unsigned(image_evidence, refusals)


def accepted(
    image_evidence: ImageEvidence,
) -> tuple[tuple[tuple[Evidence, tuple[Authority, ...]], ...], tuple[Refusal, ...]]:
    """Return what counts as a signature with those for whom it does, and why the rest does not."""
    good, refusals = [], list(image_evidence.refusals)
    for evidence in image_evidence.evidence:
        judged = _judged(image_evidence, evidence)
        if isinstance(judged, Refusal):
            refusals.append(judged)
        else:
            good.append((evidence, judged))
    return tuple(good), tuple(refusals)


def distinct(good: Iterable[tuple[Evidence, tuple[Authority, ...]]]) -> tuple[Evidence, ...]:
    """Return evidence by as many distinct signers for distinct authorities as there can be.

    It is a maximum matching of signers and authorities, by augmenting paths.
    """
    options: dict[Signatory, list[Authority]] = {}
    first: dict[Signatory, Evidence] = {}
    for evidence, authorities in good:
        first.setdefault(evidence.signatory, evidence)
        candidates = options.setdefault(evidence.signatory, [])
        # One signer may have several statements, which count for different authorities.
        candidates += [authority for authority in authorities if authority not in candidates]
    taken: dict[Authority, Signatory] = {}
    for signatory in options:
        _place(signatory, options, taken, tried=set())
    placed = set(taken.values())
    return tuple(evidence for signatory, evidence in first.items() if signatory in placed)


def _place(
    signatory: Signatory,
    options: Mapping[Signatory, Sequence[Authority]],
    taken: dict[Authority, Signatory],
    *,
    tried: set[Authority],
) -> bool:
    for authority in options[signatory]:
        if authority in tried:
            continue
        tried.add(authority)
        holder = taken.get(authority)
        if holder is None or _place(holder, options, taken, tried=tried):
            taken[authority] = signatory
            return True
    return False


def _judged(image_evidence: ImageEvidence, evidence: Evidence) -> tuple[Authority, ...] | Refusal:
    """Return for whom the evidence is a signature of the image, or why it is none."""
    counts = image_evidence.counting(evidence, image_evidence.rule.authorities)
    if isinstance(counts, Refusal):
        return counts
    return _fault(image_evidence, evidence) or counts


def _fault(image_evidence: ImageEvidence, evidence: Evidence) -> Refusal | None:
    match image_evidence.rule.proof:
        case Proof.SIGNATURE:
            return _signed_fault(image_evidence, evidence)
        case Proof.VSA:
            return summary_fault(image_evidence, evidence, image_evidence.rule.vsa)
        case Proof.ATTESTATIONS:
            return _attested_fault(image_evidence, evidence)
    assert_never(image_evidence.rule.proof)


def _attested_fault(image_evidence: ImageEvidence, evidence: Evidence) -> Refusal | None:
    if all(
        evidence.predicate_type != required.predicate_type
        for required in image_evidence.rule.attestations
    ):
        return Refusal(
            code="WRONG_PREDICATE_TYPE",
            message=f"{image_evidence.signer(evidence)} made a statement of type "
            f"{evidence.predicate_type}, which the policy does not ask for",
        )
    return name_fault(image_evidence, evidence)


def summary_fault(
    image_evidence: ImageEvidence, evidence: Evidence, condition: Condition | None
) -> Refusal | None:
    """Return why a statement is no verification summary that is relied on, or None.

    Receipts of staged images are judged by it, too.

    Args:
        image_evidence: the image and the rule.
        evidence: a statement by somebody for whom it counts.
        condition: whose summaries are relied on; None for nobody's.
    """
    # SLSA VSA v1.1, "How to verify", step 3, and behind it step 2.
    if evidence.predicate_type != VSA:
        return Refusal(
            code="WRONG_PREDICATE_TYPE",
            message=f"{image_evidence.signer(evidence)} made a statement of type "
            f"{evidence.predicate_type}; the policy relies on verification summaries here",
            hint="issue one where the image can be verified: imagekit verify REFERENCE --vsa",
        )
    if not evidence.about:
        return other_image(image_evidence, evidence)
    if condition is None:
        return Refusal(
            code="VERIFIER_NOT_ALLOWED",
            message="the rule relies on verification summaries, and lists no verifier",
            hint="add vsa: {verifierIds: [URI]}",
        )
    question = ConditionContext(
        image=image_evidence.image, rule=image_evidence.rule, now=image_evidence.now
    )
    return condition_fault(condition, evidence.predicate, question)


def _signed_fault(image_evidence: ImageEvidence, evidence: Evidence) -> Refusal | None:
    # To ``cosign verify``, a bundle of any predicate is a signature, also that of an SBOM.
    if evidence.predicate_type != COSIGN_SIGN:
        return Refusal(
            code="WRONG_PREDICATE_TYPE",
            message=f"{image_evidence.signer(evidence)} made an attestation of type "
            f"{evidence.predicate_type}, which is no signature of the image",
            hint=f"sign the image itself: {image_evidence.remedy}",
        )
    return name_fault(image_evidence, evidence)


def name_fault(image_evidence: ImageEvidence, evidence: Evidence) -> Refusal | None:
    """Return why a statement is not about this image under this name, or None."""
    if not evidence.about:
        return other_image(image_evidence, evidence)
    if accepts(image_evidence.rule, image_evidence.image, evidence.identities):
        return None
    names = ", ".join(evidence.identities[:SHOWN]) or "no name at all"
    return Refusal(
        code="REFERENCE_MISMATCH",
        message=f"{image_evidence.signer(evidence)} signed this image for {names}, and not for "
        f"{wanted(image_evidence.rule, image_evidence.image)}",
        hint="publish or sign it under this name; signedIdentity: digestOnly accepts any"
        if evidence.identities
        else "if others sign these images without a name, say signedIdentity: digestOnly",
    )


def _too_few(
    image_evidence: ImageEvidence, signers: Sequence[Evidence], refusals: Sequence[Refusal]
) -> Finding:
    other = nearest(refusals)
    more = f"; another one: {other.message}" if other else ""
    return error(
        "signature",
        "THRESHOLD_NOT_MET",
        f"{len(signers)} of {image_evidence.rule.threshold} distinct authorities signed: "
        f"{_signed_by(image_evidence, signers)}{more}",
        hint=f"let another authority sign: {image_evidence.remedy}",
    )


def _unsigned(image_evidence: ImageEvidence, refusals: Sequence[Refusal]) -> Finding:
    reason = nearest(refusals)
    # That somebody unknown signed, too, does not explain why the signatures are missing; a lost
    # list does.
    if reason is not None and not (reason.code in ORDINARY and image_evidence.attachments.trace):
        trusted = ", ".join(authority.name for authority in image_evidence.rule.authorities)
        hint = reason.hint or f"a signature by {trusted} is wanted: {image_evidence.remedy}"
        return error("signature", reason.code, reason.message, hint=hint)
    if image_evidence.attachments.trace:
        return error(
            "signature",
            "REFERRERS_LOST",
            f"the image's referrers were lost: {image_evidence.attachments.trace}",
            hint=f"ask who writes that tag, then sign again: {image_evidence.remedy}",
        )
    return error(
        "signature",
        "NO_SIGNATURE",
        "the image has no signature",
        hint=f"if you know who made it and trust it: {image_evidence.remedy}",
    )


def _signed_by(image_evidence: ImageEvidence, signers: Iterable[Evidence]) -> str:
    return "; ".join(
        f"{image_evidence.signer(evidence)}, signed for "
        f"{', '.join(evidence.identities[:SHOWN]) or 'the digest'}"
        for evidence in signers
    )

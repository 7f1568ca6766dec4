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


def check_signature(case: ImageEvidence) -> Finding:
    """Return the finding on the image's signatures, or on its verification summaries."""
    good, refusals = accepted(case)
    signers = distinct(good)
    if len(signers) >= max(1, case.rule.threshold):
        return ok("signature", _signed_by(case, signers))
    if signers:
        return _too_few(case, signers, refusals)
    return _unsigned(case, refusals)


def accepted(
    case: ImageEvidence,
) -> tuple[tuple[tuple[Evidence, tuple[Authority, ...]], ...], tuple[Refusal, ...]]:
    """Return what counts as a signature with those for whom it does, and why the rest does not."""
    good, refusals = [], list(case.refusals)
    for each in case.evidence:
        judged = _judged(case, each)
        if isinstance(judged, Refusal):
            refusals.append(judged)
        else:
            good.append((each, judged))
    return tuple(good), tuple(refusals)


def distinct(good: Iterable[tuple[Evidence, tuple[Authority, ...]]]) -> tuple[Evidence, ...]:
    """Return evidence by as many distinct signers for distinct authorities as there can be.

    It is a maximum matching of signers and authorities, by augmenting paths.
    """
    options: dict[Signatory, list[Authority]] = {}
    first: dict[Signatory, Evidence] = {}
    for each, authorities in good:
        first.setdefault(each.signatory, each)
        known = options.setdefault(each.signatory, [])
        known += [one for one in authorities if one not in known]
    taken: dict[Authority, Signatory] = {}
    for signatory in options:
        _place(signatory, options, taken, tried=set())
    placed = set(taken.values())
    return tuple(each for signatory, each in first.items() if signatory in placed)


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


def _judged(case: ImageEvidence, each: Evidence) -> tuple[Authority, ...] | Refusal:
    """Return for whom the evidence is a signature of the image, or why it is none."""
    counts = case.counting(each, case.rule.authorities)
    if isinstance(counts, Refusal):
        return counts
    return _fault(case, each) or counts


def _fault(case: ImageEvidence, each: Evidence) -> Refusal | None:
    match case.rule.proof:
        case Proof.SIGNATURE:
            return _signed_fault(case, each)
        case Proof.VSA:
            return summary_fault(case, each, case.rule.vsa)
        case Proof.ATTESTATIONS:
            return _attested_fault(case, each)
    assert_never(case.rule.proof)


def _attested_fault(case: ImageEvidence, each: Evidence) -> Refusal | None:
    if all(each.predicate_type != one.predicate_type for one in case.rule.attestations):
        return Refusal(
            code="WRONG_PREDICATE_TYPE",
            message=f"{case.signer(each)} made a statement of type {each.predicate_type}, "
            "which the policy does not ask for",
        )
    return name_fault(case, each)


def summary_fault(
    case: ImageEvidence, each: Evidence, condition: Condition | None
) -> Refusal | None:
    """Return why a statement is no verification summary that is relied on, or None.

    Receipts of staged images are judged by it, too.

    Args:
        case: the image and the rule.
        each: a statement by somebody for whom it counts.
        condition: whose summaries are relied on; None for nobody's.
    """
    if each.predicate_type != VSA:
        return Refusal(
            code="WRONG_PREDICATE_TYPE",
            message=f"{case.signer(each)} made a statement of type {each.predicate_type}; "
            "the policy relies on verification summaries here",
            hint="issue one where the image can be verified: imagekit verify REFERENCE --vsa",
        )
    if not each.about:
        return other_image(case, each)
    if condition is None:
        return Refusal(
            code="VERIFIER_NOT_ALLOWED",
            message="the rule relies on verification summaries, and lists no verifier",
            hint="add vsa: {verifierIds: [URI]}",
        )
    question = ConditionContext(image=case.image, rule=case.rule, now=case.now)
    return condition_fault(condition, each.predicate, question)


def _signed_fault(case: ImageEvidence, each: Evidence) -> Refusal | None:
    if each.predicate_type != COSIGN_SIGN:
        return Refusal(
            code="WRONG_PREDICATE_TYPE",
            message=f"{case.signer(each)} made an attestation of type {each.predicate_type}, "
            "which is no signature of the image",
            hint=f"sign the image itself: {case.remedy}",
        )
    return name_fault(case, each)


def name_fault(case: ImageEvidence, each: Evidence) -> Refusal | None:
    """Return why a statement is not about this image under this name, or None."""
    if not each.about:
        return other_image(case, each)
    if accepts(case.rule, case.image, each.identities):
        return None
    names = ", ".join(each.identities[:SHOWN]) or "no name at all"
    return Refusal(
        code="REFERENCE_MISMATCH",
        message=f"{case.signer(each)} signed this image for {names}, and not for "
        f"{wanted(case.rule, case.image)}",
        hint="publish or sign it under this name; signedIdentity: digestOnly accepts any"
        if each.identities
        else "if others sign these images without a name, say signedIdentity: digestOnly",
    )


def _too_few(
    case: ImageEvidence, signers: Sequence[Evidence], refusals: Sequence[Refusal]
) -> Finding:
    other = nearest(refusals)
    more = f"; another one: {other.message}" if other else ""
    return error(
        "signature",
        "THRESHOLD_NOT_MET",
        f"{len(signers)} of {case.rule.threshold} distinct authorities signed: "
        f"{_signed_by(case, signers)}{more}",
        hint=f"let another authority sign: {case.remedy}",
    )


def _unsigned(case: ImageEvidence, refusals: Sequence[Refusal]) -> Finding:
    reason = nearest(refusals)
    if reason is not None and not (reason.code in ORDINARY and case.attachments.trace):
        trusted = ", ".join(authority.name for authority in case.rule.authorities)
        hint = reason.hint or f"a signature by {trusted} is wanted: {case.remedy}"
        return error("signature", reason.code, reason.message, hint=hint)
    if case.attachments.trace:
        return error(
            "signature",
            "REFERRERS_LOST",
            f"the image's referrers were lost: {case.attachments.trace}",
            hint=f"ask who writes that tag, then sign again: {case.remedy}",
        )
    return error(
        "signature",
        "NO_SIGNATURE",
        "the image has no signature",
        hint=f"if you know who made it and trust it: {case.remedy}",
    )


def _signed_by(case: ImageEvidence, signers: Iterable[Evidence]) -> str:
    return "; ".join(
        f"{case.signer(each)}, signed for {', '.join(each.identities[:SHOWN]) or 'the digest'}"
        for each in signers
    )

"""One check for each attestation that a rule requires.

Somebody of its authorities has signed a statement of exactly that predicate type about the
image's digest, and its predicate is a document of that type that meets the rule's condition. No
attestation at all is a refusal, never a pass.

Of several attestations of the type one that holds is enough: whoever may attest may attest anew.
An older one that does not meet a condition denies nothing, since a registry that is asked could
hide it: what is hidden must not make an image acceptable.
"""

from imagekit.policy.condition import Condition
from imagekit.policy.findings import Finding, error, ok
from imagekit.policy.ruleset import Proof, RequiredAttestation
from imagekit.signatures.intoto import CYCLONEDX, SLSA_PROVENANCE
from imagekit.signatures.results import Refusal
from imagekit.verify.conditions import ConditionContext, condition_fault
from imagekit.verify.evidence import Evidence
from imagekit.verify.image_evidence import ImageEvidence, lost, nearest, other_image
from imagekit.verify.signatures import name_fault

_MAKES = {CYCLONEDX: " --sbom", SLSA_PROVENANCE: " --provenance --builder URI"}
"""What makes ``imagekit sign`` attest each type; of others imagekit makes none."""
_CHECKS = {CYCLONEDX: "sbom", SLSA_PROVENANCE: "provenance"}


def check_attestation(case: ImageEvidence, required: RequiredAttestation) -> Finding:
    """Return the finding on one attestation that the rule requires."""
    check = _CHECKS.get(required.predicate_type, required.type)
    refusals = [each for each in case.refusals if each.claim == required.predicate_type]
    for each in case.evidence:
        if each.predicate_type != required.predicate_type:
            continue
        fault = _fault(case, each, required)
        if fault is None:
            return ok(check, f"{required.type}, signed by {case.signer(each)}")
        refusals.append(fault)
    return _missing(case, required, refusals, check=check)


def _missing(
    case: ImageEvidence, required: RequiredAttestation, refusals: list[Refusal], *, check: str
) -> Finding:
    names = ", ".join(authority.name for authority in required.authorities)
    wants = f"the policy wants an attestation of type {required.type} signed by {names}"
    makes = _MAKES.get(required.predicate_type)
    hint = (
        f"publish again with imagekit, or: {case.remedy}{makes}"
        if makes is not None
        else f"let one of them attest it, for example by: cosign attest --type {required.type}"
    )
    if case.is_index and required.predicate_type == CYCLONEDX:
        hint += "; an SBOM is of one platform, so let the rule look there: platforms: {verify: all}"
    reason = nearest(refusals)
    if reason is not None:
        return error(check, reason.code, f"{wants}; {reason.message}", hint=reason.hint or hint)
    gone = lost(case)
    if gone:
        return error(
            check, "REFERRERS_LOST", f"{wants}; the image's referrers were lost: {gone}", hint=hint
        )
    return error(check, "MISSING_ATTESTATION", f"{wants}; the registry lists none", hint=hint)


def _fault(case: ImageEvidence, each: Evidence, required: RequiredAttestation) -> Refusal | None:
    counts = case.counting(each, required.authorities)
    if isinstance(counts, Refusal):
        return counts
    if not each.about:
        return other_image(case, each)
    if case.rule.proof is Proof.ATTESTATIONS:
        # Nothing else says which name the image was made for.
        named = name_fault(case, each)
        if named is not None:
            return named
    return _content_fault(each) or _condition_fault(case, each, required.condition)


def _condition_fault(
    case: ImageEvidence, each: Evidence, condition: Condition | None
) -> Refusal | None:
    if condition is None:
        return None
    question = ConditionContext(image=case.image, rule=case.rule, now=case.now)
    return condition_fault(condition, each.predicate, question)


def _content_fault(each: Evidence) -> Refusal | None:
    """Check that the predicate is a document of its type: an empty one attests nothing."""
    predicate = each.predicate
    if each.predicate_type == CYCLONEDX:
        good = predicate.get("bomFormat") == "CycloneDX"
        needs = 'a CycloneDX document ("bomFormat": "CycloneDX")'
    elif each.predicate_type == SLSA_PROVENANCE:
        parts = (predicate.get("buildDefinition"), predicate.get("runDetails"))
        good = all(isinstance(part, dict) and part for part in parts)
        needs = "a provenance with buildDefinition and runDetails"
    else:
        good, needs = bool(predicate), "anything: it is empty"
    if good:
        return None
    return Refusal(code="BAD_STATEMENT", message=f"what was signed does not hold {needs}")

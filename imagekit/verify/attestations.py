"""One check for each attestation that a rule requires.

Somebody of its authorities has signed a statement of exactly that predicate type about the
image's digest, and its predicate is a document of that type that meets the rule's condition. No
attestation at all is a refusal, never a pass.

Of several attestations of the type one that holds is enough: whoever may attest may attest anew.
An older one that does not meet a condition denies nothing, since a registry that is asked could
hide it: what is hidden must not make an image acceptable.
"""

from imagekit.policy.condition import Condition, NeedsCondition
from imagekit.policy.findings import Finding, error, ok
from imagekit.policy.ruleset import Proof, RequiredAttestation
from imagekit.signatures.intoto import (
    CYCLONEDX,
    NEEDS,
    REBUILD,
    SELF_CONTAINED,
    SLSA_PROVENANCE,
    TEST_RESULT,
)
from imagekit.signatures.results import Refusal
from imagekit.verify.conditions import ConditionContext, condition_fault
from imagekit.verify.evidence import Evidence
from imagekit.verify.image_evidence import ImageEvidence, lost, nearest, other_image
from imagekit.verify.signatures import name_fault

_MAKES = {CYCLONEDX: " --sbom", SLSA_PROVENANCE: " --provenance --builder URI"}
"""What makes ``imagekit sign`` attest each type; of others imagekit makes none."""
_CHECKS = {
    CYCLONEDX: "sbom",
    SLSA_PROVENANCE: "provenance",
    NEEDS: "needs",
    TEST_RESULT: "tests",
    REBUILD: "rebuild",
    SELF_CONTAINED: "selfcontained",
}
_RECIPES = {
    NEEDS: "add `needs: {}` to its recipe, or what it needs there, and publish it again",
    TEST_RESULT: "let its recipe have `tests`, and publish a new version",
    SELF_CONTAINED: "publish a new version, or: imagekit check REFERENCE --attest --key FILE",
    REBUILD: "let another builder agree: imagekit rebuild REFERENCE --policy FILE --attest",
}
"""What makes imagekit attest each type that is not of every recipe."""


def check_attestation(image_evidence: ImageEvidence, required: RequiredAttestation) -> Finding:
    """Return the finding on one attestation that the rule requires."""
    check = _CHECKS.get(required.predicate_type, required.type)
    # By the type that they claim, which nobody has verified: it chooses a message, and allows
    # nothing.
    refusals = [
        refusal for refusal in image_evidence.refusals if refusal.claim == required.predicate_type
    ]
    for evidence in image_evidence.evidence:
        # Letter by letter (in-toto field_types.md, TypeURI). cosign once took an attestation of any
        # type for the one that was asked for (CVE-2022-35929).
        if evidence.predicate_type != required.predicate_type:
            continue
        fault = _fault(image_evidence, evidence, required)
        if fault is None:
            passed = _passed(image_evidence, required)
            return ok(check, f"{passed}, signed by {image_evidence.signer(evidence)}")
        refusals.append(fault)
    return _missing(image_evidence, required, refusals, check=check)


def _passed(image_evidence: ImageEvidence, required: RequiredAttestation) -> str:
    if not isinstance(required.condition, NeedsCondition):
        return required.type
    if image_evidence.find_lacks is None:
        return "what the image needs of a node, which is compared where it runs"
    return "what the image needs, and this node has it"


def _missing(
    image_evidence: ImageEvidence,
    required: RequiredAttestation,
    refusals: list[Refusal],
    *,
    check: str,
) -> Finding:
    names = ", ".join(authority.name for authority in required.authorities)
    wants = f"the policy wants an attestation of type {required.type} signed by {names}"
    makes = _MAKES.get(required.predicate_type)
    hint = (
        f"publish again with imagekit, or: {image_evidence.remedy}{makes}"
        if makes is not None
        else _RECIPES.get(required.predicate_type)
        or f"let one of them attest it, for example by: cosign attest --type {required.type}"
    )
    if image_evidence.is_index and required.predicate_type == CYCLONEDX:
        hint += "; an SBOM is of one platform, so let the rule look there: platforms: {verify: all}"
    reason = nearest(refusals)
    if reason is not None and reason.code == "NODE_LACKS":
        # The statement is there and counts: only the node is to blame.
        return error(check, reason.code, reason.message, hint=reason.hint)
    if reason is not None:
        return error(check, reason.code, f"{wants}; {reason.message}", hint=reason.hint or hint)
    gone = lost(image_evidence)
    if gone:
        return error(
            check, "REFERRERS_LOST", f"{wants}; the image's referrers were lost: {gone}", hint=hint
        )
    return error(check, "MISSING_ATTESTATION", f"{wants}; the registry lists none", hint=hint)


def _fault(
    image_evidence: ImageEvidence, evidence: Evidence, required: RequiredAttestation
) -> Refusal | None:
    # Who signed comes first: of a stranger's statement nothing else is worth a message.
    counts = image_evidence.counting(evidence, required.authorities)
    if isinstance(counts, Refusal):
        return counts
    if not evidence.about:
        return other_image(image_evidence, evidence)
    if image_evidence.rule.proof is Proof.ATTESTATIONS:
        # Nothing else says which name the image was made for.
        mismatch = name_fault(image_evidence, evidence)
        if mismatch is not None:
            return mismatch
    return _content_fault(evidence) or _condition_fault(
        image_evidence, evidence, required.condition
    )


def _condition_fault(
    image_evidence: ImageEvidence, evidence: Evidence, condition: Condition | None
) -> Refusal | None:
    if condition is None:
        return None
    question = ConditionContext(
        image=image_evidence.image,
        rule=image_evidence.rule,
        now=image_evidence.now,
        find_lacks=image_evidence.find_lacks,
    )
    return condition_fault(condition, evidence.predicate, question)


def _content_fault(evidence: Evidence) -> Refusal | None:
    """Check that the predicate is a document of its type: an empty one attests nothing."""
    predicate = evidence.predicate
    if evidence.predicate_type == CYCLONEDX:
        # CycloneDX, "bomFormat": required, and always this text.
        good = predicate.get("bomFormat") == "CycloneDX"
        needs = 'a CycloneDX document ("bomFormat": "CycloneDX")'
    elif evidence.predicate_type == SLSA_PROVENANCE:
        # SLSA provenance v1, "Provenance": both are required.
        parts = (predicate.get("buildDefinition"), predicate.get("runDetails"))
        good = all(isinstance(part, dict) and part for part in parts)
        needs = "a provenance with buildDefinition and runDetails"
    else:
        # in-toto Statement v1, "predicate": one that is left out is the same as an empty one.
        good, needs = bool(predicate), "anything: it is empty"
    if good:
        return None
    return Refusal(code="BAD_STATEMENT", message=f"what was signed does not hold {needs}")

"""Whether a node may run what was staged, by its receipt: offline, by the node's policy.

What must hold (for summaries: SLSA VSA, "How to verify"):

1. The policy has a rule for the image, has not expired, and denies neither digest nor signer.
2. The rule relies on verification summaries: ``proof: vsa``, or an attestation of type ``vsa``; it
   lists the verifiers, and whose signatures count.
   It does not say ``needs: checked``, which no receipt answers.
3. The receipt is signed by one of these, is about this image and its name, says PASSED, and is of
   a listed verifier and policy, with all levels, and young enough.
4. The staged bytes are those that it was signed for.
"""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.offline.stage_target import Receipt
from imagekit.policy.authorities import CLOCK_SKEW
from imagekit.policy.condition import NeedsCondition, VsaCondition
from imagekit.policy.findings import Finding, error, ok
from imagekit.policy.force import rule_in_force
from imagekit.policy.now import Now
from imagekit.policy.ruleset import ImageRule, OpenedPolicy, Proof
from imagekit.signatures.authority import Authority
from imagekit.signatures.intoto import VSA
from imagekit.signatures.ports import CertificateVerifier
from imagekit.signatures.results import Refusal
from imagekit.verify.candidates import TrustedSigners, verify_candidates
from imagekit.verify.evaluation import denied, refused
from imagekit.verify.evidence import Attachments, Candidate, Evidence, Form
from imagekit.verify.image_evidence import ImageEvidence
from imagekit.verify.signatures import summary_fault
from imagekit.verify.signer_trust import name_of
from imagekit.verify.verdict import Verdict

_CHECK = "receipt"
_HINTS = {
    "NO_POLICY": "add a rule for it with proof: vsa",
    "REVOKED": "stage another version of the image",
}
_NO_SUMMARY = frozenset({"WRONG_PREDICATE_TYPE", "DIGEST_MISMATCH"})
_HINT = "stage the image again, as the policy of nodes has it: imagekit stage --verifier-id URI"


class ReceiptContext(Struct, frozen=True, kw_only=True):
    """What receipts are judged by."""

    policy: OpenedPolicy
    now: datetime
    certificates: CertificateVerifier | None = None
    """Verifies keyless signatures; without it none counts."""


class Demand(Struct, frozen=True, kw_only=True):
    """Whose receipts a rule relies on."""

    authorities: tuple[Authority, ...]
    condition: VsaCondition


def judge_receipt(
    raw: bytes, receipt: Receipt, *, staged: Digest, context: ReceiptContext
) -> Verdict:
    """Return the verdict on a staged image by its receipt.

    Args:
        raw: the receipt's exact bytes, a Sigstore bundle.
        receipt: what it claims.
        staged: of the bytes that lie there.
        context: the policy and the time.
    """
    policy, image = context.policy, receipt.image
    matching, rule = rule_in_force(policy, image.repository.name, Now(context.now))
    findings = [
        _for_nodes(matching),
        *policy.standing,
        *map(_for_nodes, denied(policy, image.digest)),
    ]
    if rule is not None and not refused(findings):
        findings += _findings(raw, receipt, rule, staged=staged, context=context)
    return Verdict(
        reference=image,
        digest=image.digest,
        policy=policy.name,
        policy_version=policy.version,
        policy_digest=policy.digest,
        findings=tuple(findings),
        judged=(image.digest,),
    )


def _for_nodes(finding: Finding) -> Finding:
    """Return a finding of those on images with the remedy that there is for what is staged."""
    return replace(finding, hint=_HINTS.get(finding.code, finding.hint))


def _findings(
    raw: bytes, receipt: Receipt, rule: ImageRule, *, staged: Digest, context: ReceiptContext
) -> Iterator[Finding]:
    demand = demand_of(rule)
    if demand is None:
        yield error(
            "policy",
            "NO_VERIFIER",
            f"the rule {rule.glob} relies on no verifier's receipts",
            hint="write for nodes: proof: vsa, vsa: {verifierIds: [URI], maxAge: 30d}, and as "
            "authorities the keys that sign receipts",
        )
        return
    if any(isinstance(required.condition, NeedsCondition) for required in rule.attestations):
        # Skipped in silence, the rule would promise what nobody does.
        yield error(
            "needs",
            "MISSING_ATTESTATION",
            f"the rule {rule.glob} says needs: checked, and a receipt does not say what the image "
            "needs of this node",
            hint="take it out of the rule for staged images, and compare the image where its "
            "statement is: imagekit node check REFERENCE",
        )
        return
    evidence = _evidence(raw, receipt, rule, demand=demand, context=context)
    relied_on = _relied_on(evidence, receipt, demand)
    if isinstance(relied_on, Refusal):
        yield error(_CHECK, relied_on.code, relied_on.message, hint=relied_on.hint)
        return
    yield ok(
        _CHECK,
        f"by {name_of(relied_on.signatory, demand.authorities)}, {_age(receipt, context.now)}",
    )
    yield _bytes(receipt, staged)


def demand_of(rule: ImageRule) -> Demand | None:
    """Return whose receipts the rule relies on; None where it relies on none."""
    if rule.proof is Proof.VSA and isinstance(rule.vsa, VsaCondition):
        # One bundle is the signature of one signer, so it can meet no higher threshold.
        enough = rule.threshold <= 1
        return Demand(authorities=rule.authorities, condition=rule.vsa) if enough else None
    for required in rule.attestations:
        if required.predicate_type == VSA and isinstance(required.condition, VsaCondition):
            return Demand(authorities=required.authorities, condition=required.condition)
    return None


def _relied_on(evidence: ImageEvidence, receipt: Receipt, demand: Demand) -> Evidence | Refusal:
    """Return the receipt as evidence, or why it is not relied on.

    Whose signature counts, and what a summary must have, is decided as for images in registries.
    """
    (result,) = evidence.results
    if isinstance(result, Refusal):
        return result
    counts = evidence.counting(result, demand.authorities)
    if isinstance(counts, Refusal):
        return counts
    fault = summary_fault(evidence, result, demand.condition)
    if fault is None:
        return _time_fault(receipt, evidence.now.time) or result
    if fault.code in _NO_SUMMARY:
        return Refusal(code="BAD_RECEIPT", message="it is no verification summary of this image")
    return replace(fault, hint=_HINT)


def _evidence(
    raw: bytes, receipt: Receipt, rule: ImageRule, *, demand: Demand, context: ReceiptContext
) -> ImageEvidence:
    """Return what the image is judged from: only the receipt is attached to it."""
    candidate = Candidate(form=Form.BUNDLE, source=Digest.of(raw), raw=raw)
    trusted = TrustedSigners(
        authorities=demand.authorities,
        digest=receipt.image.digest,
        certificates=context.certificates,
    )
    return ImageEvidence(
        image=receipt.image,
        policy=context.policy,
        rule=rule,
        attachments=Attachments(candidates=(candidate,)),
        results=verify_candidates((candidate,), trusted),
        now=Now(context.now),
    )


def _time_fault(receipt: Receipt, now: datetime) -> Refusal | None:
    """Refuse a receipt without a time, or of tomorrow, also where its age has no limit."""
    if receipt.time is None:
        message = "it has no time at which it was made"
        return Refusal(code="STALE_ATTESTATION", message=message, hint=_HINT)
    if receipt.time > now + CLOCK_SKEW:
        message = f"it is of {receipt.time.isoformat()}, and the clock says {now.isoformat()}"
        return Refusal(code="CLOCK", message=message, hint="set the clock")
    return None


def _bytes(receipt: Receipt, staged: Digest) -> Finding:
    if staged == receipt.staged:
        return ok("bytes", f"{receipt.kind}, {staged.short}, as the receipt says")
    return error(
        "bytes",
        "CONTENT_DIGEST_MISMATCH",
        f"what lies there has the digest {staged}; the receipt is for {receipt.staged}",
        hint="it was altered after it was staged: do not use it, and stage it again",
    )


def _age(receipt: Receipt, now: datetime) -> str:
    if receipt.time is None:
        return "without a time"
    hours = max(0, int((now - receipt.time).total_seconds() // 3600))
    return f"{hours} hours old"

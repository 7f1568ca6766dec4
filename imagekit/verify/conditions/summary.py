"""The conditions of a verification summary: another node's verdict, relied on instead of proofs.

What must hold before it is relied on:

1. Its verifier is one that the policy lists, and it says ``PASSED``.
2. It is about this image: by the digest of the statement's subject, and by its ``resourceUri``,
   which must be a name that a signature could be for (``signedIdentity``).
3. It was made by a policy that is listed, where the rule lists any; it has every level that is
   asked for; and it is young enough.

https://slsa.dev/spec/v1.1/verification_summary
"""

from collections.abc import Mapping

from imagekit.errors import DocumentError
from imagekit.oci.reference import PinnedReference
from imagekit.policy.condition import VsaCondition
from imagekit.policy.now import Now
from imagekit.policy.ruleset import ImageRule
from imagekit.signatures.results import Refusal
from imagekit.signatures.vsa import Summary, parse_summary
from imagekit.verify.conditions.images import image_named
from imagekit.verify.conditions.untrusted_json import age_fault, shown
from imagekit.verify.identity import accepts, wanted

_HINT = "verify the image there, and issue a summary: imagekit verify REFERENCE --vsa"


def check_summary(
    predicate: Mapping[str, object],
    condition: VsaCondition,
    *,
    image: PinnedReference,
    rule: ImageRule,
    now: Now,
) -> Refusal | None:
    """Return why a verification summary is not relied on, or None.

    Raises:
        DocumentError: it is none.
    """
    # SLSA VSA v1.1, "How to verify", steps 1 to 3: whoever calls has verified the signature, and
    # compared the subject and the type.
    summary = parse_summary(predicate)
    # SLSA VSA v1.1, "How to verify", step 4: verifier and signer have to belong together. The rule
    # has chosen the signers, and lists the verifiers that they speak for.
    if summary.verifier not in condition.verifier_ids:
        return Refusal(
            code="VERIFIER_NOT_ALLOWED",
            message=f"the summary is of the verifier {shown(summary.verifier)!r}; "
            f"the policy relies on {', '.join(condition.verifier_ids)}",
            hint=_HINT,
        )
    return (
        _resource_fault(summary, image=image, rule=rule)
        or _result_fault(summary, condition)
        or _time_fault(summary, condition, now)
    )


def _resource_fault(summary: Summary, *, image: PinnedReference, rule: ImageRule) -> Refusal | None:
    try:
        # SLSA VSA v1.1, "How to verify", step 5.
        named = image_named(summary.resource)
    except DocumentError:
        named = None
    names = () if named is None else (f"{named.repository}{named.rest}",)
    if accepts(rule, image, names):
        return None
    return Refusal(
        code="REFERENCE_MISMATCH",
        message=f"{summary.verifier} verified {shown(summary.resource)!r}, and not "
        f"{wanted(rule, image)}",
        hint="verify the image under this name there; a summary is good for one name",
    )


def _result_fault(summary: Summary, condition: VsaCondition) -> Refusal | None:
    # SLSA VSA v1.1, "How to verify", step 6.
    if summary.result != "PASSED":
        return Refusal(
            code="VERIFICATION_FAILED",
            message=f"{summary.verifier} verified the image, and it failed",
            hint="ask there why, or use another version of the image",
        )
    # The optional step there: whatever else decides for the consumer.
    digests = condition.policy_digests
    if digests and str(summary.policy.digest) not in digests:
        return Refusal(
            code="WRONG_POLICY",
            message=f"{summary.verifier} verified by the policy {summary.policy.digest}; "
            f"relied on are {', '.join(digests)}",
            hint=_HINT,
        )
    # SLSA VSA v1.1, "How to verify", step 7, by the text of each level: that a higher level of a
    # track implies the lower ones is not concluded here.
    missing = [level for level in condition.levels if level not in summary.levels]
    if missing:
        return Refusal(
            code="LEVEL_MISSING",
            message=f"the summary has not the levels {', '.join(missing)}",
            hint=_HINT,
        )
    return None


def _time_fault(summary: Summary, condition: VsaCondition, now: Now) -> Refusal | None:
    if condition.max_age is None:
        return None
    if summary.time is None:
        return Refusal(
            code="STALE_ATTESTATION",
            message="the summary does not say when it was made, and the policy limits its age",
            hint=_HINT,
        )
    return age_fault(summary.time, condition.max_age, now=now, what="the verification summary")

"""Decides from evidence: pure, one finding for each check.

What must hold of an image, besides what ``judge`` has checked before:

1. ``signature``: at least ``threshold`` distinct keys of the rule's authorities, none of them
   denied, each have signed a statement of the predicate type of signatures (an SBOM or a
   provenance is none), whose subject is the image's digest, under a name that the rule's
   ``signedIdentity`` accepts for the reference that was asked for.
2. One check for each attestation that the rule requires: a key of its authorities, not denied,
   has signed a statement of exactly that predicate type about the image's digest, and its
   predicate is a document of that type. No attestation at all is a refusal, never a pass.

A candidate that proves nothing does no harm either: it is told as a warning, since everybody who
may push could attach one, and its reason becomes that of the refusal where nothing else suffices.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imagekit.model.evidence import Evidence, Form, Gathered, Refusal
from imagekit.model.key import PublicKey
from imagekit.model.policy import Authority, ImageRule, Policy, RequiredAttestation
from imagekit.model.reference import PinnedReference
from imagekit.model.statement import COSIGN_SIGN, CYCLONEDX, SLSA_PROVENANCE
from imagekit.model.verdict import Finding
from imagekit.verify.findings import error, ok, warning
from imagekit.verify.identity import accepts, wanted
from imagekit.verify.weigh import Weighed

_CHECKS = {CYCLONEDX: "sbom", SLSA_PROVENANCE: "provenance"}
# Which reason is told where there are several: the nearer to a good signature, the more it helps.
_NEAREST = (
    "REVOKED",
    "REFERENCE_MISMATCH",
    "DIGEST_MISMATCH",
    "BAD_STATEMENT",
    "WRONG_PREDICATE_TYPE",
    "AMBIGUOUS_JSON",
    "CONTENT_DIGEST_MISMATCH",
    "UNTRUSTED_KEY",
    "REFERRERS_LOST",
)
_ORDINARY = frozenset({"UNTRUSTED_KEY"})
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that a decision is made from."""

    image: PinnedReference
    policy: Policy
    rule: ImageRule
    gathered: Gathered
    weighed: tuple[Weighed, ...]

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What was verified."""
        return tuple(each for each in self.weighed if isinstance(each, Evidence))

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What proves nothing, with the reasons."""
        unread = self.gathered.refusals
        return unread + tuple(each for each in self.weighed if isinstance(each, Refusal))


def keys_of(rule: ImageRule) -> tuple[PublicKey, ...]:
    """Return every key that may count for something under the rule."""
    authorities = [*rule.authorities]
    for required in rule.attestations:
        authorities += required.authorities
    return tuple(dict.fromkeys(authority.key for authority in authorities))


def decide(case: Case) -> tuple[Finding, ...]:
    """Return the findings on signatures and attestations."""
    attestations = [_attestation(case, required) for required in case.rule.attestations]
    return (_signature(case), *attestations, *_ignored(case))


def _signature(case: Case) -> Finding:
    signers: dict[PublicKey, Evidence] = {}
    refusals = list(case.refusals)
    for each in case.evidence:
        fault = _signature_fault(case, each)
        if fault is None:
            signers.setdefault(each.key, each)
        else:
            refusals.append(fault)
    if len(signers) >= max(1, case.rule.threshold):
        return ok("signature", _signed_by(case, signers.values()))
    if signers:
        return _too_few(case, signers.values(), refusals)
    return _unsigned(case, refusals)


def _signature_fault(case: Case, each: Evidence) -> Refusal | None:
    """Return why the evidence is no signature of the image for this rule, or None if it is."""
    fault = _key_fault(case, each, case.rule.authorities)
    if fault is not None:
        return fault
    if each.predicate_type != COSIGN_SIGN:
        return Refusal(
            code="WRONG_PREDICATE_TYPE",
            message=f"{_signer(case, each)} made an attestation of type {each.predicate_type}, "
            "which is no signature of the image",
            hint=f"sign the image itself: {_sign(case)}",
        )
    if not each.about:
        return _other_image(case, each)
    if accepts(case.rule.signed_identity, case.image, each.identities):
        return None
    names = ", ".join(each.identities[:_SHOWN]) or "no name at all"
    return Refusal(
        code="REFERENCE_MISMATCH",
        message=f"{_signer(case, each)} signed this image for {names}, and not for "
        f"{wanted(case.rule.signed_identity, case.image)}",
        hint="publish or sign it under this name; signedIdentity: digestOnly accepts any"
        if each.identities
        else "if others sign these images without a name, say signedIdentity: digestOnly",
    )


def _key_fault(case: Case, each: Evidence, authorities: Sequence[Authority]) -> Refusal | None:
    if each.key.fingerprint in case.policy.deny.keys:
        return Refusal(
            code="REVOKED",
            message=f"the key {each.key.fingerprint} is on the policy's deny list",
            hint=f"sign with a key that is not revoked: {_sign(case)}",
        )
    if each.key not in [authority.key for authority in authorities]:
        return Refusal(
            code="UNTRUSTED_KEY",
            message=f"the key {each.key.fingerprint} is trusted for other things, not for this",
        )
    return None


def _other_image(case: Case, each: Evidence) -> Refusal:
    return Refusal(
        code="DIGEST_MISMATCH",
        message=f"{_signer(case, each)} signed another image and not {case.image.digest}",
        hint="the tag or the signature was copied from another image: ask who pushed it, "
        f"or: {_sign(case)}",
    )


def _too_few(case: Case, signers: Iterable[Evidence], refusals: Sequence[Refusal]) -> Finding:
    nearest = _nearest(refusals)
    more = f"; another one: {nearest.message}" if nearest else ""
    signed = list(signers)
    return error(
        "signature",
        "THRESHOLD_NOT_MET",
        f"{len(signed)} of {case.rule.threshold} distinct keys signed: "
        f"{_signed_by(case, signed)}{more}",
        hint=f"let another authority sign: {_sign(case)}",
    )


def _unsigned(case: Case, refusals: Sequence[Refusal]) -> Finding:
    nearest = _nearest(refusals)
    if nearest is not None and not (nearest.code in _ORDINARY and case.gathered.trace):
        trusted = ", ".join(authority.name for authority in case.rule.authorities)
        hint = nearest.hint or f"a signature by {trusted} is wanted: {_sign(case)}"
        return error("signature", nearest.code, nearest.message, hint=hint)
    if case.gathered.trace:
        return error(
            "signature",
            "REFERRERS_LOST",
            f"the image's referrers were lost: {case.gathered.trace}",
            hint=f"ask who writes that tag, then sign again: {_sign(case)}",
        )
    return error(
        "signature",
        "NO_SIGNATURE",
        "the image has no signature",
        hint=f"if you know who made it and trust it: {_sign(case)}",
    )


def _attestation(case: Case, required: RequiredAttestation) -> Finding:
    check = _CHECKS.get(required.predicate_type, required.type)
    refusals = [each for each in case.refusals if each.claim == required.predicate_type]
    for each in case.evidence:
        if each.predicate_type != required.predicate_type:
            continue
        fault = _attestation_fault(case, each, required)
        if fault is None:
            return ok(check, f"{required.type}, signed by {_signer(case, each)}")
        refusals.append(fault)
    names = ", ".join(authority.name for authority in required.authorities)
    wants = f"the policy wants an attestation of type {required.type} signed by {names}"
    sbom = " --sbom" if required.predicate_type == CYCLONEDX else ""
    hint = f"publish again with imagekit, or: {_sign(case)}{sbom}"
    nearest = _nearest(refusals)
    if nearest is not None:
        return error(check, nearest.code, f"{wants}; {nearest.message}", hint=nearest.hint or hint)
    lost = _lost(case)
    if lost:
        return error(
            check, "REFERRERS_LOST", f"{wants}; the image's referrers were lost: {lost}", hint=hint
        )
    return error(check, "MISSING_ATTESTATION", f"{wants}; the registry lists none", hint=hint)


def _attestation_fault(case: Case, each: Evidence, required: RequiredAttestation) -> Refusal | None:
    fault = _key_fault(case, each, required.authorities)
    if fault is not None:
        return fault
    return _content_fault(each) if each.about else _other_image(case, each)


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


def _lost(case: Case) -> str:
    """Return what shows that the image once had referrers, or an empty text.

    imagekit and cosign attach attestations as referrers. An image that is signed in the legacy
    form and has not one bundle was copied without them, or they were overwritten.
    """
    if case.gathered.trace:
        return case.gathered.trace
    bundles = any(each.form is Form.BUNDLE for each in case.gathered.candidates)
    if not bundles and any(each.form is Form.LEGACY and each.about for each in case.evidence):
        return "its .sig tag is there and signed, but no bundle is listed"
    return ""


def _ignored(case: Case) -> tuple[Finding, ...]:
    """Tell what was passed over, once: strangers' signatures are ordinary, broken ones are not."""
    odd = [each for each in case.refusals if each.code not in _ORDINARY]
    lost = _lost_warning(case)
    if not odd:
        return lost
    shown = "; ".join(each.message for each in odd[:_SHOWN])
    more = f"; and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
    return (
        *lost,
        warning(
            "attached",
            odd[0].code,
            f"not counted: {shown}{more}",
            hint="anybody who may push can attach such things; ask who did",
        ),
    )


def _lost_warning(case: Case) -> tuple[Finding, ...]:
    if not case.gathered.trace or not case.evidence:
        return ()
    return (
        warning(
            "referrers",
            "REFERRERS_LOST",
            f"the image's referrers were lost: {case.gathered.trace}",
            hint=f"ask who writes that tag, then sign again: {_sign(case)}",
        ),
    )


def _nearest(refusals: Sequence[Refusal]) -> Refusal | None:
    def rank(refusal: Refusal) -> int:
        known = refusal.code in _NEAREST
        # What is not listed is some kind of broken document: better than a stranger's key.
        return _NEAREST.index(refusal.code if known else "CONTENT_DIGEST_MISMATCH")

    return min(refusals, key=rank, default=None)


def _signed_by(case: Case, signers: Iterable[Evidence]) -> str:
    return "; ".join(
        f"{_signer(case, each)}, signed for {', '.join(each.identities[:_SHOWN]) or 'the digest'}"
        for each in signers
    )


def _signer(case: Case, each: Evidence) -> str:
    every = [*case.rule.authorities]
    for required in case.rule.attestations:
        every += required.authorities
    name = next((one.name for one in every if one.key == each.key), "somebody")
    return f"{name} (key {each.key.fingerprint[:19]}...)"


def _sign(case: Case) -> str:
    return f"imagekit sign {case.image} --key FILE"

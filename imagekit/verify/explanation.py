"""An account of a verdict: the rules that were looked at, every check, and all that was offered.

A verdict says what each check found. This says besides which other rules there are and why they
do not hold here, which checks passed without a word or were not reached, and of every signature
and attestation that the registry has what it counts for, and why not.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from imagekit.errors import DocumentError
from imagekit.policy.authorities import is_of
from imagekit.policy.findings import Finding, plain
from imagekit.policy.glob import applicable, literal_length, matches
from imagekit.policy.ruleset import ImageRule, Policy, Proof
from imagekit.signatures.intoto import COSIGN_SIGN, VSA
from imagekit.signatures.release import RELEASE, WITHDRAWAL, parse_release
from imagekit.signatures.results import Refusal
from imagekit.verify.attestations import check_attestation
from imagekit.verify.evidence import Attachments, Evidence
from imagekit.verify.image_evidence import ImageEvidence
from imagekit.verify.signatures import accepted
from imagekit.verify.verdict import Verdict


class RuleLook(Struct, frozen=True, kw_only=True):
    """A rule of the policy, and why it holds for the image or does not."""

    glob: str
    chosen: bool
    why: str


class Usage(Struct, frozen=True, kw_only=True):
    """What a signature or attestation could count for, and whether it does."""

    purpose: str
    """``signature``, the type of an attestation, ``release`` or ``withdrawal``."""
    counts: bool
    code: str
    why: str


class FoundSignature(Struct, frozen=True, kw_only=True):
    """Something that the registry has beside the image."""

    image: str
    """Digest of the manifest or index that it was found beside."""
    form: str
    digest: str
    signer: str
    """Who signed it, as far as the policy knows them; empty where nobody known did."""
    predicate_type: str
    uses: tuple[Usage, ...]


class Explanation(Struct, frozen=True, kw_only=True):
    """A verdict with everything that it rests on."""

    verdict: Verdict
    rules: tuple[RuleLook, ...]
    offered: tuple[FoundSignature, ...]
    unread: tuple[str, ...]
    """What was listed and could not be read."""
    asked: bool = True
    """Whether the registry was asked for signatures; what fails early costs no request."""

    @property
    def change(self) -> tuple[str, ...]:
        """What would have to change for the image to be allowed, as far as checks were made."""
        errors = (finding for finding in self.verdict.findings if finding.severity == "error")
        return tuple(
            dict.fromkeys(
                f"{finding.check}: {finding.hint or finding.message}" for finding in errors
            )
        )


def explained(verdict: Verdict, policy: Policy, gathered: Sequence[ImageEvidence]) -> Explanation:
    """Return the account of a verdict.

    Args:
        verdict: what was decided.
        policy: by what.
        gathered: what ``VerifyContext.watch`` was shown on the way.
    """
    return Explanation(
        verdict=verdict,
        rules=tuple(_rules(policy, verdict.reference.repository.name)),
        offered=tuple(
            offered for image_evidence in gathered for offered in _offered(image_evidence)
        ),
        unread=tuple(
            plain(f"{refusal.code}: {refusal.message}")
            for image_evidence in gathered
            for refusal in image_evidence.attachments.refusals
        ),
        asked=bool(gathered),
    )


def _rules(policy: Policy, name: str) -> Iterator[RuleLook]:
    """Yield every rule; those that match first, the longest before the others."""
    chosen = applicable(policy, name)
    fitting = [rule for rule in policy.images if matches(rule.glob, name)]
    for rule in sorted(fitting, key=lambda rule: -literal_length(rule.glob)):
        yield RuleLook(glob=rule.glob, chosen=chosen == (rule,), why=_why(rule, chosen, name))
    for rule in policy.images:
        if rule not in fitting:
            yield RuleLook(glob=rule.glob, chosen=False, why=f"does not match {name}")


def _why(rule: ImageRule, chosen: Sequence[ImageRule], name: str) -> str:
    out = next((glob for glob in rule.exclude if matches(glob, name)), None)
    length = literal_length(rule.glob)
    if out is not None:
        return f"matches, but excludes {out}"
    if rule not in chosen:
        return f"matches, but {length} characters of it stand for themselves: another has more"
    if len(chosen) > 1:
        return f"matches as well as {len(chosen) - 1} other: {length} characters each"
    return f"matches best: {length} characters of it stand for themselves"


def _offered(image_evidence: ImageEvidence) -> Iterator[FoundSignature]:
    for candidate, result in zip(
        image_evidence.attachments.candidates, image_evidence.results, strict=True
    ):
        uses: tuple[Usage, ...]
        if isinstance(result, Refusal):
            signer, kind, uses = "", result.claim, (_refused("", result),)
        else:
            signer, kind = image_evidence.signer(result), result.predicate_type
            uses = tuple(_uses(image_evidence, result))
        yield FoundSignature(
            image=str(image_evidence.image.digest),
            form=candidate.form.value,
            digest=str(candidate.source),
            signer=plain(signer),
            predicate_type=plain(kind),
            uses=uses,
        )


def _uses(image_evidence: ImageEvidence, evidence: Evidence) -> Iterator[Usage]:
    """Yield what evidence could count for under the rule, judged as if it were alone."""
    alone = replace(image_evidence, attachments=Attachments(), results=(evidence,))
    wanted = {Proof.SIGNATURE: COSIGN_SIGN, Proof.VSA: VSA}.get(image_evidence.rule.proof)
    if evidence.predicate_type == wanted:
        yield from _signature(alone)
    for required in image_evidence.rule.attestations:
        if evidence.predicate_type == required.predicate_type:
            yield _of_finding(required.type, check_attestation(alone, required))
    if evidence.predicate_type == RELEASE:
        yield _release(image_evidence, evidence)
    if evidence.predicate_type == WITHDRAWAL:
        yield _withdrawal(image_evidence, evidence)


def _withdrawal(image_evidence: ImageEvidence, evidence: Evidence) -> Usage:
    listed = any(
        is_of(evidence.signatory, authority) for authority in image_evidence.rule.authorities
    )
    counts = listed and evidence.about
    why = "the image is withdrawn" if counts else "of another image, or by nobody listed here"
    return Usage(purpose="withdrawal", counts=counts, code="WITHDRAWN" if counts else "", why=why)


def _signature(alone: ImageEvidence) -> Iterator[Usage]:
    good, refusals = accepted(alone)
    for _, authorities in good:
        names = ", ".join(authority.name for authority in authorities)
        yield Usage(purpose="signature", counts=True, code="OK", why=f"counts for {plain(names)}")
    for refusal in refusals:
        yield _refused("signature", refusal)


def _release(image_evidence: ImageEvidence, evidence: Evidence) -> Usage:
    counts = image_evidence.counting(evidence, image_evidence.rule.authorities)
    if isinstance(counts, Refusal):
        return _refused("release", counts)
    try:
        release = parse_release(evidence.predicate)
    except DocumentError as fault:
        return Usage(
            purpose="release", counts=False, code="BAD_STATEMENT", why=plain(fault.message)
        )
    why = f"release {release.sequence} of {release.repository} as {', '.join(release.tags)}"
    return Usage(
        purpose="release",
        counts=evidence.about,
        code="OK" if evidence.about else "",
        why=plain(why),
    )


def _of_finding(purpose: str, finding: Finding) -> Usage:
    counts = finding.severity != "error"
    why = finding.message if counts else finding.message.partition("; ")[2] or finding.message
    return Usage(purpose=purpose, counts=counts, code=finding.code, why=why)


def _refused(purpose: str, refusal: Refusal) -> Usage:
    return Usage(purpose=purpose, counts=False, code=refusal.code, why=plain(refusal.message))

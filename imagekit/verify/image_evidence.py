"""All that a decision is made from, and the words that findings share."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from imagekit.oci.location import REGISTRY, Location
from imagekit.oci.reference import PinnedReference
from imagekit.policy.authorities import authorities_of
from imagekit.policy.now import Now
from imagekit.policy.ruleset import ImageRule, Policy
from imagekit.signatures.authority import Authority
from imagekit.signatures.results import Refusal
from imagekit.verify.candidates import CandidateResult
from imagekit.verify.evidence import Attachments, Evidence, Form
from imagekit.verify.signer_trust import counting, name_of

if TYPE_CHECKING:
    from imagekit.needs.compare import FindLacks

SHOWN = 3
"""How many of many things a message names."""

# Which of several reasons is reported: the nearer to a good signature, the more it helps.
_NEAREST = (
    "REVOKED",
    "KEY_NOT_VALID",
    "CLOCK",
    "NO_TRUSTED_TIME",
    "NO_TLOG_ENTRY",
    # What a predicate says and a condition does not allow: it was signed by the right ones.
    "VERIFICATION_FAILED",
    "NODE_LACKS",
    "PACKAGE_DENIED",
    "LICENSE_DENIED",
    "LICENSE_NOT_ALLOWED",
    "SBOM_TOO_SMALL",
    "SEVERITY_TOO_HIGH",
    "STALE_ATTESTATION",
    "BASE_NOT_ALLOWED",
    "BUILD_TYPE_NOT_ALLOWED",
    "BUILDER_NOT_ALLOWED",
    "LEVEL_MISSING",
    "WRONG_POLICY",
    "VERIFIER_NOT_ALLOWED",
    "REFERENCE_MISMATCH",
    "DIGEST_MISMATCH",
    "BAD_STATEMENT",
    "BAD_VSA",
    "WRONG_PREDICATE_TYPE",
    "ISSUER_MISMATCH",
    "IDENTITY_MISMATCH",
    "BAD_TLOG_ENTRY",
    "BAD_TIMESTAMP",
    "BAD_CERTIFICATE",
    "AMBIGUOUS_JSON",
    "CONTENT_DIGEST_MISMATCH",
    "UNTRUSTED_KEY",
    "REFERRERS_LOST",
)
ORDINARY = frozenset({"UNTRUSTED_KEY", "IDENTITY_MISMATCH"})
"""What signatures by unknown signers are refused for: no sign of a fault."""


class ImageEvidence(Struct, frozen=True, kw_only=True):
    """One image or index, a rule, and what was found beside it."""

    image: PinnedReference
    location: Location = REGISTRY
    """Where it is, for the commands that remedies show."""
    policy: Policy
    rule: ImageRule
    attachments: Attachments
    results: tuple[CandidateResult, ...]
    now: Now
    is_index: bool = False
    find_lacks: "FindLacks | None" = None
    """See ``VerifyContext``."""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What was verified."""
        return tuple(result for result in self.results if isinstance(result, Evidence))

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What proves nothing, with the reasons."""
        unread = self.attachments.refusals
        return unread + tuple(result for result in self.results if isinstance(result, Refusal))

    def counting(
        self, evidence: Evidence, authorities: Sequence[Authority]
    ) -> tuple[Authority, ...] | Refusal:
        """Return the authorities for whom the evidence counts, or why it counts for none."""
        return counting(evidence, authorities, deny=self.policy.deny, now=self.now)

    def signer(self, evidence: Evidence) -> str:
        """Return how people call who signed the evidence."""
        return name_of(evidence.signatory, authorities_of(self.rule))

    @property
    def remedy(self) -> str:
        """The command that signs the image, for the tag that it was asked for by."""
        # With its digest: what is signed is what was judged, wherever the tag points by then.
        return f"imagekit sign {self.location.shown(self.image.full)} --key FILE"


def counted(image_evidence: ImageEvidence) -> Iterator[Evidence]:
    """Yield the evidence about the image by somebody who may give it by the rule."""
    for evidence in image_evidence.evidence:
        groups = [image_evidence.rule.authorities]
        groups += [
            required.authorities
            for required in image_evidence.rule.attestations
            if required.predicate_type == evidence.predicate_type
        ]
        answers = (image_evidence.counting(evidence, authorities) for authorities in groups)
        if evidence.about and any(not isinstance(answer, Refusal) for answer in answers):
            yield evidence


def other_image(image_evidence: ImageEvidence, evidence: Evidence) -> Refusal:
    """Return the refusal of what was signed about another image."""
    return Refusal(
        code="DIGEST_MISMATCH",
        message=f"{image_evidence.signer(evidence)} signed another image "
        f"and not {image_evidence.image.digest}",
        hint="the tag or the signature was copied from another image: ask who pushed it, "
        f"or: {image_evidence.remedy}",
    )


def nearest(refusals: Sequence[Refusal]) -> Refusal | None:
    """Return the refusal that helps most."""

    def rank(refusal: Refusal) -> tuple[int, bool]:
        known = refusal.code in _NEAREST
        # What is not listed is some kind of broken document: better than a stranger's key. Of
        # strangers' keys the one that says which it is helps more.
        code = refusal.code if known else "CONTENT_DIGEST_MISMATCH"
        return _NEAREST.index(code), not refusal.fingerprint

    return min(refusals, key=rank, default=None)


def lost(image_evidence: ImageEvidence) -> str:
    """Return what shows that the image once had referrers, or an empty text.

    imagekit and cosign attach attestations as referrers. An image that is signed in the legacy
    form and has not one bundle was copied without them, or they were overwritten.
    """
    if image_evidence.attachments.trace:
        return image_evidence.attachments.trace
    bundles = any(
        candidate.form is Form.BUNDLE for candidate in image_evidence.attachments.candidates
    )
    if not bundles and any(
        evidence.form is Form.LEGACY and evidence.about for evidence in image_evidence.evidence
    ):
        return "its .sig tag is there and signed, but no bundle is listed"
    return ""

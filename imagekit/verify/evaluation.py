"""One image that nothing speaks against so far: what it is, who signed it, and what is attested.

The steps 4 and 5 of ``judge``; a rule that only warns turns refusals of the fifth into warnings.

Deny list and withdrawals are looked up for all that an index lists, present or not: a registry
that hides a manifest from whoever verifies gives it to the runtime.
"""

from collections.abc import Iterable

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.errors import DocumentError, IntegrityError
from imagekit.oci.digest import Digest
from imagekit.oci.location import Location
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.policy.authorities import authorities_of
from imagekit.policy.findings import Finding, error, warning
from imagekit.policy.now import Now
from imagekit.policy.ruleset import ImageRule, Level, Policy
from imagekit.verify.candidates import TrustedSigners, verify_candidates
from imagekit.verify.checks import decide
from imagekit.verify.collect import gather, gather_withdrawals
from imagekit.verify.content import NO_PLATFORM, ImageContent, PlatformImage, shown
from imagekit.verify.context import VerifyContext
from imagekit.verify.evidence import Attachments
from imagekit.verify.expressions import check_expressions
from imagekit.verify.fresh import (
    Fresh,
    check_freshness,
    check_unread,
    check_withdrawal,
    remember,
)
from imagekit.verify.image_evidence import ImageEvidence, counted
from imagekit.verify.parallel import in_order
from imagekit.verify.platforms import check_platforms

_ALWAYS_REFUSED = frozenset({"withdrawal", "referrers"})
"""What refuses also where a rule only warns: a list that cannot be read may hold a withdrawal."""


class ImageEvaluation(Struct, frozen=True, kw_only=True):
    """One image that nothing speaks against so far, and the rule that it is judged by."""

    reader: RegistryReader
    image: PinnedReference
    policy: Policy
    rule: ImageRule
    context: VerifyContext
    now: Now
    counted: dict[Digest, None] = field(default_factory=dict)
    """What of the evidence counts for the rule, in the order that it was found."""

    def findings(self, content: ImageContent) -> tuple[Finding, ...]:
        """Return the findings on the image, its signatures and attestations."""
        # By each digest of the same bytes: a deny list may name either.
        names = dict.fromkeys((*content.listed, *sorted(content.names)))
        denied = [finding for digest in names for finding in self._denied(digest)]
        findings = (*content.findings, *denied, *check_platforms(self.rule, content))
        if refused(findings):
            return findings
        # Behind the deny list: an exception stands for signatures, and takes no denial back.
        waived = self._waiver()
        return (*findings, *(waived or self._trust(content)))

    def judged(self, content: ImageContent) -> tuple[Digest, ...]:
        """Return the manifests that the findings speak for."""
        parts = self._looked_at(content) if self._looks_inside() else content.parts
        return tuple(dict.fromkeys(part.reference.digest for part in parts))

    def _denied(self, digest: Digest) -> list[Finding]:
        """Return the finding on a manifest that is denied, in the index or by another digest."""
        return [] if digest == self.image.digest else denied(self.policy, digest)

    def _waiver(self) -> tuple[Finding, ...]:
        """Return the finding that a dated exception allows the image, if one does."""
        for exception in self.policy.exceptions:
            # For one digest only: a tag could be moved to anything while the exception lasts.
            same = exception.repository.name == self.image.repository.name
            if (
                same
                and exception.digest == self.image.digest
                and self.now.is_before(exception.expires)
            ):
                message = (
                    f"allowed without signatures until {exception.expires.isoformat()} "
                    f"by {exception.owner}: {exception.reason}"
                )
                return (warning("exception", "EXCEPTION", message),)
        return ()

    def _trust(self, content: ImageContent) -> tuple[Finding, ...]:
        top = self._image_evidence(self.image, is_index=content.is_index)
        if isinstance(top, Finding):
            return (top,)
        # Before signatures are counted: one of several signers is enough to withdraw.
        withdrawn = check_withdrawal(top) or self._withdrawn(content)
        if withdrawn:
            return withdrawn
        fresh = check_freshness(top, self.context.memory)
        judged = self._warned([*fresh.findings, *self._levels(top, content)])
        # What was left unread decides only where nothing else refuses.
        judged = judged if refused(judged) else (*judged, *check_unread(top))
        if refused(judged):
            return judged
        # Of a refused image nothing is remembered: it must not raise what later ones are compared
        # with.
        return (*judged, *self._remembered(top, fresh))

    def _withdrawn(self, content: ImageContent) -> tuple[Finding, ...]:
        """Return the findings on what an index lists and was withdrawn by itself, at any level.

        Also of the image itself under the digest by which it was not asked for.
        """
        whole = self._looked_at(content) if content.is_index and self._judges_parts() else ()
        done = {self.image.digest, *(part.reference.digest for part in whole)}
        # ``_judged_part`` looks for the withdrawals of those that are done.
        rest = [digest for digest in dict.fromkeys(content.listed) if digest not in done]
        results = in_order(self._withdrawal, rest, at_once=self.context.at_once)
        return tuple(finding for findings in results for finding in findings)

    def _withdrawal(self, digest: Digest) -> tuple[Finding, ...]:
        image = self.image.with_digest(digest)
        try:
            image_evidence = self._weighed(image, gather_withdrawals(self.reader, image))
        except (DocumentError, IntegrityError) as fault:
            return (_unlisted(image, fault, self.context.location),)
        findings = check_withdrawal(image_evidence) or check_unread(image_evidence)
        return tuple(
            replace(finding, message=f"{digest.short}: {finding.message}") for finding in findings
        )

    def _remembered(self, top: ImageEvidence, fresh: Fresh) -> tuple[Finding, ...]:
        return self._warned(remember(top, fresh, self.context.memory))

    def _levels(self, top: ImageEvidence, content: ImageContent) -> list[Finding]:
        """Judge the index, the manifests in it, or both, as the rule says."""
        level = self.rule.platforms.verify
        if not content.is_index:
            return [*decide(top), *self._expressions(top, content.parts[0])]
        findings: list[Finding] = []
        if level in {Level.TOP, Level.ALL}:
            # What an index refers to is attested; where manifests are looked at, by each of them.
            findings += decide(top, attestations=level is Level.TOP)
        parts = self._looked_at(content)
        if self._looks_inside() and (content.unread or not parts):
            # Of a manifest that was not read nobody knows what it is, or whether it is signed.
            findings.append(_unjudgeable(content))
        for part in parts:
            findings += self._part(part, top)
        return findings

    def _looked_at(self, content: ImageContent) -> tuple[PlatformImage, ...]:
        """Return the parts that are judged one by one, where the rule asks for that.

        What BuildKit attaches to an index is of no platform, and no runtime ever chooses it.
        """
        return tuple(part for part in content.parts if part.platform != NO_PLATFORM)

    def _looks_inside(self) -> bool:
        """Return whether the rule asks for something of each manifest in an index."""
        return self._judges_parts() or bool(self.rule.expressions)

    def _judges_parts(self) -> bool:
        """Return whether the rule wants each manifest in an index to be signed itself."""
        return self.rule.platforms.verify in {Level.MANIFESTS, Level.ALL}

    def _part(self, part: PlatformImage, top: ImageEvidence) -> Iterable[Finding]:
        """Judge the image of one platform: its signatures where they are wanted, and itself."""
        image_evidence: ImageEvidence | Finding = top
        findings: list[Finding] = []
        if self._judges_parts():
            image_evidence = self._image_evidence(part.reference)
            findings += (
                (image_evidence,)
                if isinstance(image_evidence, Finding)
                else _judged_part(image_evidence)
            )
        if isinstance(image_evidence, ImageEvidence):
            findings += self._expressions(image_evidence, part)
        where = part.platform or part.reference.digest.short
        return (replace(finding, message=f"{where}: {finding.message}") for finding in findings)

    def _expressions(
        self, image_evidence: ImageEvidence, part: PlatformImage
    ) -> tuple[Finding, ...]:
        return check_expressions(image_evidence, part, asked=self.image)

    def _image_evidence(
        self, image: PinnedReference, *, is_index: bool = False
    ) -> ImageEvidence | Finding:
        """Gather and verify what is beside a manifest or index."""
        try:
            attachments = gather(self.reader, image, at_once=self.context.at_once)
        except (DocumentError, IntegrityError) as fault:
            return _unlisted(image, fault, self.context.location)
        image_evidence = replace(self._weighed(image, attachments), is_index=is_index)
        if self.context.watch is not None:
            self.context.watch(image_evidence)
        self.counted.update(dict.fromkeys(evidence.source for evidence in counted(image_evidence)))
        return image_evidence

    def _weighed(self, image: PinnedReference, attachments: Attachments) -> ImageEvidence:
        trusted = TrustedSigners(
            authorities=authorities_of(self.rule),
            digest=image.digest,
            certificates=self.context.certificates,
        )
        return ImageEvidence(
            image=image,
            location=self.context.location,
            policy=self.policy,
            rule=self.rule,
            attachments=attachments,
            results=verify_candidates(attachments.candidates, trusted),
            now=self.now,
            find_lacks=self.context.find_lacks,
        )

    def _warned(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Turn refusals into warnings where the rule only warns today."""
        until = self.rule.warn_until
        unchanged = tuple(findings)
        if until is None or not refused(unchanged) or not self.now.is_before(until):
            return unchanged
        notice = warning(
            "mode",
            "WOULD_DENY",
            f"this rule only warns; from {until.isoformat()} on the image is refused",
            hint="correct it before then",
        )
        downgraded = (
            replace(finding, severity="warning")
            if finding.severity == "error" and finding.check not in _ALWAYS_REFUSED
            else finding
            for finding in unchanged
        )
        return (*downgraded, notice)


def _judged_part(image_evidence: ImageEvidence) -> tuple[Finding, ...]:
    """Judge a manifest in an index: whoever wraps an image in one does not undo its withdrawal."""
    return check_withdrawal(image_evidence) or (
        *decide(image_evidence),
        *check_unread(image_evidence),
    )


def _unjudgeable(content: ImageContent) -> Finding:
    """Refuse an index of which not every manifest can be judged, or none: a registry hides them."""
    listed = shown(content.unread) or "none that a runtime chooses"
    return error(
        "signature",
        "MISSING_MANIFEST",
        "the policy asks for something of every manifest in the index, and not all can be "
        f"judged: {listed}",
        hint="copy the image whole; or let the policy look at the index: platforms.verify: top",
    )


def _unlisted(
    image: PinnedReference, fault: DocumentError | IntegrityError, location: Location
) -> Finding:
    return error(
        "referrers",
        "REFERRERS_LOST",
        "the image's referrers were lost: what the registry has in the place of their "
        f"list cannot be read: {fault.message}",
        hint=f"ask who writes the tag sha256-{image.digest.hex[:12]}..., then sign again: "
        f"imagekit sign {location.shown(str(image))} --key FILE",
    )


def denied(policy: Policy, digest: Digest) -> list[Finding]:
    """Return the finding that a digest is on the policy's deny list, if it is."""
    if digest not in policy.deny.digests:
        return []
    return [
        error(
            "deny",
            "REVOKED",
            f"{digest} is on the deny list of the policy {policy.name}",
            hint="use another version of the image; the policy's owner knows why",
        )
    ]


def refused(findings: Iterable[Finding]) -> bool:
    """Return whether one of the findings denies the image."""
    return any(finding.severity == "error" for finding in findings)

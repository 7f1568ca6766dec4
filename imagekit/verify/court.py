"""One image that nothing speaks against so far: what it is, who signed it, and what is attested.

The steps 4 and 5 of ``judge``; a rule that only warns eases what the fifth refuses.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from imagekit.errors import DocumentError, IntegrityError
from imagekit.model.digest import Digest
from imagekit.model.oci import RawManifest
from imagekit.model.policy import ImageRule, Level, Policy
from imagekit.model.reference import PinnedReference
from imagekit.model.verdict import Finding
from imagekit.ports import RegistryReader
from imagekit.verify.bench import Bench
from imagekit.verify.case import Case, authorities_of, counted
from imagekit.verify.collect import gather
from imagekit.verify.content import NO_PLATFORM, Content, Part, read_image
from imagekit.verify.decide import decide
from imagekit.verify.expressions import check_expressions
from imagekit.verify.findings import error, warning
from imagekit.verify.fresh import Fresh, check_freshness, check_withdrawal, remember
from imagekit.verify.platforms import check_platforms
from imagekit.verify.weigh import Scales, weigh


@dataclass(frozen=True, slots=True, kw_only=True)
class Court:
    """One image that nothing speaks against so far, and the rule that it is judged by."""

    reader: RegistryReader
    image: PinnedReference
    policy: Policy
    rule: ImageRule
    bench: Bench
    counted: dict[Digest, None] = field(default_factory=dict)
    """What of the evidence counts for the rule, in the order that it was found."""

    def findings(self, raw: RawManifest) -> tuple[Finding, ...]:
        """Return the findings on the image, its signatures and attestations."""
        content = read_image(self.reader, self.image, raw)
        denied = [one for part in content.parts for one in self._denied(part)]
        found = (*content.findings, *denied, *check_platforms(self.rule, content))
        if refused(found):
            return found
        waived = self._waiver()
        return (*found, *(waived or self._trust(content)))

    def _denied(self, part: Part) -> list[Finding]:
        """Tell of a manifest in the index that is denied: a runtime would choose it."""
        digest = part.reference.digest
        return [] if digest == self.image.digest else denied(self.policy, digest)

    def _waiver(self) -> tuple[Finding, ...]:
        """Return the finding that a dated exception allows the image, if one does."""
        for one in self.policy.exceptions:
            same = one.repository.name == self.image.repository.name
            if same and one.digest == self.image.digest and self.bench.now < one.expires:
                message = (
                    f"allowed without signatures until {one.expires.isoformat()} "
                    f"by {one.owner}: {one.reason}"
                )
                return (warning("exception", "EXCEPTION", message),)
        return ()

    def _trust(self, content: Content) -> tuple[Finding, ...]:
        top = self._case(self.image)
        if isinstance(top, Finding):
            return (top,)
        withdrawn = check_withdrawal(top)
        if withdrawn:
            return withdrawn
        fresh = check_freshness(top, self.bench.memory)
        judged = self._warned([*fresh.findings, *self._levels(top, content)])
        if refused(judged):
            return judged
        return (*judged, *self._remembered(top, fresh))

    def _remembered(self, top: Case, fresh: Fresh) -> tuple[Finding, ...]:
        return self._warned(remember(top, fresh, self.bench.memory))

    def _levels(self, top: Case, content: Content) -> list[Finding]:
        """Judge the index, the manifests in it, or both, as the rule says."""
        level = self.rule.platforms.verify
        if not content.is_index:
            return [*decide(top), *self._expressions(top, content.parts[0])]
        findings: list[Finding] = []
        if level in {Level.TOP, Level.ALL}:
            # What an index refers to is attested; where manifests are looked at, by each of them.
            findings += decide(top, attestations=level is Level.TOP)
        # What BuildKit attaches to an index is of no platform, and no runtime ever chooses it.
        parts = [part for part in content.parts if part.platform != NO_PLATFORM]
        if self._looks_inside() and (content.unread or not parts):
            # Nobody could tell of a manifest that was not read what it is, or that it is signed.
            findings.append(_unjudgeable(content))
        for part in parts:
            findings += self._part(part, top)
        return findings

    def _looks_inside(self) -> bool:
        """Tell whether the rule asks for something of each manifest in an index."""
        return self.rule.platforms.verify is not Level.TOP or bool(self.rule.expressions)

    def _part(self, part: Part, top: Case) -> Iterable[Finding]:
        """Judge the image of one platform: its signatures where they are wanted, and itself."""
        case: Case | Finding = top
        found: list[Finding] = []
        if self.rule.platforms.verify in {Level.MANIFESTS, Level.ALL}:
            case = self._case(part.reference)
            found += (case,) if isinstance(case, Finding) else _judged_part(case)
        if isinstance(case, Case):
            found += self._expressions(case, part)
        where = part.platform or part.reference.digest.short
        return (replace(each, message=f"{where}: {each.message}") for each in found)

    def _expressions(self, case: Case, part: Part) -> tuple[Finding, ...]:
        return check_expressions(case, part, asked=self.image)

    def _case(self, image: PinnedReference) -> Case | Finding:
        """Gather and weigh what is beside a manifest or index."""
        try:
            gathered = gather(self.reader, image, at_once=self.bench.at_once)
        except (DocumentError, IntegrityError) as fault:
            return _unlisted(image, fault)
        scales = Scales(
            authorities=authorities_of(self.rule),
            digest=image.digest,
            certificates=self.bench.certificates,
        )
        case = Case(
            image=image,
            policy=self.policy,
            rule=self.rule,
            gathered=gathered,
            weighed=weigh(gathered.candidates, scales),
            now=self.bench.now,
        )
        if self.bench.watch is not None:
            self.bench.watch(case)
        self.counted.update(dict.fromkeys(each.source for each in counted(case)))
        return case

    def _warned(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Turn refusals into warnings where the rule only warns today."""
        until = self.rule.warn_until
        found = tuple(findings)
        if until is None or self.bench.now >= until or not refused(found):
            return found
        said = warning(
            "mode",
            "WOULD_DENY",
            f"this rule only warns; from {until.isoformat()} on the image is refused",
            hint="mend it before then",
        )
        eased = (
            replace(each, severity="warning")
            if each.severity == "error" and each.check != "withdrawal"
            else each
            for each in found
        )
        return (*eased, said)


def _judged_part(case: Case) -> tuple[Finding, ...]:
    """Judge a manifest in an index: whoever wraps an image in one does not undo its withdrawal."""
    return check_withdrawal(case) or decide(case)


def _unjudgeable(content: Content) -> Finding:
    """Refuse an index of which not every manifest can be judged, or none: a registry hides them."""
    listed = ", ".join(content.unread) or "none that a runtime chooses"
    return error(
        "signature",
        "MISSING_MANIFEST",
        "the policy asks for something of every manifest in the index, and not all can be "
        f"judged: {listed}",
        hint="copy the image whole; or let the policy look at the index: platforms.verify: top",
    )


def _unlisted(image: PinnedReference, fault: DocumentError | IntegrityError) -> Finding:
    return error(
        "referrers",
        "REFERRERS_LOST",
        "the image's referrers were lost: what the registry has in the place of their "
        f"list cannot be read: {fault.message}",
        hint=f"ask who writes the tag sha256-{image.digest.hex[:12]}..., then sign again: "
        f"imagekit sign {image} --key FILE",
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
    """Tell whether one of the findings denies the image."""
    return any(finding.severity == "error" for finding in findings)

"""The verifier: one reference, one policy, one verdict. Offline but for the registry.

What must hold, in this order; what fails early costs no request:

1. ``policy``: nothing speaks against the policy itself (its signature and version: see
   ``signed``), it has been issued and has not expired, and exactly one of its rules has the
   longest match of the repository's full name. What no rule speaks of is refused.
2. ``deny``: the digest is not denied. It is looked up before any signature is asked for, and so
   are exceptions: an image that has one is not asked for signatures.
3. The tag is resolved once, by hashing the bytes that came; from then on only the digest is used,
   and the verdict's digest is what may be pulled. Of ``NAME:TAG@DIGEST`` the digest is judged;
   a tag that points elsewhere by now is a warning.
4. ``image``: see ``content``. ``platforms``: see there.
5. ``withdrawal``, ``freshness``, ``signature`` and one check for each attestation: see ``collect``,
   ``weigh``, ``fresh`` and ``decide``; on the levels that the rule names. ``expressions``, of the
   image of each platform: see there.

A rule that only warns turns what 5 refuses into warnings, until its date; never what 1 to 4 do,
nor a withdrawal.

A registry that cannot be asked leads to no verdict at all but to its error; bytes of the image
that differ from their digest are a verdict, and it says no.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from imagekit.errors import DocumentError, IntegrityError, NotFoundError
from imagekit.model.digest import Digest
from imagekit.model.oci import RawManifest
from imagekit.model.policy import ImageRule, Level, Policy
from imagekit.model.reference import PinnedReference, Reference, TaggedReference
from imagekit.model.verdict import Finding, Verdict
from imagekit.ports import CertificateVerifier, Memory, RegistryReader
from imagekit.verify.case import Case, authorities_of, counted
from imagekit.verify.collect import gather
from imagekit.verify.content import NO_PLATFORM, Content, Part, read_image, refusal
from imagekit.verify.decide import decide
from imagekit.verify.expressions import check_expressions
from imagekit.verify.findings import error, ok, warning
from imagekit.verify.fresh import Fresh, NoMemory, check_freshness, check_withdrawal, remember
from imagekit.verify.glob import applicable
from imagekit.verify.platforms import check_platforms
from imagekit.verify.trust import CLOCK_SKEW
from imagekit.verify.weigh import Scales, weigh


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a judge needs besides the reference and the policy."""

    now: datetime
    """The present time, with its zone."""
    open_reader: Callable[[], RegistryReader]
    """Makes the way to the registry; called only where it is needed."""
    certificates: CertificateVerifier | None = None
    """Verifies keyless signatures; without it none counts."""
    memory: Memory = field(default_factory=NoMemory)
    """What was seen before; without it a rule that wants ``monotonic`` says so."""
    watch: Callable[[Case], None] | None = None
    """Is shown each manifest or index with what was found beside it: see ``account``."""
    at_once: int = 1
    """How many requests about one image are under way at the same time."""


def judge(reference: Reference, policy: Policy, bench: Bench) -> Verdict:
    """Verify an image against a policy.

    Args:
        reference: what somebody wants to use.
        policy: what decides.
        bench: the time, and the ways to everything that is asked.

    Raises:
        RegistryError: the registry did not answer as it should, so that there is no verdict.
    """
    digest = reference.digest if isinstance(reference, PinnedReference) else None
    found, rule = _rule(reference, policy, bench.now)
    # What speaks against the policy itself speaks against everything that it would allow.
    findings = [*policy.standing, found]
    if digest is not None:
        findings += _denied(policy, digest)
    if rule is None or _refused(findings):
        return _verdict(reference, policy, findings, digest=digest)
    reader = bench.open_reader()
    try:
        raw = reader.manifest(reference)
    except (IntegrityError, DocumentError) as fault:
        return _verdict(reference, policy, [*findings, refusal(fault)], digest=digest)
    image = _pin(reference, raw)
    if digest is None:
        findings += _denied(policy, image.digest)
    else:
        findings += _moved(reader, image)
    if not _refused(findings):
        court = _Court(reader=reader, image=image, policy=policy, rule=rule, bench=bench)
        findings += court.findings(raw)
        return _verdict(
            reference, policy, findings, digest=image.digest, evidence=tuple(court.counted)
        )
    return _verdict(reference, policy, findings, digest=image.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Court:
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
        if _refused(found):
            return found
        waived = self._waiver()
        return (*found, *(waived or self._trust(content)))

    def _denied(self, part: Part) -> list[Finding]:
        """Tell of a manifest in the index that is denied: a runtime would choose it."""
        digest = part.reference.digest
        return [] if digest == self.image.digest else _denied(self.policy, digest)

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
        if _refused(judged):
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
        if until is None or self.bench.now >= until or not _refused(found):
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


def _rule(reference: Reference, policy: Policy, now: datetime) -> tuple[Finding, ImageRule | None]:
    version = f"{policy.name} version {policy.version}"
    if now >= policy.expires:
        return error(
            "policy",
            "POLICY_EXPIRED",
            f"the policy {version} expired at {policy.expires.isoformat()}",
            hint="get the present version of the policy; if it is yours, review it, raise "
            "metadata.version and set metadata.expires anew",
        ), None
    if policy.issued is not None and now < policy.issued - CLOCK_SKEW:
        return error(
            "policy",
            "CLOCK",
            f"this machine's clock says {now.isoformat()}, which is before the policy {version} "
            f"was issued ({policy.issued.isoformat()})",
            hint="set the clock",
        ), None
    name = reference.repository.name
    rules = applicable(policy, name)
    if not rules:
        return error(
            "policy",
            "NO_POLICY",
            f"no rule of the policy {version} speaks of {name}, and what no rule allows is refused",
            hint="add an image rule for it: imagekit policy new "
            f"--image {reference.repository.name} --key PUBLIC",
        ), None
    if len(rules) > 1:
        globs = ", ".join(rule.glob for rule in rules)
        return error(
            "policy",
            "AMBIGUOUS_POLICY",
            f"{len(rules)} rules of the policy {version} match {name} equally well: {globs}",
            hint="make one of them longer, or exclude the name from the others",
        ), None
    return ok("policy", f"{version}, rule {rules[0].glob}"), rules[0]


def _denied(policy: Policy, digest: Digest) -> list[Finding]:
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


def _pin(reference: Reference, raw: RawManifest) -> PinnedReference:
    """Return what is judged: the digest asked for, else that of the very bytes that came."""
    if isinstance(reference, TaggedReference):
        return reference.pin(Digest.of(raw.raw))
    return reference


def _moved(reader: RegistryReader, image: PinnedReference) -> list[Finding]:
    if image.tag is None:
        return []
    tagged = TaggedReference(image.repository, image.tag)
    try:
        now = reader.resolve(tagged).digest
    except NotFoundError:
        return [warning("tag", "TAG_MOVED", f"the tag {tagged} does not exist any more")]
    except (DocumentError, IntegrityError) as fault:
        return [warning("tag", "TAG_MOVED", f"the tag {tagged} cannot be read: {fault.message}")]
    if now == image.digest:
        return []
    return [
        warning(
            "tag",
            "TAG_MOVED",
            f"the tag {tagged} now points to {now}; the digest that was asked for is judged",
            hint="leave the digest out if the newest image is wanted, or the tag if this one is",
        )
    ]


def _refused(findings: Iterable[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _verdict(
    reference: Reference,
    policy: Policy,
    findings: list[Finding],
    *,
    digest: Digest | None,
    evidence: tuple[Digest, ...] = (),
) -> Verdict:
    return Verdict(
        reference=reference,
        digest=digest,
        policy=policy.name,
        policy_version=policy.version,
        policy_digest=policy.digest,
        findings=tuple(findings),
        evidence=evidence,
    )

"""The verifier: one reference, one policy, one verdict. Offline but for the registry.

What must hold, in this order; what fails early costs no request:

1. ``policy``: the policy has not expired, and exactly one of its rules has the longest match of
   the repository's full name. What no rule speaks of is refused.
2. ``deny``: the digest is not denied. It is looked up before any signature is asked for.
3. The tag is resolved once, by hashing the bytes that came; from then on only the digest is used,
   and the verdict's digest is what may be pulled. Of ``NAME:TAG@DIGEST`` the digest is judged;
   a tag that points elsewhere by now is a warning.
4. ``image``: see ``content``.
5. ``signature`` and one check for each attestation: see ``collect``, ``weigh`` and ``decide``.

A registry that cannot be asked leads to no verdict at all but to its error; bytes of the image
that differ from their digest are a verdict, and it says no.
"""

from collections.abc import Callable
from datetime import datetime

from imagekit.errors import DocumentError, IntegrityError, NotFoundError
from imagekit.model.digest import Digest
from imagekit.model.oci import RawManifest
from imagekit.model.policy import ImageRule, Policy
from imagekit.model.reference import PinnedReference, Reference, TaggedReference
from imagekit.model.verdict import Finding, Verdict
from imagekit.ports import RegistryReader
from imagekit.verify.collect import gather
from imagekit.verify.content import check_image, refusal
from imagekit.verify.decide import Case, decide, keys_of
from imagekit.verify.findings import error, ok, warning
from imagekit.verify.glob import applicable
from imagekit.verify.weigh import weigh


def judge(
    reference: Reference,
    policy: Policy,
    *,
    now: datetime,
    open_reader: Callable[[], RegistryReader],
) -> Verdict:
    """Verify an image against a policy.

    Args:
        reference: what somebody wants to use.
        policy: what decides.
        now: the present time, with its zone.
        open_reader: makes the way to the registry; called only where it is needed.

    Raises:
        RegistryError: the registry did not answer as it should, so that there is no verdict.
    """
    digest = reference.digest if isinstance(reference, PinnedReference) else None
    found, rule = _rule(reference, policy, now)
    findings = [found]
    if digest is not None:
        findings += _denied(policy, digest)
    if rule is None or _refused(findings):
        return _verdict(reference, policy, findings, digest=digest)
    reader = open_reader()
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
        findings += check_image(reader, image, raw)
    if not _refused(findings):
        findings += _trust(reader, image, policy=policy, rule=rule)
    return _verdict(reference, policy, findings, digest=image.digest)


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


def _trust(
    reader: RegistryReader, image: PinnedReference, *, policy: Policy, rule: ImageRule
) -> tuple[Finding, ...]:
    try:
        gathered = gather(reader, image)
    except (DocumentError, IntegrityError) as fault:
        return (
            error(
                "referrers",
                "REFERRERS_LOST",
                "the image's referrers were lost: what the registry has in the place of their "
                f"list cannot be read: {fault.message}",
                hint=f"ask who writes the tag sha256-{image.digest.hex[:12]}..., then sign again: "
                f"imagekit sign {image} --key FILE",
            ),
        )
    weighed = weigh(gathered.candidates, keys_of(rule), digest=image.digest)
    case = Case(image=image, policy=policy, rule=rule, gathered=gathered, weighed=weighed)
    return decide(case)


def _refused(findings: list[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _verdict(
    reference: Reference, policy: Policy, findings: list[Finding], *, digest: Digest | None
) -> Verdict:
    return Verdict(
        reference=reference,
        digest=digest,
        policy=policy.name,
        policy_version=policy.version,
        policy_digest=policy.digest,
        findings=tuple(findings),
    )

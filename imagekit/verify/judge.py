"""The verifier: one reference, one policy, one verdict. Offline but for the registry.

What must hold, in this order; what fails early costs no request:

1. ``policy``: nothing speaks against the policy itself (its signature and version: see
   ``signed``), it has been issued and has not expired, and exactly one of its rules has the
   longest match of the repository's full name. What no rule speaks of is refused.
2. ``deny``: the digest is not denied, nor one that the index lists. It is looked up before any
   signature is asked for, and so are exceptions: an image that has one is not asked for signatures.
3. The tag is resolved once, by hashing the bytes that came; from then on only the digest is used,
   and the verdict's digest is what may be pulled. Of ``NAME:TAG@DIGEST`` the digest is judged;
   a tag that points elsewhere by now is a warning.
4. ``image``: see ``content``. ``platforms``: see there.
5. ``withdrawal``, ``freshness``, ``signature`` and one check for each attestation: see ``collect``,
   ``candidates``, ``fresh`` and ``checks``; on the levels that the rule names. ``expressions``, of
   the image of each platform: see there. ``evaluation`` puts 4 and 5 together.

A rule that only warns turns what 5 refuses into warnings, until its date; never what 1 to 4 do,
nor a withdrawal, nor a list of referrers that cannot be read, on which there may be one.

A registry that cannot be asked leads to no verdict at all but to its error; bytes of the image
that differ from their digest are a verdict, and it says no.
"""

from msgspec.structs import replace

from imagekit.errors import DocumentError, IntegrityError, NotFoundError
from imagekit.oci.digest import Digest
from imagekit.oci.location import LocatedReference, Location
from imagekit.oci.reference import PinnedReference, Reference, TaggedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import RawManifest
from imagekit.policy.findings import Finding, warning
from imagekit.policy.force import rule_in_force
from imagekit.policy.now import Now
from imagekit.policy.ruleset import OpenedPolicy, Policy
from imagekit.verify.content import read_image, refusal
from imagekit.verify.context import VerifyContext
from imagekit.verify.evaluation import ImageEvaluation, denied, refused
from imagekit.verify.verdict import Verdict


def judge(reference: Reference, policy: OpenedPolicy, context: VerifyContext) -> Verdict:
    """Verify an image against a policy.

    Args:
        reference: what somebody wants to use.
        policy: what decides.
        context: the time, and the ways to everything that is asked.

    Raises:
        RegistryError: the registry did not answer as it should, so that there is no verdict.
    """
    now = Now(context.now, horizon=context.horizon)
    verdict = _judged(reference, policy, context, now=now)
    return replace(verdict, location=context.location, until=now.until)


def _judged(
    reference: Reference, policy: OpenedPolicy, context: VerifyContext, *, now: Now
) -> Verdict:
    digest = reference.digest if isinstance(reference, PinnedReference) else None
    rule_finding, rule = rule_in_force(policy, reference.repository.name, now)
    # What speaks against the policy itself speaks against everything that it would allow.
    findings = [*policy.standing, rule_finding]
    if digest is not None:
        findings += denied(policy, digest)
    if rule is None or refused(findings):
        return _verdict(reference, policy, findings, digest=digest)
    reader = context.open_reader()
    try:
        raw = reader.manifest(reference)
    except (IntegrityError, DocumentError) as fault:
        return _verdict(reference, policy, [*findings, refusal(fault)], digest=digest)
    image = _pin(reference, raw)
    if digest is None:
        findings += denied(policy, image.digest)
    else:
        findings += _moved(reader, image, context.location)
    if not refused(findings):
        evaluation = ImageEvaluation(
            reader=reader, image=image, policy=policy, rule=rule, context=context, now=now
        )
        content = read_image(reader, image, raw)
        findings += evaluation.findings(content)
        verdict = _verdict(reference, policy, findings, digest=image.digest)
        return replace(
            verdict,
            evidence=tuple(evaluation.counted),
            judged=evaluation.judged(content),
            unread=content.unread,
        )
    return _verdict(reference, policy, findings, digest=image.digest)


def _pin(reference: Reference, raw: RawManifest) -> PinnedReference:
    """Return what is judged: the digest asked for, else that of the very bytes that came."""
    # By a hash of our own: a registry that says which digest a tag has chooses what is pulled
    # (Kyverno: CVE-2023-47630).
    if isinstance(reference, TaggedReference):
        return reference.pin(Digest.of(raw.raw))
    return reference


def _moved(reader: RegistryReader, image: PinnedReference, location: Location) -> list[Finding]:
    if image.tag is None:
        return []
    reference = TaggedReference(image.repository, image.tag)
    tagged = LocatedReference(location, reference)
    try:
        now = reader.resolve(reference).digest
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


def _verdict(
    reference: Reference,
    policy: Policy,
    findings: list[Finding],
    *,
    digest: Digest | None,
) -> Verdict:
    return Verdict(
        reference=reference,
        digest=digest,
        policy=policy.name,
        policy_version=policy.version,
        policy_digest=policy.digest,
        findings=tuple(findings),
    )

"""The publisher's own policy: what it just published must pass the checks that nodes make."""

from datetime import datetime, timedelta

from imagekit.errors import VerificationError
from imagekit.oci.digest import Digest
from imagekit.policy.condition import NeedsCondition
from imagekit.policy.ruleset import Freshness, ImageRule, OpenedPolicy, RequiredAttestation
from imagekit.signatures.authority import Authority
from imagekit.signatures.intoto import CYCLONEDX, NEEDS, SLSA_PROVENANCE
from imagekit.verify.verdict import Verdict

_NAME = "published-by-this-key"
_REQUIRED = (("cyclonedx", CYCLONEDX), ("slsaprovenance1", SLSA_PROVENANCE))


def own_policy(
    repository: str, authority: Authority, now: datetime, *, needs: bool = False
) -> OpenedPolicy:
    """Return the strictest policy that the image must pass.

    The same signer must have made signature, release, SBOM and provenance.

    Args:
        repository: the full name of the repository.
        authority: the publisher's.
        now: the present time, with its zone.
        needs: whether the image says what it needs of its node.
    """
    said = RequiredAttestation(
        type=NEEDS, predicate_type=NEEDS, authorities=(authority,), condition=NeedsCondition()
    )
    rule = ImageRule(
        glob=repository,
        authorities=(authority,),
        freshness=Freshness(monotonic=True),
        attestations=tuple(
            RequiredAttestation(type=word, predicate_type=kind, authorities=(authority,))
            for word, kind in _REQUIRED
        )
        + ((said,) if needs else ()),
    )
    return OpenedPolicy(
        name=_NAME,
        version=1,
        expires=now + timedelta(days=1),
        images=(rule,),
        digest=Digest.of(repr(authority).encode()),
        standing=(),
    )


def require(verdict: Verdict) -> None:
    """Refuse to go on where the verdict is a refusal.

    Raises:
        VerificationError: it is; no moving tag was written.
    """
    if verdict.allowed:
        return
    faults = [finding for finding in verdict.findings if finding.severity == "error"]
    reasons = "; ".join(f"{fault.code}: {fault.message}" for fault in faults)
    raise VerificationError(
        f"{verdict.located} was pushed and signed, and does not verify: {reasons}",
        hint="publish again, and if it fails again the registry loses or alters what is attached "
        "to images",
        code=faults[0].code if faults else "",
    )

"""Verification summaries that an identity signed, relied on by a node that knows no key."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.policy.condition import VsaCondition
from imagekit.policy.ruleset import OpenedPolicy, Proof
from imagekit.sign.issue_vsa import SummaryOptions, issue_summary
from imagekit.sign.open_signer import KeylessOptions, keyless_signer
from imagekit.signatures.authority import Authority, Identity, Need, Pattern, TrustRoot
from imagekit.verify.verdict import Verdict
from imagekit.verify.verify import verify
from tests.support.attacks_kit import RealStage
from tests.support.servers import RegistryServer
from tests.support.signed import World, finding
from tests.support.sigstore.issuer import EMAIL
from tests.support.sigstore_stack import Sigstore

pytestmark = [
    pytest.mark.real,
    # sigstore-python says of itself that Rekor v2 is young.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

_VERIFIER = "https://gate.site"


def _relying(world: World, sigstore: Sigstore, *, subject: str) -> OpenedPolicy:
    raw = sigstore.trusted_root.read_bytes()
    gate = Authority(
        name="gate",
        identities=(Identity(issuer=Pattern(text=sigstore.issuer), subject=Pattern(text=subject)),),
        trust_root=TrustRoot(name="site", raw=raw, digest=Digest.of(raw)),
        tlog=Need.REQUIRED,
    )
    condition = VsaCondition(verifier_ids=(_VERIFIER,), max_age=timedelta(hours=1))
    policy = world.policy(authorities=(gate,), proof=Proof.VSA, vsa=condition)
    return replace(policy, expires=datetime.now(UTC) + timedelta(days=1))


def test_a_summary_signed_keyless(sigstore: Sigstore, tmp_path: Path) -> None:
    """Two summaries at once: the second is kept, and another identity is not relied on."""
    with RegistryServer.docker_registry(tmp_path) as registry:
        stage = RealStage(registry.host, "apps/demo")
        world = stage.signed
        verdict = stage.judge(world, world.policy("cyclonedx"))
        signer = keyless_signer(
            KeylessOptions(identity_token=sigstore.token(), trust_config=sigstore.trust_config)
        )

        issued = [
            issue_summary(verdict, signer=signer, options=SummaryOptions(verifier=_VERIFIER))
            for _ in range(2)
        ]

        assert [one.attached and one.attached.new for one in issued] == [True, False]

        def judged(subject: str) -> Verdict:
            policy = _relying(world, sigstore, subject=subject)
            return verify(world.reference, policy=policy)

        assert judged(EMAIL).allowed
        refused = judged("mallory@imagekit.test")
        assert finding(refused, "signature").code == "IDENTITY_MISMATCH"

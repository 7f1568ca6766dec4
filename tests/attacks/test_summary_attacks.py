"""Attacks on verification summaries, in a real registry; each breaks only one thing."""

from datetime import timedelta
from typing import Any

import pytest

from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY
from imagekit.oci.registry import connect
from imagekit.oci.registry.options import RegistryOptions
from imagekit.policy.condition import VsaCondition
from imagekit.policy.ruleset import OpenedPolicy, Proof
from imagekit.sign.issue_vsa import SummaryOptions, issue_summary
from imagekit.sign.sign_vsa import VsaVerifier, summarize, summary_statement
from imagekit.signatures.intoto import VSA
from tests.support.attacks_kit import RealStage, errors
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.signed import NOW, World

pytestmark = pytest.mark.real

_VERIFIER = "https://gate.site"
_LEVEL = "SLSA_BUILD_LEVEL_0"


def _policy(world: World, gate: MemorySigner, *, digest: Digest | None = None) -> OpenedPolicy:
    condition = VsaCondition(
        verifier_ids=(_VERIFIER,),
        policy_digests=(str(digest or world.policy().digest),),
        levels=(_LEVEL,),
        max_age=timedelta(days=1),
    )
    return world.policy(signers=(gate,), proof=Proof.VSA, vsa=condition)


def _predicate(real: RealStage, world: World, **changes: Any) -> dict[str, Any]:
    """Return what an honest gate says of the image, with one thing changed."""
    summary = summarize(real.judge(world, world.policy()), VsaVerifier(id=_VERIFIER), time=NOW)
    verdict = real.judge(world, world.policy())
    return {**summary_statement(verdict, summary).predicate, **changes}


def test_00_what_is_right_is_relied_on(real: RealStage) -> None:
    """Issued and attached by one node, relied on by another, through the registry."""
    world, gate = real.signed, MemorySigner()
    assert errors(real.judge(world, _policy(world, gate)))

    issued = issue_summary(
        real.judge(world, world.policy()),
        signer=gate,
        options=SummaryOptions(verifier=_VERIFIER),
        writer=connect.light(REGISTRY, RegistryOptions()),
        clock=FixedClock(NOW),
    )

    assert issued.attached is not None
    assert issued.attached.new
    assert real.verify(world, _policy(world, gate)).allowed


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"verifier": {"id": "https://evil.site"}}, "VERIFIER_NOT_ALLOWED"),
        ({"resourceUri": "evil.site/apps/demo:1"}, "REFERENCE_MISMATCH"),
        ({"verificationResult": "FAILED"}, "VERIFICATION_FAILED"),
        ({"timeVerified": "2026-11-01T00:00:00Z"}, "STALE_ATTESTATION"),
        ({"timeVerified": None}, "STALE_ATTESTATION"),
        ({"timeVerified": "2027-11-01T00:00:00Z"}, "CLOCK"),
        ({"policy": {"digest": {"sha256": "0" * 64}}}, "WRONG_POLICY"),
        ({"verifiedLevels": []}, "LEVEL_MISSING"),
        ({"verificationResult": ["PASSED"]}, "BAD_VSA"),
    ],
    ids=[
        "unlisted-verifier",
        "other-resource",
        "failed",
        "too-old",
        "no-time",
        "future",
        "other-policy",
        "lower-level",
        "malformed",
    ],
)
def test_44_summary_that_is_not_to_be_relied_on(
    real: RealStage, changes: dict[str, Any], code: str
) -> None:
    """Attack 44: an unlisted verifier, another resource, FAILED, too old."""
    world, gate = real.signed, MemorySigner()
    world.attach(VSA, _predicate(real, world, **changes), signer=gate)

    assert errors(real.judge(world, _policy(world, gate))) == {"signature": code}


def test_44_summary_of_another_image(real: RealStage) -> None:
    """Attack 44: a passed summary of image A attached to image B, under B's name."""
    world, gate = real.signed, MemorySigner()
    predicate = _predicate(real, world)
    world.attach(VSA, predicate, signer=gate, digest=Digest.of(b"image A"))

    assert errors(real.judge(world, _policy(world, gate))) == {"signature": "DIGEST_MISMATCH"}


def test_44_summary_by_the_publisher(real: RealStage) -> None:
    """Attack 44: whoever may sign images writes a summary in the gate's name."""
    world, gate = real.signed, MemorySigner()
    world.attach(VSA, _predicate(real, world), signer=world.signer)

    assert errors(real.judge(world, _policy(world, gate))) == {"signature": "UNTRUSTED_KEY"}

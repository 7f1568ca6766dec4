"""Conditions and verification summaries in whole verdicts: wired to the right attestations."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.policy.condition import (
    Condition,
    PackageRange,
    PassedTestsCondition,
    ProvenanceCondition,
    RebuildCondition,
    SbomCondition,
    SelfContainedCondition,
    Severity,
    VsaCondition,
    VulnerabilityCondition,
)
from imagekit.policy.ruleset import OpenedPolicy, Proof
from imagekit.signatures.intoto import CYCLONEDX, VSA, full_type
from tests.support.fakes import MemorySigner
from tests.support.signed import NOW, World, finding

_OPENSSL = {"name": "openssl", "purl": "pkg:deb/debian/openssl@3.0.14-1"}
_NO_OPENSSL = SbomCondition(deny_packages=(PackageRange(purl="pkg:deb/debian/openssl"),))
_VERIFIER = "https://gate.site"
_RELIES = VsaCondition(verifier_ids=(_VERIFIER,), max_age=timedelta(days=1))


@pytest.fixture
def world() -> World:
    """A registry with one image that is signed."""
    made = World()
    made.sign()
    return made


def _wanting(world: World, word: str, condition: Condition) -> OpenedPolicy:
    policy = world.policy(word)
    (rule,) = policy.images
    (required,) = rule.attestations
    changed = replace(rule, attestations=(replace(required, condition=condition),))
    return replace(policy, images=(changed,))


def _sbom(*components: dict[str, Any]) -> dict[str, Any]:
    return {"bomFormat": "CycloneDX", "components": [*components]}


def _summary(**changes: Any) -> dict[str, Any]:
    return {
        "verifier": {"id": _VERIFIER},
        "timeVerified": NOW.isoformat(),
        "resourceUri": "r.site/apps/demo:1",
        "policy": {"digest": {"sha256": "a" * 64}},
        "verificationResult": "PASSED",
        "verifiedLevels": [],
        **changes,
    }


@pytest.mark.parametrize(
    ("word", "check", "predicate", "condition", "code"),
    [
        ("cyclonedx", "sbom", _sbom(_OPENSSL), _NO_OPENSSL, "PACKAGE_DENIED"),
        ("cyclonedx", "sbom", _sbom(), SbomCondition(min_components=1), "SBOM_TOO_SMALL"),
        (
            "spdxjson",
            "spdxjson",
            {"spdxVersion": "SPDX-2.3", "packages": [{"name": "openssl"}]},
            _NO_OPENSSL,
            "PACKAGE_DENIED",
        ),
        (
            "slsaprovenance1",
            "provenance",
            {
                "buildDefinition": {"buildType": "x"},
                "runDetails": {"builder": {"id": "https://laptop"}},
            },
            ProvenanceCondition(builder_ids=("https://ci.site",)),
            "BUILDER_NOT_ALLOWED",
        ),
        (
            "vuln",
            "vuln",
            {"scanner": {"result": [{"id": "CVE-1"}]}},
            VulnerabilityCondition(max_severity=Severity.HIGH),
            "SEVERITY_TOO_HIGH",
        ),
        ("vsa", "vsa", _summary(verificationResult="FAILED"), _RELIES, "VERIFICATION_FAILED"),
        (
            "test-result",
            "tests",
            {"result": "FAILED", "configuration": [{"name": "x"}], "failedTests": ["a"]},
            PassedTestsCondition(),
            "TESTS_FAILED",
        ),
        (
            "selfcontained",
            "selfcontained",
            {"result": "FAILED", "checks": ["IK101"]},
            SelfContainedCondition(),
            "NOT_SELF_CONTAINED",
        ),
        ("rebuild", "rebuild", {"result": "different"}, RebuildCondition(), "REBUILD_DIFFERS"),
    ],
)
def test_a_condition_that_is_not_met_denies(
    world: World,
    word: str,
    check: str,
    predicate: dict[str, Any],
    condition: Condition,
    code: str,
) -> None:
    """By its own code, though the attestation itself is signed and about the image."""
    world.attach(full_type(word), predicate)

    assert world.judge(world.policy(word)).allowed
    verdict = world.judge(_wanting(world, word, condition))

    assert not verdict.allowed
    found = finding(verdict, check)
    assert found.code == code
    assert found.hint


def test_a_condition_that_is_met_allows(world: World) -> None:
    """A demand is no refusal of its own."""
    world.attach(CYCLONEDX, _sbom({"name": "zlib", "purl": "pkg:deb/debian/zlib1g@1"}))

    assert world.judge(_wanting(world, "cyclonedx", _NO_OPENSSL)).allowed


def test_a_newer_attestation_replaces_an_older_one(world: World) -> None:
    """One that holds is enough: the other could be hidden by whoever runs the registry."""
    world.attach(CYCLONEDX, _sbom(_OPENSSL))
    policy = _wanting(world, "cyclonedx", _NO_OPENSSL)
    assert not world.judge(policy).allowed

    world.attach(CYCLONEDX, _sbom({"name": "zlib"}))

    assert world.judge(policy).allowed


def test_a_strangers_better_attestation_does_not_help(world: World) -> None:
    """The condition is met by somebody who may attest, or by nobody."""
    world.attach(CYCLONEDX, _sbom(_OPENSSL))
    world.attach(CYCLONEDX, _sbom({"name": "zlib"}), signer=MemorySigner())

    verdict = world.judge(_wanting(world, "cyclonedx", _NO_OPENSSL))

    assert finding(verdict, "sbom").code == "PACKAGE_DENIED"


class TestProofByVsa:
    """Another node's signed verdict instead of signatures."""

    def _policy(self, world: World, condition: VsaCondition | None = _RELIES) -> OpenedPolicy:
        return world.policy(proof=Proof.VSA, vsa=condition)

    def _judged(self, world: World, predicate: dict[str, Any], **changes: Any) -> str:
        world.attach(VSA, predicate, **changes)
        return finding(world.judge(self._policy(world)), "signature").code

    def test_a_summary_is_enough(self) -> None:
        """No signature of the image itself is looked for."""
        world = World()
        world.attach(VSA, _summary())

        verdict = world.judge(self._policy(world))

        assert verdict.allowed
        assert finding(verdict, "signature").code == "OK"

    @pytest.mark.parametrize(
        ("predicate", "code"),
        [
            (_summary(verifier={"id": "https://evil.site"}), "VERIFIER_NOT_ALLOWED"),
            (_summary(resourceUri="r.site/apps/other:1"), "REFERENCE_MISMATCH"),
            (_summary(verificationResult="FAILED"), "VERIFICATION_FAILED"),
            (_summary(timeVerified="2026-11-01T00:00:00Z"), "STALE_ATTESTATION"),
            (_summary(verifiedLevels="SLSA_BUILD_LEVEL_3"), "BAD_VSA"),
            ({}, "BAD_VSA"),
        ],
    )
    def test_what_is_not_relied_on(self, predicate: dict[str, Any], code: str) -> None:
        """An unlisted verifier, another resource, FAILED, too old, or no summary at all."""
        assert self._judged(World(), predicate) == code

    def test_of_another_image(self) -> None:
        """The subject is bound by its digest, whatever the resource is called."""
        assert self._judged(World(), _summary(), digest=Digest.of(b"other")) == "DIGEST_MISMATCH"

    def test_by_a_stranger(self) -> None:
        """Anybody can write a summary in another's name."""
        world = World()
        assert self._judged(world, _summary(), signer=MemorySigner()) == "UNTRUSTED_KEY"

    def test_a_signature_is_no_summary(self, world: World) -> None:
        """Nor is any other statement."""
        verdict = world.judge(self._policy(world))

        assert finding(verdict, "signature").code == "WRONG_PREDICATE_TYPE"

    def test_a_rule_without_a_verifier_relies_on_nobody(self) -> None:
        """A policy cannot be written so; a value that is made by hand is refused, too."""
        world = World()
        world.attach(VSA, _summary())

        assert not world.judge(self._policy(world, None)).allowed

    def test_two_summaries_of_one_verifier_are_one(self) -> None:
        """A threshold counts distinct signers here, too."""
        world, other = World(), MemorySigner()
        policy = world.policy(
            proof=Proof.VSA, vsa=_RELIES, threshold=2, signers=(world.signer, other)
        )
        world.attach(VSA, _summary())
        world.attach(VSA, _summary(verifiedLevels=["x"]))
        assert finding(world.judge(policy), "signature").code == "THRESHOLD_NOT_MET"

        world.attach(VSA, _summary(), signer=other)

        assert world.judge(policy).allowed


def test_a_summary_is_no_signature(world: World) -> None:
    """Where a rule wants signatures, no other statement is one."""
    other = MemorySigner()
    world.attach(VSA, _summary(), signer=other)

    verdict = world.judge(world.policy(signers=(other,)))

    assert finding(verdict, "signature").code == "WRONG_PREDICATE_TYPE"

"""Issuing verification summaries: one node verifies, and another one relies on it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from imagekit.errors import AuthError, InputError, NotFoundError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Reference, TaggedReference
from imagekit.policy.condition import VsaCondition
from imagekit.policy.ruleset import OpenedPolicy, PolicyException, Proof
from imagekit.sign.issue_vsa import IssuedSummary, SummaryOptions, issue_summary
from imagekit.signatures.bundle import parse_bundle
from imagekit.signatures.intoto import VSA, statement_of
from imagekit.signatures.vsa import Summary, parse_summary
from imagekit.verify.verdict import Verdict
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.signed import NOW, World, finding, signed_world, sparse_index

_VERIFIER = "https://gate.site"


@pytest.fixture
def world() -> World:
    """A registry with one image that has all that a policy can ask for."""
    return signed_world()


@pytest.fixture
def gate() -> MemorySigner:
    """The key of the node that verifies."""
    return MemorySigner()


def _issue(world: World, gate: MemorySigner, verdict: Verdict, **options: Any) -> IssuedSummary:
    return issue_summary(
        verdict,
        signer=gate,
        options=SummaryOptions(verifier=_VERIFIER, **options),
        writer=world.registry,
        clock=FixedClock(NOW),
    )


def _relying(world: World, gate: MemorySigner, **condition: Any) -> OpenedPolicy:
    wanted = VsaCondition(verifier_ids=(_VERIFIER,), max_age=timedelta(days=1), **condition)
    return world.policy(signers=(gate,), proof=Proof.VSA, vsa=wanted)


def _judged(world: World, gate: MemorySigner, **condition: Any) -> Verdict:
    return world.judge(_relying(world, gate, **condition))


def test_another_node_relies_on_what_was_verified(world: World, gate: MemorySigner) -> None:
    """By the gate's key alone: it need not know who signed the image."""
    assert finding(_judged(world, gate), "signature").code != "OK"
    verdict = world.judge(world.policy("cyclonedx", "slsaprovenance1"))

    issued = _issue(world, gate, verdict)

    assert issued.attached is not None
    assert issued.attached.new
    digest = str(verdict.policy_digest)
    assert _judged(world, gate, policy_digests=(digest,), levels=("SLSA_BUILD_LEVEL_1",)).allowed
    assert not _judged(world, gate, policy_digests=(str(Digest.of(b"other")),)).allowed
    assert not _judged(world, gate, levels=("SLSA_BUILD_LEVEL_2",)).allowed


def test_a_refusal_is_signed_as_one(world: World, gate: MemorySigner) -> None:
    """And nobody relies on it."""
    verdict = world.judge(world.policy("vuln"))

    issued = _issue(world, gate, verdict)

    assert (issued.summary.result, issued.summary.levels) == ("FAILED", ("FAILED",))
    assert finding(_judged(world, gate), "signature").code == "VERIFICATION_FAILED"


def test_an_index_that_was_not_read_whole_did_not_pass(gate: MemorySigner) -> None:
    """It is allowed by its signature, and whoever relies on the summary could run the rest."""
    world = World()
    sparse_index(world, Digest.of(b"elsewhere"))
    verdict = world.judge(world.policy())
    assert verdict.allowed

    issued = _issue(world, gate, verdict)

    assert (issued.summary.result, issued.summary.levels) == ("FAILED", ("FAILED",))
    assert finding(_judged(world, gate), "signature").code == "VERIFICATION_FAILED"


def test_what_was_only_let_through_did_not_pass(gate: MemorySigner) -> None:
    """An exception, or a rule that only warns, is no proof for others."""
    world = World()
    policy = world.policy()
    exception = PolicyException(
        repository=world.repository,
        digest=world.image.digest,
        reason="x",
        owner="y",
        expires=NOW + timedelta(days=1),
    )
    for eased in (
        OpenedPolicy(**{**_fields(policy), "exceptions": (exception,)}),
        world.policy(warn_until=NOW + timedelta(days=1)),
    ):
        verdict = world.judge(eased)
        assert verdict.allowed

        assert _issue(world, gate, verdict).summary.result == "FAILED"


def _fields(policy: OpenedPolicy) -> dict[str, Any]:
    return {name: getattr(policy, name) for name in policy.__struct_fields__}


def test_what_a_summary_says(world: World, gate: MemorySigner, tmp_path: Path) -> None:
    """Verifier, resource, policy, time, and the very documents that counted."""
    verdict = world.judge(world.policy("cyclonedx"))
    file = tmp_path / "vsa.json"

    issued = _issue(world, gate, verdict, file=file, attach=False, levels=("SITE_SCANNED",))

    assert issued.attached is None
    statement = statement_of(parse_bundle(file.read_bytes()).envelope)
    assert statement.predicate_type == VSA
    (subject,) = statement.subjects
    assert (subject.name, subject.digest) == ("r.site/apps/demo:1", world.image.digest)
    summary = parse_summary(statement.predicate)
    assert summary == issued.summary
    assert summary.resource == "r.site/apps/demo:1"
    assert summary.policy.digest == verdict.policy_digest
    assert summary.policy.uri == "policy:site@3"
    assert summary.time == NOW
    assert summary.levels == ("SLSA_BUILD_LEVEL_0", "SITE_SCANNED")
    known = {digest for _, digest in world.registry.blobs}
    inputs = {one.digest for one in summary.inputs}
    assert len(inputs) == 3
    assert inputs <= known
    assert file.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [file]


def test_a_level_that_is_said_replaces_the_one_that_is_proven(
    world: World, gate: MemorySigner
) -> None:
    """Of one track a summary names the highest only."""
    issued = _issue(world, gate, world.judge(), levels=("SLSA_BUILD_LEVEL_3",))

    assert issued.summary.levels == ("SLSA_BUILD_LEVEL_3",)


def test_asked_for_by_digest(world: World, gate: MemorySigner) -> None:
    """The summary is good for the digest, and not for a tag."""
    _issue(world, gate, world.judge(reference=world.image))

    assert world.judge(_relying(world, gate), reference=world.image).allowed
    assert finding(_judged(world, gate), "signature").code == "REFERENCE_MISMATCH"


def test_the_same_again_is_not_signed_again(world: World, gate: MemorySigner) -> None:
    """For an hour: a timer must not fill the list that every verifier reads."""
    first = _issue(world, gate, world.judge())
    signed = gate.signed

    again = _issue(world, gate, world.judge())

    assert again.attached is not None
    assert first.attached is not None
    assert not again.attached.new
    assert again.attached.reference == first.attached.reference
    assert gate.signed == signed
    later = issue_summary(
        world.judge(),
        signer=gate,
        options=SummaryOptions(verifier=_VERIFIER),
        writer=world.registry,
        clock=FixedClock(NOW + timedelta(hours=1)),
    )
    assert later.attached is not None
    assert later.attached.new


def test_another_result_is_signed_at_once(world: World, gate: MemorySigner) -> None:
    """What is younger than an hour is kept only where it says the same."""
    _issue(world, gate, world.judge())

    issued = _issue(world, gate, world.judge(world.policy("vuln")))

    assert issued.attached is not None
    assert issued.attached.new


def test_a_registry_that_refuses(
    world: World, gate: MemorySigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names what to do instead."""

    def refuse(*arguments: object, **keywords: object) -> None:
        raise AuthError("403", http_status=403)

    monkeypatch.setattr(world.registry, "put_bytes", refuse)

    with pytest.raises(AuthError) as caught:
        issue_summary(world.judge(), signer=gate, writer=world.registry, clock=FixedClock(NOW))
    assert "--vsa-out" in caught.value.hint


def test_nothing_was_judged(world: World, gate: MemorySigner) -> None:
    """Without a digest there is nothing to sign."""
    expired = world.judge(now=NOW + timedelta(days=1000))
    assert expired.digest is None

    with pytest.raises(InputError) as caught:
        _issue(world, gate, expired)
    assert caught.value.code == "NO_DIGEST"
    with pytest.raises(NotFoundError):
        world.judge(reference=TaggedReference(world.repository, "none"))


def test_a_file_that_cannot_be_written(world: World, gate: MemorySigner, tmp_path: Path) -> None:
    """It is a fault of the input, and nothing is left."""
    with pytest.raises(InputError) as caught:
        _issue(world, gate, world.judge(), attach=False, file=tmp_path / "no" / "vsa.json")
    assert caught.value.code == "BAD_OUTPUT"


@pytest.mark.parametrize("reference", ["tag", "digest"])
def test_the_default_verifier(world: World, gate: MemorySigner, reference: str) -> None:
    """Whoever says nothing answers for himself."""
    asked: Reference = world.reference if reference == "tag" else world.image

    issued = issue_summary(
        world.judge(reference=asked), signer=gate, writer=world.registry, clock=FixedClock(NOW)
    )

    assert issued.summary.verifier == "https://imagekit.dev/verifier/local"
    assert isinstance(issued.summary, Summary)
    assert json.dumps(issued.summary.resource)

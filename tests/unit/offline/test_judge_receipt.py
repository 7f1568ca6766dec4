"""A receipt is good for one image, by one verifier, for a time, and for the staged bytes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.errors import DocumentError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, parse_reference
from imagekit.offline.judge_receipt import ReceiptContext, judge_receipt
from imagekit.offline.receipt import claimed, receipt_statement
from imagekit.offline.stage_target import STAGED, StageKind
from imagekit.policy.condition import NeedsCondition, VsaCondition
from imagekit.policy.findings import Finding
from imagekit.policy.ruleset import (
    Deny,
    ImageRule,
    OpenedPolicy,
    Proof,
    RequiredAttestation,
    SignedIdentity,
)
from imagekit.signatures.authority import Authority
from imagekit.signatures.bundle import parse_bundle
from imagekit.signatures.intoto import (
    COSIGN_SIGN,
    NEEDS,
    VSA,
    Statement,
    StatementSubject,
    statement_bytes,
)
from imagekit.verify.verdict import Verdict
from tests.support.fakes import MemorySigner

NOW = datetime(2026, 11, 25, tzinfo=UTC)
IMAGE, STAGED_BYTES = Digest.of(b"image"), Digest.of(b"staged")
VERIFIER = "urn:imagekit:stage"
SIGNER = MemorySigner()


def _verdict(reference: Reference | None = None) -> Verdict:
    return Verdict(
        reference=reference or parse_reference("r.site/apps/demo:1"),
        digest=IMAGE,
        policy="site",
        policy_digest=Digest.of(b"policy"),
        findings=(Finding(check="x", code="OK", message="", severity="ok"),),
    )


def _statement(**changes: Any) -> Statement:
    fields: dict[str, Any] = {
        "verifier": VERIFIER,
        "kind": StageKind.SQUASHFS,
        "staged": STAGED_BYTES,
        "time": NOW - timedelta(hours=3),
    }
    verdict = changes.pop("verdict", _verdict())
    return receipt_statement(verdict, **fields | changes)


def _policy(*, signer: MemorySigner = SIGNER, **rule: Any) -> OpenedPolicy:
    only = ImageRule(
        glob="r.site/apps/**",
        authorities=(Authority(name="staging", key=signer.public_key),),
        proof=Proof.VSA,
        vsa=VsaCondition(verifier_ids=(VERIFIER,), max_age=timedelta(days=1)),
    )
    return OpenedPolicy(
        name="nodes",
        version=1,
        expires=NOW + timedelta(days=9),
        images=(replace(only, **rule),),
        digest=Digest.of(b"nodes"),
        standing=(),
    )


def _judged(
    statement: Statement | None = None,
    *,
    policy: OpenedPolicy | None = None,
    staged: Digest = STAGED_BYTES,
    signer: MemorySigner = SIGNER,
    now: datetime = NOW,
) -> Verdict:
    raw = signer.bundle(statement_bytes(statement or _statement()))
    receipt = claimed(parse_bundle(raw).envelope)
    return judge_receipt(
        raw, receipt, staged=staged, context=ReceiptContext(policy=policy or _policy(), now=now)
    )


def _codes(verdict: Verdict) -> list[str]:
    return [finding.code for finding in verdict.findings if finding.severity == "error"]


def _condition(**changes: Any) -> VsaCondition:
    return replace(VsaCondition(verifier_ids=(VERIFIER,), max_age=timedelta(days=1)), **changes)


def test_a_good_receipt_is_allowed() -> None:
    """Signer, verifier, name, age and bytes are what the policy wants."""
    verdict = _judged()

    assert verdict.allowed
    assert verdict.digest == IMAGE


def test_a_receipt_by_digest_is_allowed() -> None:
    """An image that was staged by its digest is named by it."""
    reference = parse_reference(f"r.site/apps/demo@{IMAGE}")

    assert _judged(_statement(verdict=_verdict(reference))).allowed


def test_other_bytes_are_refused() -> None:
    """What lies there is not what was staged."""
    assert _codes(_judged(staged=Digest.of(b"evil"))) == ["CONTENT_DIGEST_MISMATCH"]


def test_a_strangers_receipt_is_refused() -> None:
    """Anybody can write one."""
    assert _codes(_judged(signer=MemorySigner())) == ["UNTRUSTED_KEY"]


def test_another_verifier_is_refused() -> None:
    """The same key may speak for several."""
    assert _codes(_judged(_statement(verifier="urn:other"))) == ["VERIFIER_NOT_ALLOWED"]


def test_an_old_receipt_is_refused() -> None:
    """MaxAge counts from when the image was verified."""
    assert _codes(_judged(_statement(time=NOW - timedelta(hours=25)))) == ["STALE_ATTESTATION"]


def test_a_receipt_of_tomorrow_is_refused() -> None:
    """A clock was set back."""
    assert _codes(_judged(_statement(time=NOW + timedelta(hours=1)))) == ["CLOCK"]


def test_a_receipt_of_tomorrow_is_refused_without_a_limit_too() -> None:
    """Whether its age is limited or not."""
    policy = _policy(vsa=_condition(max_age=None))

    assert _codes(_judged(_statement(time=NOW + timedelta(hours=1)), policy=policy)) == ["CLOCK"]


def test_a_receipt_without_a_time_is_refused() -> None:
    """Nobody could tell when it ends."""
    good = _statement()
    timeless = {key: value for key, value in good.predicate.items() if key != "timeVerified"}
    policy = _policy(vsa=_condition(max_age=None))

    judged = _judged(replace(good, predicate=timeless), policy=policy)

    assert _codes(judged) == ["STALE_ATTESTATION"]


def test_a_failed_verification_is_refused() -> None:
    """A verifier may say that an image is bad."""
    good = _statement()
    failed = replace(good, predicate={**good.predicate, "verificationResult": "FAILED"})

    assert _codes(_judged(failed)) == ["VERIFICATION_FAILED"]


def test_another_policy_than_those_listed_is_refused() -> None:
    """What it was judged by was withdrawn."""
    rule: dict[str, Any] = {"vsa": _condition(policy_digests=(str(Digest.of(b"other")),))}

    assert _codes(_judged(policy=_policy(**rule))) == ["WRONG_POLICY"]


def test_a_listed_policy_is_allowed() -> None:
    """The digest of the policy that judged is in the summary."""
    rule: dict[str, Any] = {"vsa": _condition(policy_digests=(str(Digest.of(b"policy")),))}

    assert _judged(policy=_policy(**rule)).allowed


def test_missing_levels_are_refused() -> None:
    """Staging claims none."""
    rule: dict[str, Any] = {"vsa": _condition(levels=("SLSA_BUILD_LEVEL_2",))}

    assert _codes(_judged(policy=_policy(**rule))) == ["LEVEL_MISSING"]


def test_a_denied_digest_is_refused() -> None:
    """Revocation reaches what was staged already."""
    policy = replace(_policy(), deny=Deny(digests=frozenset({IMAGE})))

    assert _codes(_judged(policy=policy)) == ["REVOKED"]


def test_a_denied_key_is_refused() -> None:
    """So does that of whoever staged it."""
    deny = Deny(keys=frozenset({SIGNER.public_key.fingerprint}))

    assert _codes(_judged(policy=replace(_policy(), deny=deny))) == ["REVOKED"]


def test_an_expired_policy_allows_nothing() -> None:
    """As for images in registries."""
    assert _codes(_judged(now=NOW + timedelta(days=10))) == ["POLICY_EXPIRED"]


def test_an_image_that_no_rule_speaks_of_is_refused() -> None:
    """Whoever staged it."""
    other = _statement(verdict=_verdict(parse_reference("r.site/other:1")))

    assert _codes(_judged(other)) == ["NO_POLICY"]


def test_an_image_that_two_rules_match_equally_well_is_refused() -> None:
    """Nobody chooses between rules, though the receipt is good by each."""
    (rule,) = _policy().images
    tied = (replace(rule, glob="r.site/a*/demo"), replace(rule, glob="r.site/*s/demo"))

    for each in tied:
        assert _judged(policy=replace(_policy(), images=(each,))).allowed
    assert _codes(_judged(policy=replace(_policy(), images=tied))) == ["AMBIGUOUS_POLICY"]


def test_a_policy_that_was_itself_refused_allows_nothing() -> None:
    """A signature of the policy that does not hold stands in its verdicts."""
    bad = Finding(check="policy", code="POLICY_ROLLBACK", message="", severity="error")

    assert _codes(_judged(policy=replace(_policy(), standing=(bad,)))) == ["POLICY_ROLLBACK"]


def test_a_rule_that_relies_on_nobody_allows_nothing() -> None:
    """A policy for registries is none for nodes."""
    rule: dict[str, Any] = {"proof": Proof.SIGNATURE, "vsa": None}

    assert _codes(_judged(policy=_policy(**rule))) == ["NO_VERIFIER"]


def test_a_threshold_that_one_receipt_cannot_reach_allows_nothing() -> None:
    """One bundle has one signer."""
    assert _codes(_judged(policy=_policy(threshold=2))) == ["NO_VERIFIER"]


def test_a_rule_that_compares_nodes_allows_nothing() -> None:
    """A receipt does not say what the image needs, and the rule is not skipped in silence."""
    authority = Authority(name="staging", key=SIGNER.public_key)
    wanted = RequiredAttestation(
        type=NEEDS, predicate_type=NEEDS, authorities=(authority,), condition=NeedsCondition()
    )

    assert _codes(_judged(policy=_policy(attestations=(wanted,)))) == ["MISSING_ATTESTATION"]


def test_receipts_may_be_wanted_as_attestations() -> None:
    """A rule that also judges registries names the verifier among its attestations."""
    other = MemorySigner()
    wanted = RequiredAttestation(
        type="vsa",
        predicate_type=VSA,
        authorities=(Authority(name="staging", key=SIGNER.public_key),),
        condition=_condition(),
    )
    policy = _policy(signer=other, proof=Proof.SIGNATURE, vsa=None, attestations=(wanted,))

    assert _judged(policy=policy).allowed


def test_the_name_is_bound_as_for_signatures() -> None:
    """A remapped name must be the one that was verified."""
    exact = _policy(signed_identity=SignedIdentity.MATCH_EXACT)

    assert _judged(policy=exact).allowed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"predicate_type": COSIGN_SIGN}, "no verification summary"),
        (
            {"subjects": (StatementSubject(name="r.site/apps/demo:1", digest=IMAGE),)},
            "no verification",
        ),
        (
            {
                "subjects": (
                    StatementSubject(name="r.site/apps/demo:1", digest=IMAGE),
                    StatementSubject(name="staged:else", digest=STAGED_BYTES),
                )
            },
            "does not bind",
        ),
        (
            {
                "subjects": (
                    StatementSubject(name="r.site/apps/else:1", digest=IMAGE),
                    StatementSubject(name=f"{STAGED}squashfs", digest=STAGED_BYTES),
                )
            },
            "resourceUri",
        ),
    ],
)
def test_what_is_no_receipt_is_refused(change: dict[str, Any], said: str) -> None:
    """A summary of the registry's, or one for another name, does not bind staged bytes."""
    statement = replace(_statement(), **change)
    bundle = parse_bundle(SIGNER.bundle(statement_bytes(statement)))

    with pytest.raises(DocumentError, match=said):
        claimed(bundle.envelope)


@pytest.mark.parametrize(
    "change",
    [
        {"predicate_type": COSIGN_SIGN},
        {"subjects": (StatementSubject(name="r.site/apps/demo:1", digest=Digest.of(b"other")),)},
    ],
    ids=["no summary", "of another image"],
)
def test_what_was_signed_is_looked_at_and_not_what_is_claimed(change: dict[str, Any]) -> None:
    """A claim that was read from somewhere else does not count."""
    claims = claimed(parse_bundle(SIGNER.bundle(statement_bytes(_statement()))).envelope)
    raw = SIGNER.bundle(statement_bytes(replace(_statement(), **change)))

    verdict = judge_receipt(
        raw, claims, staged=STAGED_BYTES, context=ReceiptContext(policy=_policy(), now=NOW)
    )

    assert _codes(verdict) == ["BAD_RECEIPT"]


def test_a_denied_image_gets_no_receipt() -> None:
    """Nobody signs for what was refused."""
    with pytest.raises(ValueError, match="allowed"):
        _statement(verdict=replace(_verdict(), findings=()))


def test_the_image_of_a_receipt_has_its_tag() -> None:
    """By it the name is judged."""
    raw = SIGNER.bundle(statement_bytes(_statement()))

    image = claimed(parse_bundle(raw).envelope).image

    assert image == PinnedReference(image.repository, IMAGE, tag="1")

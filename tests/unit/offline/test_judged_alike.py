"""A summary counts for a node as it counts for whoever pulls: one table, both deciders.

The same signed statement lies beside staged bytes as their receipt, and beside the image in a
registry as a verification summary. The one who judges it offline and the one who asks the registry
come to the same code, for the same reason.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.offline.judge_receipt import ReceiptContext, judge_receipt
from imagekit.offline.receipt import claimed, receipt_statement
from imagekit.offline.stage_target import StageKind
from imagekit.policy.condition import VsaCondition
from imagekit.policy.findings import Finding
from imagekit.policy.ruleset import Deny, OpenedPolicy, Proof, SignedIdentity
from imagekit.signatures.authority import Authority
from imagekit.signatures.bundle import parse_bundle
from imagekit.signatures.intoto import Statement, statement_bytes
from imagekit.verify.verdict import Verdict
from tests.support.fakes import MemorySigner
from tests.support.signed import NOW, World

STAGED_BYTES = Digest.of(b"staged")
VERIFIER = "urn:imagekit:stage"
RELIES = VsaCondition(verifier_ids=(VERIFIER,), max_age=timedelta(days=1))


@dataclass
class Judged:
    """A world, a summary about its image, and the policy that both are judged by."""

    world: World = field(default_factory=World)
    stated: dict[str, Any] = field(default_factory=dict)
    predicate: dict[str, object] = field(default_factory=dict)
    rule: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    signer: MemorySigner | None = None

    def both(self) -> tuple[Verdict, Verdict]:
        """Return the verdict on the receipt, and that on the image in the registry."""
        signer = self.signer or self.world.signer
        raw = signer.bundle(statement_bytes(self._statement()))
        self.world.attach_raw(raw)
        receipt = claimed(parse_bundle(raw).envelope)
        context = ReceiptContext(policy=self._policy(), now=NOW)
        offline = judge_receipt(raw, receipt, staged=STAGED_BYTES, context=context)
        return offline, self.world.judge(self._policy())

    def _statement(self) -> Statement:
        verdict = Verdict(
            reference=self.world.reference,
            digest=self.world.image.digest,
            policy="site",
            policy_digest=Digest.of(b"policy"),
            findings=(Finding(check="x", code="OK", message="", severity="ok"),),
        )
        fields: dict[str, Any] = {
            "verifier": VERIFIER,
            "kind": StageKind.SQUASHFS,
            "staged": STAGED_BYTES,
            "time": NOW - timedelta(hours=3),
        }
        made = receipt_statement(verdict, **fields | self.stated)
        return replace(made, predicate={**made.predicate, **self.predicate})

    def _policy(self) -> OpenedPolicy:
        fields: dict[str, Any] = {"proof": Proof.VSA, "vsa": RELIES}
        return replace(self.world.policy(**fields | self.rule), **self.policy)


def _deny_key(judged: Judged) -> None:
    judged.policy["deny"] = Deny(keys=frozenset({judged.world.signer.public_key.fingerprint}))


def _deny_digest(judged: Judged) -> None:
    judged.policy["deny"] = Deny(digests=frozenset({judged.world.image.digest}))


def _late_key(judged: Judged) -> None:
    key = judged.world.signer.public_key
    late = Authority(name="late", key=key, not_after=NOW - timedelta(days=1))
    judged.rule["authorities"] = (late,)


def _tie(judged: Judged) -> None:
    (rule,) = judged.world.policy(proof=Proof.VSA, vsa=RELIES).images
    globs = ("r.site/a*/demo", "r.site/*s/demo")
    judged.policy["images"] = tuple(replace(rule, glob=glob) for glob in globs)


def _standing(judged: Judged) -> None:
    bad = Finding(check="policy", code="POLICY_ROLLBACK", message="", severity="error")
    judged.policy["standing"] = (bad,)


def _says(**predicate: object) -> Callable[[Judged], None]:
    return lambda judged: judged.predicate.update(predicate)


def _stated(**fields: Any) -> Callable[[Judged], None]:
    return lambda judged: judged.stated.update(fields)


def _relies(**changes: Any) -> Callable[[Judged], None]:
    return lambda judged: judged.rule.update(vsa=replace(RELIES, **changes))


def _ruled(**changes: Any) -> Callable[[Judged], None]:
    return lambda judged: judged.rule.update(changes)


def _by_policy(**changes: Any) -> Callable[[Judged], None]:
    return lambda judged: judged.policy.update(changes)


CHANGES: dict[str, tuple[Callable[[Judged], None], str]] = {
    "good": (_stated(), ""),
    "exact name": (_ruled(signed_identity=SignedIdentity.MATCH_EXACT), ""),
    "listed policy": (_relies(policy_digests=(str(Digest.of(b"policy")),)), ""),
    "stranger": (lambda judged: setattr(judged, "signer", MemorySigner()), "UNTRUSTED_KEY"),
    "denied key": (_deny_key, "REVOKED"),
    "denied digest": (_deny_digest, "REVOKED"),
    "key out of time": (_late_key, "KEY_NOT_VALID"),
    "other verifier": (_stated(verifier="urn:other"), "VERIFIER_NOT_ALLOWED"),
    "failed": (_says(verificationResult="FAILED"), "VERIFICATION_FAILED"),
    "other policy": (_relies(policy_digests=(str(Digest.of(b"o")),)), "WRONG_POLICY"),
    "no level": (_relies(levels=("SLSA_BUILD_LEVEL_2",)), "LEVEL_MISSING"),
    "old": (_stated(time=NOW - timedelta(hours=25)), "STALE_ATTESTATION"),
    "of tomorrow": (_stated(time=NOW + timedelta(hours=1)), "CLOCK"),
    "expired policy": (_by_policy(expires=NOW - timedelta(days=1)), "POLICY_EXPIRED"),
    "not yet issued": (_by_policy(issued=NOW + timedelta(days=1)), "CLOCK"),
    "no rule": (_ruled(glob="r.site/else/**"), "NO_POLICY"),
    "two rules": (_tie, "AMBIGUOUS_POLICY"),
    "refused policy": (_standing, "POLICY_ROLLBACK"),
}


@pytest.mark.parametrize(("change", "code"), CHANGES.values(), ids=CHANGES)
def test_receipt_and_image_get_the_same_code(change: Callable[[Judged], None], code: str) -> None:
    """And the same reason; what is to be done about it differs."""
    judged = Judged()
    change(judged)

    offline, online = judged.both()

    refusals = [
        [(each.code, each.message) for each in verdict.findings if each.severity == "error"]
        for verdict in (offline, online)
    ]
    assert offline.allowed is online.allowed is (not code)
    assert refusals[0] == refusals[1]
    assert [found for found, _ in refusals[0]] == ([code] if code else [])

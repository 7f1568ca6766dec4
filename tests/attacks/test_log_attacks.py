"""Attacks on log entries and timestamps beside a key's signature, in a real registry."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.oci.types import IN_TOTO
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.signatures.authority import Authority, Need
from imagekit.signatures.bundle import key_bundle_bytes
from imagekit.signatures.dsse import pae
from imagekit.signatures.intoto import COSIGN_SIGN, Statement, StatementSubject, statement_bytes
from imagekit.signatures.logentry import Signed
from imagekit.signatures.simplesigning import LOG_ANNOTATION, TIMESTAMP_ANNOTATION
from tests.support.attacks_kit import RealStage, errors
from tests.support.signed import World
from tests.support.witnesses import (
    START,
    THEN,
    MemoryAuthority,
    MemoryLog,
    b64,
    dsse,
    hashedrekord,
    trust_root,
)

pytestmark = pytest.mark.real

OTHER = Signed(signature=b"another", message=b"another", payload=b"another")


@dataclass
class Services:
    """A log and a timestamp authority, and what the attacker makes of them."""

    log: MemoryLog = field(default_factory=MemoryLog)
    authority: MemoryAuthority = field(default_factory=MemoryAuthority)

    def policy(self, world: World, **needs: Need) -> OpenedPolicy:
        """Return a policy that wants both of the world's key."""
        root = trust_root([self.log.trusted()], [self.authority.trusted()])
        one = Authority(
            name="release",
            key=world.signer.public_key,
            trust_root=root,
            tlog=needs.get("tlog", Need.REQUIRED),
            timestamp=needs.get("timestamp", Need.REQUIRED),
        )
        return world.policy(authorities=(one,))

    def sign(
        self,
        world: World,
        form: str,
        *,
        logged: Signed | None = None,
        by: MemoryLog | None = None,
        stamp: bytes | None = None,
    ) -> None:
        """Sign the image; what is given takes the place of what is right."""

        def proofs(signed: Signed) -> tuple[Signed, MemoryLog, bytes]:
            right = self.authority.stamp(signed.signature)
            return logged or signed, by or self.log, right if stamp is None else stamp

        if form == "bundle":
            _bundle(world, proofs)
        else:
            _legacy(world, proofs)


def _bundle(world: World, proofs: Any) -> None:
    subject = StatementSubject(digest=world.image.digest, name=world.reference.identity)
    payload = statement_bytes(
        Statement(subjects=(subject,), predicate_type=COSIGN_SIGN, predicate={})
    )
    message = pae(IN_TOTO, payload)
    signed = Signed(signature=world.signer.sign(message), message=message, payload=payload)
    logged, log, stamp = proofs(signed)
    key = world.signer.public_key
    bundle = json.loads(key_bundle_bytes(payload, signed.signature, key))
    material = bundle["verificationMaterial"]
    material["tlogEntries"] = [log.entry(dsse(logged, key))]
    if stamp:
        data = {"rfc3161Timestamps": [{"signedTimestamp": b64(stamp)}]}
        material["timestampVerificationData"] = data
    world.attach_raw(json.dumps(bundle).encode())


def _legacy(world: World, proofs: Any) -> None:
    def beside(payload: bytes, signature: bytes) -> Mapping[str, str]:
        logged, log, stamp = proofs(Signed(signature=signature, message=payload))
        found = {LOG_ANNOTATION: log.promise(hashedrekord(logged, world.signer.public_key))}
        if stamp:
            found[TIMESTAMP_ANNOTATION] = json.dumps({"SignedRFC3161Timestamp": b64(stamp)})
        return found

    world.sign_legacy(beside=beside)


@pytest.fixture
def services() -> Services:
    """A log and a timestamp authority that are trusted."""
    return Services()


forms = pytest.mark.parametrize("form", ["bundle", "sig"])


@forms
def test_12_00_what_is_right_is_allowed(real: RealStage, services: Services, form: str) -> None:
    """Without an attack the image is allowed: the refusals below have their own reasons."""
    world = real.unsigned
    services.sign(world, form)

    assert real.judge(world, services.policy(world)).allowed


@forms
@pytest.mark.parametrize("need", [Need.REQUIRED, Need.OPTIONAL])
def test_12_entry_of_another_artifact(
    real: RealStage, services: Services, form: str, need: Need
) -> None:
    """Attack 12: the log's entry of another artifact, pasted in beside a good signature."""
    world = real.unsigned
    services.sign(world, form, logged=OTHER)

    verdict = real.judge(world, services.policy(world, tlog=need))

    assert errors(verdict) == {"signature": "BAD_TLOG_ENTRY"}


@forms
def test_13_entry_of_an_unknown_log(real: RealStage, services: Services, form: str) -> None:
    """Attack 13: anybody can run a log; only those of the trusted root count."""
    world = real.unsigned
    services.sign(world, form, by=MemoryLog())

    assert errors(real.judge(world, services.policy(world))) == {"signature": "UNKNOWN_LOG"}


@forms
def test_13_no_entry(real: RealStage, services: Services, form: str) -> None:
    """Attack 13: the log's entry was taken away."""
    world = real.unsigned
    world.sign() if form == "bundle" else world.sign_legacy()

    assert errors(real.judge(world, services.policy(world))) == {"signature": "NO_TLOG_ENTRY"}


@forms
@pytest.mark.parametrize("need", [Need.REQUIRED, Need.OPTIONAL])
def test_16_timestamp_over_another_signature(
    real: RealStage, services: Services, form: str, need: Need
) -> None:
    """Attack 16: a timestamp of another signature makes this one no older."""
    world = real.unsigned
    stamp = services.authority.stamp(b"another", time=START + timedelta(days=1))
    services.sign(world, form, stamp=stamp)

    verdict = real.judge(world, services.policy(world, timestamp=need))

    assert errors(verdict) == {"signature": "BAD_TIMESTAMP"}


@forms
def test_16_stolen_key_that_has_expired(real: RealStage, services: Services, form: str) -> None:
    """A thief of an old key cannot say that he signed when it was good."""
    world = real.unsigned
    policy = services.policy(world, timestamp=Need.OPTIONAL)
    rule = policy.images[0]
    thief = MemoryAuthority()
    services.sign(world, form, stamp=thief.stamp(b"any", time=START), by=MemoryLog())

    old = replace(rule.authorities[0], not_after=THEN, tlog=Need.OPTIONAL)
    policy = replace(policy, images=(replace(rule, authorities=(old,)),))
    assert errors(real.judge(world, policy)) == {"signature": "KEY_NOT_VALID"}

"""Policies that want, allow or do not look at log entries and timestamps of keys."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.oci.types import IN_TOTO
from imagekit.policy.ruleset import Freshness, OpenedPolicy
from imagekit.signatures.authority import Authority, Need
from imagekit.signatures.bundle import key_bundle_bytes
from imagekit.signatures.dsse import pae
from imagekit.signatures.intoto import COSIGN_SIGN, Statement, StatementSubject, statement_bytes
from imagekit.signatures.logentry import Signed
from imagekit.signatures.results import Refusal, ServiceResult
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.signatures.simplesigning import LOG_ANNOTATION, TIMESTAMP_ANNOTATION
from imagekit.verify.verdict import Verdict
from tests.support import witnesses
from tests.support.fakes import FixedClock, FixedWitness
from tests.support.signed import NOW, World, finding
from tests.support.witnesses import START, THEN, MemoryAuthority, MemoryLog, b64, trust_root

ROOT = trust_root()
GOOD = ServiceResult(there=True, times=(THEN,))
BAD = ServiceResult(fault=Refusal(code="BAD_TLOG_ENTRY", message="it does not hold"))
NONE = ServiceResult()
FOREIGN = ServiceResult(foreign=True)


@pytest.fixture(params=["bundle", "legacy"])
def world(request: pytest.FixtureRequest) -> World:
    """An image that a key signed, in either form."""
    world = World()
    world.sign() if request.param == "bundle" else world.sign_legacy()
    return world


def _policy(world: World, /, *, root: Any = ROOT, **authority: Any) -> OpenedPolicy:
    key = world.signer.public_key
    one = Authority(name="release", key=key, trust_root=root)
    return world.policy(authorities=(replace(one, **authority),))


def _code(world: World, policy: OpenedPolicy, verifier: object, *, now: datetime = NOW) -> str:
    verdict = world.judge(policy, certificates=verifier, now=now)
    found = finding(verdict, "signature")
    assert verdict.allowed == (found.severity == "ok")
    return found.code


@pytest.mark.parametrize(
    ("said", "need", "code"),
    [
        (GOOD, Need.REQUIRED, "OK"),
        (GOOD, Need.OPTIONAL, "OK"),
        (NONE, Need.REQUIRED, "NO_TLOG_ENTRY"),
        (NONE, Need.OPTIONAL, "OK"),
        (FOREIGN, Need.REQUIRED, "UNKNOWN_LOG"),
        (FOREIGN, Need.OPTIONAL, "OK"),
        (BAD, Need.REQUIRED, "BAD_TLOG_ENTRY"),
        (BAD, Need.OPTIONAL, "BAD_TLOG_ENTRY"),
        (BAD, Need.OFF, "OK"),
    ],
)
def test_log(world: World, said: ServiceResult, need: Need, code: str) -> None:
    """Required: it is there and holds. Optional: it holds where it is there. Off: neither."""
    assert _code(world, _policy(world, tlog=need), FixedWitness(log=said)) == code


@pytest.mark.parametrize(
    ("said", "need", "code"),
    [
        (GOOD, Need.REQUIRED, "OK"),
        (GOOD, Need.OPTIONAL, "OK"),
        (NONE, Need.REQUIRED, "NO_TRUSTED_TIME"),
        (NONE, Need.OPTIONAL, "OK"),
        (FOREIGN, Need.REQUIRED, "NO_TRUSTED_TIME"),
        (FOREIGN, Need.OPTIONAL, "OK"),
        (BAD, Need.REQUIRED, "BAD_TLOG_ENTRY"),
        (BAD, Need.OPTIONAL, "BAD_TLOG_ENTRY"),
        (BAD, Need.OFF, "OK"),
    ],
)
def test_timestamp(world: World, said: ServiceResult, need: Need, code: str) -> None:
    """The same holds of timestamps."""
    assert _code(world, _policy(world, timestamp=need), FixedWitness(timestamps=said)) == code


def test_one_does_not_stand_for_the_other(world: World) -> None:
    """A log is no timestamp authority, nor the other way round."""
    log, stamp = _policy(world, tlog=Need.REQUIRED), _policy(world, timestamp=Need.REQUIRED)

    assert _code(world, log, FixedWitness(timestamps=GOOD)) == "NO_TLOG_ENTRY"
    assert _code(world, stamp, FixedWitness(log=GOOD)) == "NO_TRUSTED_TIME"


def test_looks_only_where_there_is_something_to_find(world: World) -> None:
    """Without a trusted root, or with both off, nobody looks."""
    verifier = FixedWitness()

    _code(world, _policy(world, root=None), verifier)
    _code(world, _policy(world, tlog=Need.OFF, timestamp=Need.OFF), verifier)
    assert verifier.looks == 0
    _code(world, _policy(world, tlog=Need.OFF), verifier)
    assert verifier.looks == 1


def test_nobody_who_could_look(world: World) -> None:
    """Without a verifier of logs, what is required is not there."""
    assert _code(world, _policy(world, tlog=Need.REQUIRED), None) == "NO_TLOG_ENTRY"


@pytest.mark.parametrize("by", ["log", "timestamp"])
def test_key_that_has_expired_since(world: World, by: str) -> None:
    """A trusted time shows that the key was good then; one that is not looked at does not."""
    limit = {"not_after": THEN + timedelta(days=1)}
    verifier = FixedWitness(log=GOOD) if by == "log" else FixedWitness(timestamps=GOOD)
    off: Mapping[str, Any] = {"tlog" if by == "log" else "timestamp": Need.OFF}

    assert _code(world, _policy(world, **limit), verifier) == "OK"
    assert _code(world, _policy(world, **limit, **off), verifier) == "KEY_NOT_VALID"
    assert _code(world, _policy(world, **limit), FixedWitness()) == "KEY_NOT_VALID"


def test_earliest_time_counts(world: World) -> None:
    """A signature that was logged again later is not younger."""
    times = (THEN, THEN + timedelta(days=9))
    verifier = FixedWitness(log=ServiceResult(there=True, times=times))

    assert _code(world, _policy(world, not_after=times[1]), verifier) == "OK"
    assert _code(world, _policy(world, not_after=THEN), verifier) == "KEY_NOT_VALID"
    before = _policy(world, not_before=times[1])
    assert _code(world, before, verifier) == "KEY_NOT_VALID"


def test_time_to_come(world: World) -> None:
    """A time after this machine's shows that one of both clocks is wrong."""
    now = THEN - timedelta(minutes=6)

    assert _code(world, _policy(world), FixedWitness(log=GOOD), now=now) == "CLOCK"


def test_age(world: World) -> None:
    """A trusted time tells how old a signature is, where the policy lets it."""

    def code(days: int, **authority: Any) -> str:
        policy = _policy(world, **authority)
        freshness = Freshness(max_age=timedelta(days=days))
        policy = replace(policy, images=(replace(policy.images[0], freshness=freshness),))
        verdict = world.judge(policy, certificates=FixedWitness(timestamps=GOOD))
        return finding(verdict, "freshness").code

    age = (NOW - THEN).days
    assert code(age + 1) == "OK"
    assert code(age - 1) == "STALE_SIGNATURE"
    assert code(age + 1, timestamp=Need.OFF) == "NO_TRUSTED_TIME"


def test_each_authority_by_its_own_root(world: World) -> None:
    """What one root's log testifies does not count for an authority with another root."""
    log = MemoryLog()
    mine = trust_root([log.trusted()])
    first = Authority(
        name="first", key=world.signer.public_key, trust_root=ROOT, tlog=Need.REQUIRED
    )
    second = replace(first, name="second", trust_root=mine)
    _sign(world, log)
    verifier = SigstoreVerifier(FixedClock(NOW))

    assert _code(world, world.policy(authorities=(first, second)), verifier) == "OK"
    assert _code(world, world.policy(authorities=(first,)), verifier) == "UNKNOWN_LOG"


def _sign(world: World, log: MemoryLog, *, stamp: bytes | None = None, body: Any = None) -> None:
    """Attach a bundle that a log has, in place of what there is."""
    world.registry.tagged.pop((world.repository.name, f"sha256-{world.image.digest.hex}.sig"), 0)
    for place, raw in list(world.registry.manifests.items()):
        if b'"subject"' in raw.raw:
            del world.registry.manifests[place]
    subject = StatementSubject(digest=world.image.digest, name=world.reference.identity)
    statement = statement_bytes(
        Statement(subjects=(subject,), predicate_type=COSIGN_SIGN, predicate={})
    )
    message = pae(IN_TOTO, statement)
    signed = Signed(signature=world.signer.sign(message), message=message, payload=statement)
    key = world.signer.public_key
    bundle = json.loads(key_bundle_bytes(statement, signed.signature, key))
    material = bundle["verificationMaterial"]
    material["tlogEntries"] = [log.entry(body or witnesses.dsse(signed, key))]
    if stamp is not None:
        material["timestampVerificationData"] = {
            "rfc3161Timestamps": [{"signedTimestamp": b64(stamp)}]
        }
    world.attach_raw(json.dumps(bundle).encode())


class TestWhole:
    """The real verifier, from the registry to the verdict."""

    @pytest.fixture
    def log(self) -> MemoryLog:
        """A log."""
        return MemoryLog()

    @staticmethod
    def _judge(world: World, policy: OpenedPolicy) -> Verdict:
        return world.judge(policy, certificates=SigstoreVerifier(FixedClock(NOW)))

    def test_bundle(self, log: MemoryLog) -> None:
        """A logged bundle is allowed; an entry of another image, pasted in, is not."""
        world = World()
        policy = _policy(world, root=trust_root([log.trusted()]), tlog=Need.REQUIRED)
        world.sign()
        assert finding(self._judge(world, policy), "signature").code == "NO_TLOG_ENTRY"
        _sign(world, log)
        assert self._judge(world, policy).allowed
        other = Signed(signature=b"s", message=b"m", payload=b"p")
        _sign(world, log, body=witnesses.dsse(other, world.signer.public_key))
        assert finding(self._judge(world, policy), "signature").code == "BAD_TLOG_ENTRY"

    def test_timestamp_of_another_signature(self, log: MemoryLog) -> None:
        """It is refused where timestamps are looked at, and only there."""
        world, authority = World(), MemoryAuthority()
        root = trust_root([log.trusted()], [authority.trusted()])
        _sign(world, log, stamp=authority.stamp(b"another signature"))

        refused = self._judge(world, _policy(world, root=root))
        assert finding(refused, "signature").code == "BAD_TIMESTAMP"
        assert self._judge(world, _policy(world, root=root, timestamp=Need.OFF)).allowed

    def test_legacy(self, log: MemoryLog) -> None:
        """The annotations of a .sig layer are judged alike."""
        world, authority = World(), MemoryAuthority()
        root = trust_root([log.trusted()], [authority.trusted()])
        policy = _policy(world, root=root, tlog=Need.REQUIRED, timestamp=Need.REQUIRED)
        key = world.signer.public_key

        def beside(payload: bytes, signature: bytes) -> Mapping[str, str]:
            body = witnesses.hashedrekord(Signed(signature=signature, message=payload), key)
            stamp = {"SignedRFC3161Timestamp": b64(authority.stamp(signature))}
            return {LOG_ANNOTATION: log.promise(body), TIMESTAMP_ANNOTATION: json.dumps(stamp)}

        world.sign_legacy(beside=lambda payload, _: beside(payload, b"another signature"))
        assert finding(self._judge(world, policy), "signature").code == "BAD_TLOG_ENTRY"
        world.sign_legacy(beside=beside)
        assert self._judge(world, policy).allowed

    def test_root_that_cannot_be_used(self, log: MemoryLog) -> None:
        """Where logs are to be looked at and cannot be, nothing is allowed."""
        world = World()
        _sign(world, log)
        root = replace(ROOT, raw=b'{"tlogs": 1}')

        verdict = self._judge(world, _policy(world, root=root))

        assert finding(verdict, "signature").code == "BAD_TRUST_ROOT"

    def test_log_in_its_time(self, log: MemoryLog) -> None:
        """A log that had ended when it signed is none."""
        world = World()
        _sign(world, log)
        root = trust_root([log.trusted(START, THEN - timedelta(seconds=1))])

        verdict = self._judge(world, _policy(world, root=root, tlog=Need.REQUIRED))

        assert finding(verdict, "signature").code == "BAD_TLOG_ENTRY"

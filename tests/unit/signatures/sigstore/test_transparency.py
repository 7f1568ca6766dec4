"""Witnesses of signatures by keys: for every check a test that breaks only this one thing."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.oci.types import IN_TOTO
from imagekit.signatures.authority import TrustRoot
from imagekit.signatures.bundle import KeyBundle, key_bundle_bytes, parse_bundle
from imagekit.signatures.dsse import pae
from imagekit.signatures.logentry import Signed
from imagekit.signatures.results import ServiceResult, TransparencyResult
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.signatures.simplesigning import (
    LOG_ANNOTATION,
    SIGNATURE_ANNOTATION,
    TIMESTAMP_ANNOTATION,
)
from tests.support import witnesses
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.witnesses import START, THEN, MemoryAuthority, MemoryLog, b64, trust_root

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PAYLOAD = b'{"statement": 1}'
Body = Callable[[Signed, Any], dict[str, Any]]


@dataclass
class Scene:
    """A signed envelope, a log and an authority, and the root that knows both."""

    signer: MemorySigner = field(default_factory=MemorySigner)
    log: MemoryLog = field(default_factory=MemoryLog)
    authority: MemoryAuthority = field(default_factory=MemoryAuthority)

    def __post_init__(self) -> None:
        """Sign the envelope."""
        self.signed = self.sign(PAYLOAD)
        self.root = trust_root([self.log.trusted()], [self.authority.trusted()])

    def sign(self, payload: bytes, *, by: MemorySigner | None = None) -> Signed:
        """Sign a payload as an envelope."""
        message = pae(IN_TOTO, payload)
        return Signed(signature=(by or self.signer).sign(message), message=message, payload=payload)

    def body(self, kind: Body = witnesses.dsse) -> dict[str, Any]:
        """Return what the log records."""
        return kind(self.signed, self.signer.public_key)

    def entry(self, **changes: Any) -> dict[str, Any]:
        """Return the log's entry; keywords replace its parts."""
        return self.log.entry(self.body()) | changes

    def stamp(self, **choices: Any) -> bytes:
        """Return the authority's timestamp."""
        return self.authority.stamp(self.signed.signature, **choices)

    def judge(
        self,
        *entries: Mapping[str, Any],
        timestamps: tuple[bytes, ...] = (),
        root: TrustRoot | None = None,
        now: datetime = NOW,
    ) -> TransparencyResult:
        """Judge a bundle with these proofs."""
        bundle = json.loads(
            key_bundle_bytes(PAYLOAD, self.signed.signature, self.signer.public_key)
        )
        material = bundle["verificationMaterial"]
        material["tlogEntries"] = list(entries)
        material["timestampVerificationData"] = {
            "rfc3161Timestamps": [{"signedTimestamp": b64(each)} for each in timestamps]
        }
        parsed = parse_bundle(json.dumps(bundle).encode())
        assert isinstance(parsed, KeyBundle)
        verifier = SigstoreVerifier(FixedClock(now))
        return verifier.key_bundle(parsed, self.signer.public_key, root=root or self.root)


@pytest.fixture
def scene() -> Scene:
    """A scene with Rekor v1."""
    return Scene()


@pytest.fixture
def scene_v2() -> Scene:
    """A scene with Rekor v2."""
    return Scene(log=MemoryLog(host="log2026.rekor.test", version=2))


def _fault(told: ServiceResult, code: str = "BAD_TLOG_ENTRY") -> str:
    """Return why something does not hold; then it testifies of nothing."""
    assert told.fault is not None, told
    assert told.fault.code == code
    assert not told.there
    assert not told.times
    return told.fault.message


@pytest.mark.parametrize("kind", [witnesses.dsse, witnesses.intoto])
def test_entry_of_rekor_v1(scene: Scene, kind: Body) -> None:
    """Each kind that records an envelope is taken, and the promise tells the time."""
    transparency = scene.judge(scene.log.entry(scene.body(kind)))

    assert transparency.root == scene.root.digest
    assert transparency.log == ServiceResult(there=True, times=(THEN,))
    assert transparency.timestamps == ServiceResult()


def test_entry_of_rekor_v2(scene_v2: Scene) -> None:
    """It has no time of its own; the timestamp has."""
    entry = scene_v2.log.entry(scene_v2.body(witnesses.hashedrekord_v2))

    transparency = scene_v2.judge(entry, timestamps=(scene_v2.stamp(),))

    assert transparency.log == ServiceResult(there=True)
    assert transparency.timestamps == ServiceResult(there=True, times=(THEN,))


def test_first_entry_of_a_log(scene: Scene) -> None:
    """Protobuf's JSON leaves out an index of zero and an empty proof."""
    body = scene.body()
    raw = witnesses.canonical(body)
    leaf = witnesses.tree_hash([raw])
    entry = scene.entry()
    del entry["logIndex"], entry["inclusionPromise"], entry["integratedTime"]
    entry["inclusionProof"] = {
        "rootHash": b64(leaf),
        "treeSize": "1",
        "checkpoint": {"envelope": scene.log.checkpoint(1, leaf)},
    }

    assert scene.judge(entry).log == ServiceResult(there=True)


def test_nothing_came_along(scene: Scene) -> None:
    """Nothing testifies of nothing, and it is no fault."""
    assert scene.judge() == TransparencyResult(root=scene.root.digest)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("part", ["payload", "key", "signature"])
def test_entry_of_something_else(version: int, part: str) -> None:
    """An entry of another artifact, key or signature that is pasted in counts for nothing."""
    scene = Scene(log=MemoryLog(version=version))
    kind = witnesses.dsse if version == 1 else witnesses.hashedrekord_v2
    signed, key = scene.signed, scene.signer.public_key
    if part == "payload":
        other = scene.sign(b"{}")
        signed = replace(signed, message=other.message, payload=other.payload)
    elif part == "signature":
        signed = scene.sign(PAYLOAD)  # ECDSA signs differently each time
    else:
        key = MemorySigner().public_key

    log = scene.judge(scene.log.entry(kind(signed, key)), timestamps=(scene.stamp(),)).log

    assert "another signature, key or message" in _fault(log)


def test_entry_by_certificate(scene_v2: Scene) -> None:
    """A certificate of the same key is not the key."""
    body = scene_v2.body(witnesses.hashedrekord_v2)
    verifier = body["spec"]["hashedRekordV002"]["signature"]["verifier"]
    verifier["x509Certificate"] = verifier.pop("publicKey")

    assert "another signature, key" in _fault(scene_v2.judge(scene_v2.log.entry(body)).log)


def test_entry_of_bare_bytes(scene: Scene) -> None:
    """Rekor v1 records envelopes as such; of bare bytes is another kind."""
    _fault(scene.judge(scene.log.entry(scene.body(witnesses.hashedrekord))).log)


def test_entry_that_says_another_kind(scene: Scene) -> None:
    """The kind beside the body and the one in it are the same."""
    entry = scene.entry(kindVersion={"kind": "intoto", "version": "0.0.2"})

    assert "says to be" in _fault(scene.judge(entry).log)


def test_entry_of_an_unknown_kind(scene: Scene) -> None:
    """What cannot be read of a known log is a fault, and no pass."""
    body = scene.body() | {"kind": "rpm"}

    assert "'rpm 0.0.1'" in _fault(scene.judge(scene.log.entry(body)).log)


def test_promise_by_another_key(scene: Scene) -> None:
    """The log itself promises."""
    other = MemoryLog().entry(scene.body())["inclusionPromise"]

    assert "inclusion promise" in _fault(scene.judge(scene.entry(inclusionPromise=other)).log)


def test_promise_of_another_time(scene: Scene) -> None:
    """The time is what the log has signed."""
    _fault(scene.judge(scene.entry(integratedTime=str(int(THEN.timestamp()) - 9))).log)


def test_time_without_promise(scene: Scene) -> None:
    """A time that nobody has signed is none; the entry is there all the same."""
    entry = scene.entry()
    del entry["inclusionPromise"]

    assert scene.judge(entry).log == ServiceResult(there=True)


def _proof(scene: Scene, **changes: Any) -> ServiceResult:
    entry = scene.entry()
    return scene.judge(entry | {"inclusionProof": entry["inclusionProof"] | changes}).log


def test_inclusion_proof(scene: Scene) -> None:
    """Another path, place or size of the log does not lead to the checkpoint."""
    hashes = scene.entry()["inclusionProof"]["hashes"]

    _fault(_proof(scene, hashes=[*hashes[:-1], b64(b"\0" * 32)]))
    _fault(_proof(scene, hashes=hashes[:-1]))
    _fault(_proof(scene, logIndex="4"))


def test_inclusion_proof_for_another_size(scene: Scene) -> None:
    """The size is the checkpoint's, also where the path would be the same."""
    leaves = [b"0", witnesses.canonical(scene.body())]
    root = witnesses.tree_hash(leaves)
    proof = {
        "logIndex": "1",
        "rootHash": b64(root),
        "treeSize": "2",
        "hashes": [b64(each) for each in witnesses.audit_path(leaves, 1)],
    }
    right = proof | {"checkpoint": {"envelope": scene.log.checkpoint(2, root)}}
    wrong = proof | {"checkpoint": {"envelope": scene.log.checkpoint(3, root)}}

    assert scene.judge(scene.entry(inclusionProof=right)).log.there
    assert "another size" in _fault(scene.judge(scene.entry(inclusionProof=wrong)).log)


def test_checkpoint_of_another_tree(scene: Scene) -> None:
    """The checkpoint is of the root that the proof leads to."""
    checkpoint = {"envelope": scene.log.checkpoint(7, b"\0" * 32)}

    assert "root hash" in _fault(_proof(scene, checkpoint=checkpoint))


def test_checkpoint_by_another_key(scene: Scene) -> None:
    """The log's own key signs it."""
    entry = scene.entry()
    root = base64.b64decode(entry["inclusionProof"]["rootHash"])
    other = MemoryLog()
    other.log_id = scene.log.log_id

    assert "checkpoint" in _fault(_proof(scene, checkpoint={"envelope": other.checkpoint(7, root)}))


@pytest.mark.parametrize("part", ["inclusionProof", "checkpoint"])
def test_no_proof(scene: Scene, part: str) -> None:
    """A promise alone is not enough in a bundle."""
    entry = scene.entry()
    del (entry if part in entry else entry["inclusionProof"])[part]

    _fault(scene.judge(entry).log)


def test_log_in_its_time(scene: Scene) -> None:
    """The trusted root says from when to when a log counts; both ends do."""

    def told(start: datetime, end: datetime | None = None) -> ServiceResult:
        root = trust_root([scene.log.trusted(start, end)])
        return scene.judge(scene.entry(), root=root).log

    second = timedelta(seconds=1)
    assert told(THEN, THEN).there
    assert "not valid at" in _fault(told(THEN + second))
    assert "not valid at" in _fault(told(START, THEN - second))
    endless = scene.log.trusted()
    del endless["publicKey"]["validFor"]
    _fault(scene.judge(scene.entry(), root=trust_root([endless])).log)


def test_log_without_a_time_of_its_own(scene_v2: Scene) -> None:
    """It was valid at the timestamp; without one, it must be valid now."""
    root = trust_root([scene_v2.log.trusted(START, THEN)], [scene_v2.authority.trusted()])
    entry = scene_v2.log.entry(scene_v2.body(witnesses.hashedrekord_v2))

    assert scene_v2.judge(entry, timestamps=(scene_v2.stamp(),), root=root).log.there
    late = scene_v2.stamp(time=THEN + timedelta(seconds=1))
    _fault(scene_v2.judge(entry, timestamps=(late,), root=root).log)
    _fault(scene_v2.judge(entry, root=root).log)
    assert scene_v2.judge(entry, root=root, now=THEN).log.there


def test_log_that_is_not_known(scene: Scene) -> None:
    """Its entry proves nothing and spoils nothing, however broken it is."""
    root = trust_root([MemoryLog().trusted()])

    assert scene.judge(scene.entry(), root=root).log == ServiceResult(foreign=True)
    broken = scene.entry(inclusionProof=None)
    assert scene.judge(broken, root=root).log == ServiceResult(foreign=True)


def test_name_of_one_log_and_key_of_another(scene: Scene) -> None:
    """A log's key counts under its own name only: an old one does not speak for the new one."""
    new = MemoryLog(host="new.rekor.test", version=2)
    new.log_id = b"a name that is no hash of its key"[:32]
    root = trust_root([scene.log.trusted(START, START), new.trusted()])
    scene.log.log_id = new.log_id

    _fault(scene.judge(scene.entry(), root=root).log)


def test_one_log_counts_once(scene: Scene) -> None:
    """Two entries of one log are no two logs, and nobody writes them; two logs are fine."""
    other = MemoryLog(host="other.test")
    root = trust_root([scene.log.trusted(), other.trusted()])

    assert "two entries" in _fault(scene.judge(scene.entry(), scene.entry(), root=root).log)
    later = other.entry(scene.body(), time=THEN + timedelta(days=1))
    assert scene.judge(later, scene.entry(), root=root).log == ServiceResult(
        there=True, times=(THEN, THEN + timedelta(days=1))
    )


def test_one_bad_entry_beside_a_good_one(scene: Scene) -> None:
    """What is there under a known log must hold, also beside one that does."""
    other = MemoryLog(host="other.test")
    root = trust_root([scene.log.trusted(), other.trusted()])
    bad = other.entry(witnesses.dsse(scene.sign(b"{}"), scene.signer.public_key))

    _fault(scene.judge(scene.entry(), bad, root=root).log)


@pytest.mark.parametrize("entries", [["x"], [{}], [{"logId": {"keyId": 1}}], [{}] * 33])
def test_malformed_entries(scene: Scene, entries: list[Any]) -> None:
    """What is no entry is a fault and no error."""
    _fault(scene.judge(*entries).log)


class TestTimestamps:
    """RFC 3161."""

    def test_counts(self, scene: Scene) -> None:
        """A timestamp of the signature tells its time."""
        assert scene.judge(timestamps=(scene.stamp(),)).timestamps == ServiceResult(
            there=True, times=(THEN,)
        )

    def test_of_another_signature(self, scene: Scene) -> None:
        """A token over another signature is refused."""
        stamp = scene.authority.stamp(b"another signature")

        told = scene.judge(timestamps=(stamp,)).timestamps

        assert "not of this signature" in _fault(told, "BAD_TIMESTAMP")

    def test_by_another_key(self, scene: Scene) -> None:
        """Only the authority's key signs in its name."""
        liar = copy(scene.authority)
        liar.leaf, liar.key = scene.authority.leaf, MemoryAuthority().key

        told = scene.judge(timestamps=(liar.stamp(scene.signed.signature),)).timestamps

        _fault(told, "BAD_TIMESTAMP")

    def test_by_an_unknown_authority(self, scene: Scene) -> None:
        """It proves nothing and spoils nothing."""
        stamp = MemoryAuthority().stamp(scene.signed.signature)

        assert scene.judge(timestamps=(stamp,)).timestamps == ServiceResult(foreign=True)
        assert scene.judge(timestamps=(stamp, scene.stamp())).timestamps == ServiceResult(
            there=True, times=(THEN,), foreign=True
        )

    def test_authority_in_its_time(self, scene: Scene) -> None:
        """The trusted root says from when to when an authority counts."""
        second = timedelta(seconds=1)
        for start, end in ((THEN + second, None), (START, THEN - second)):
            root = trust_root([], [scene.authority.trusted(start, end)])
            told = scene.judge(timestamps=(scene.stamp(),), root=root).timestamps
            assert "not valid at" in _fault(told, "BAD_TIMESTAMP")
        root = trust_root([], [scene.authority.trusted(THEN, THEN)])
        assert scene.judge(timestamps=(scene.stamp(),), root=root).timestamps.there

    def test_certificate_in_its_time(self, scene: Scene) -> None:
        """An authority whose certificate had expired stamps nothing."""
        scene.authority = MemoryAuthority(not_after=THEN - timedelta(seconds=1))
        root = trust_root([], [scene.authority.trusted()])

        _fault(scene.judge(timestamps=(scene.stamp(),), root=root).timestamps, "BAD_TIMESTAMP")

    def test_twice(self, scene: Scene) -> None:
        """One timestamp does not count twice."""
        stamp = scene.stamp()

        assert "twice" in _fault(scene.judge(timestamps=(stamp, stamp)).timestamps, "BAD_TIMESTAMP")

    def test_not_one(self, scene: Scene) -> None:
        """Bytes that are no timestamp are a fault and no error."""
        _fault(scene.judge(timestamps=(b"junk",)).timestamps, "BAD_TIMESTAMP")
        many = tuple(bytes([number]) for number in range(33))
        _fault(scene.judge(timestamps=many).timestamps, "BAD_TIMESTAMP")

    def test_bad_one_spoils_no_log(self, scene: Scene) -> None:
        """Log and timestamps are judged for themselves: a policy may look at one of them only."""
        transparency = scene.judge(scene.entry(), timestamps=(b"junk",))

        assert transparency.log.there
        _fault(transparency.timestamps, "BAD_TIMESTAMP")


class TestLegacy:
    """Beside a simple signing payload."""

    @staticmethod
    def _judge(scene: Scene, **annotations: str) -> TransparencyResult:
        names = {"log": LOG_ANNOTATION, "stamp": TIMESTAMP_ANNOTATION}
        found = {names[name]: text for name, text in annotations.items()}
        return SigstoreVerifier(FixedClock(NOW)).key_legacy(
            PAYLOAD,
            found | {SIGNATURE_ANNOTATION: b64(scene.signed.signature)},
            scene.signer.public_key,
            root=scene.root,
        )

    @pytest.fixture
    def legacy(self, scene: Scene) -> Scene:
        """A scene in which the payload itself is signed."""
        scene.signed = Signed(signature=scene.signer.sign(PAYLOAD), message=PAYLOAD)
        return scene

    def test_promise(self, legacy: Scene) -> None:
        """The log's promise is enough in this form, which has no proof."""
        text = legacy.log.promise(legacy.body(witnesses.hashedrekord))

        assert self._judge(legacy, log=text).log == ServiceResult(there=True, times=(THEN,))
        assert self._judge(legacy).log == ServiceResult()

    def test_promise_of_something_else(self, legacy: Scene) -> None:
        """The entry is of this signature, key and payload."""
        key = legacy.signer.public_key
        other = replace(legacy.signed, message=b"another payload")
        again = replace(legacy.signed, signature=legacy.signer.sign(PAYLOAD))
        for signed, by in (
            (other, key),
            (again, key),
            (legacy.signed, MemorySigner().public_key),
        ):
            text = legacy.log.promise(witnesses.hashedrekord(signed, by))
            assert "another signature, key" in _fault(self._judge(legacy, log=text).log)

    def test_promise_by_another_key(self, legacy: Scene) -> None:
        """The log itself promises."""
        other = MemoryLog()
        other.log_id = legacy.log.log_id
        text = other.promise(legacy.body(witnesses.hashedrekord))

        assert "did not sign" in _fault(self._judge(legacy, log=text).log)

    def test_promise_by_an_unknown_log(self, legacy: Scene) -> None:
        """It proves nothing and spoils nothing."""
        text = MemoryLog().promise(legacy.body(witnesses.hashedrekord))

        assert self._judge(legacy, log=text).log == ServiceResult(foreign=True)

    def test_promise_out_of_the_logs_time(self, legacy: Scene) -> None:
        """The trusted root says from when to when a log counts."""
        early = START - timedelta(seconds=1)
        text = legacy.log.promise(legacy.body(witnesses.hashedrekord), time=early)

        assert "not valid at" in _fault(self._judge(legacy, log=text).log)

    @pytest.mark.parametrize("text", ["x", "[]", '{"Payload": {}}', "\ud800"])
    def test_malformed(self, legacy: Scene, text: str) -> None:
        """What is neither promise nor timestamp is a fault and no error."""
        _fault(self._judge(legacy, log=text).log)
        _fault(self._judge(legacy, stamp=text).timestamps, "BAD_TIMESTAMP")

    def test_timestamp(self, legacy: Scene) -> None:
        """It is over the signature itself, not over its base64."""

        def told(signature: bytes) -> ServiceResult:
            stamp = legacy.authority.stamp(signature)
            text = json.dumps({"SignedRFC3161Timestamp": b64(stamp)})
            return self._judge(legacy, stamp=text).timestamps

        signature = legacy.signed.signature
        assert told(signature) == ServiceResult(there=True, times=(THEN,))
        _fault(told(b64(signature).encode()), "BAD_TIMESTAMP")


def test_trusted_root_that_is_none(scene: Scene) -> None:
    """Where the root cannot be read, nothing is judged."""
    raw = b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": 1}'

    transparency = scene.judge(
        scene.entry(), root=TrustRoot(name="x", raw=raw, digest=Digest.of(raw))
    )

    assert "trusted root x cannot be used" in _fault(transparency.log, "BAD_TRUST_ROOT")
    assert transparency.timestamps == transparency.log


def test_nothing_is_imported_for_nothing() -> None:
    """A key's signature without log entries costs no import of Sigstore."""
    code = """
import sys
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.signatures.bundle import key_bundle_bytes, parse_bundle
from imagekit.oci.digest import Digest
from imagekit.signatures.publickey import PublicKey
from imagekit.signatures.authority import TrustRoot
key = PublicKey(b"der")
root = TrustRoot(name="x", raw=b"{}", digest=Digest.of(b""))
verifier = SigstoreVerifier()
verifier.key_bundle(parse_bundle(key_bundle_bytes(b"{}", b"s", key)), key, root=root)
verifier.key_legacy(b"", {}, key, root=root)
assert not {"sigstore", "rfc3161_client", "pydantic"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

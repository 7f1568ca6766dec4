"""Signed policies: each check by a policy that fails only this one."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.errors import RollbackStoreError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Reference
from imagekit.oci.types import RawManifest
from imagekit.policy.findings import Finding
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.policy.signers import PolicySigners
from imagekit.signatures.authority import Authority
from imagekit.signatures.intoto import COSIGN_SIGN, StatementSubject, statement_bytes
from imagekit.verify.ports import HighWaterMark
from imagekit.verify.signed import check_signature, check_version, policy_statement, seal
from tests.support.fakes import MemoryRegistry, MemorySigner
from tests.support.signed import NOW, World

_FILES = (("keys/a.pub", Digest.of(b"a")), ("root.json", Digest.of(b"root")))
_POLICY = replace(World().policy(), files=_FILES)
_SIGNER = MemorySigner()


def _signers(*signers: MemorySigner, **changes: Any) -> PolicySigners:
    authorities = tuple(
        Authority(name=f"admin-{number}", key=each.public_key)
        for number, each in enumerate(signers or (_SIGNER,))
    )
    return PolicySigners(authorities=authorities, **changes)


def _bundle(
    policy: OpenedPolicy = _POLICY, signer: MemorySigner = _SIGNER, **changes: Any
) -> bytes:
    return signer.bundle(statement_bytes(replace(policy_statement(policy), **changes)))


def _check(policy: OpenedPolicy = _POLICY, bundle: bytes | None = None, **changes: Any) -> Finding:
    signers = changes.pop("signers", _signers())
    return check_signature(policy, _bundle() if bundle is None else bundle, signers, now=NOW)


def test_good() -> None:
    """The signature of this very policy, and of the files that it names."""
    finding = _check()

    assert (finding.check, finding.code, finding.severity) == ("policy", "OK", "ok")
    assert "signed by admin-0" in finding.message


def test_any_of_several_signers() -> None:
    """A key is changed by naming both for a while."""
    assert _check(signers=_signers(MemorySigner(), _SIGNER)).code == "OK"


def test_without_a_signature() -> None:
    """A verifier that names signers obeys nothing that none of them signed."""
    finding = check_signature(_POLICY, None, _signers(), now=NOW)

    assert (finding.code, finding.severity) == ("POLICY_NOT_SIGNED", "error")


_SUBJECTS = policy_statement(_POLICY).subjects
_PREDICATE = policy_statement(_POLICY).predicate


@pytest.mark.parametrize(
    ("bundle", "why"),
    [
        (b"", "JSON"),
        (b"{}", "mediaType"),
        (_bundle(signer=MemorySigner()), "none of those who may sign policies here: admin-0"),
        (_bundle(signer=MemorySigner()), "it names SHA256:"),
        (_bundle().replace(b'"sig":"', b'"sig":"AAAA'), "none of those"),
        (_bundle(predicate_type=COSIGN_SIGN), "statement of type"),
        (_bundle(replace(_POLICY, digest=Digest.of(b"other"))), "not the one that was signed"),
        (_bundle(subjects=_SUBJECTS[:-1]), "root.json"),
        (
            _bundle(
                subjects=(
                    *_SUBJECTS[:2],
                    StatementSubject(name="root.json", digest=Digest.of(b"x")),
                )
            ),
            "root.json",
        ),
        (
            _bundle(subjects=(*_SUBJECTS[:2], StatementSubject(name="x", digest=_FILES[1][1]))),
            "root.json",
        ),
        (_bundle(predicate={**_PREDICATE, "name": "other"}), "name, version or expiry"),
        (_bundle(predicate={**_PREDICATE, "version": 4}), "name, version or expiry"),
        (_bundle(predicate={**_PREDICATE, "version": True}), "name, version or expiry"),
        (_bundle(predicate={**_PREDICATE, "expires": "2999-01-01T00:00:00Z"}), "expiry"),
        (_bundle(predicate={}), "name, version or expiry"),
    ],
)
def test_one_thing_wrong(bundle: bytes, why: str) -> None:
    """Whatever does not fit, the finding says what, and how to mend it."""
    finding = _check(bundle=bundle)

    assert (finding.code, finding.severity) == ("BAD_POLICY_SIGNATURE", "error")
    assert why in finding.message
    assert finding.hint


def test_predicate_may_say_more() -> None:
    """What a later version adds does not break this one."""
    assert _check(bundle=_bundle(predicate={**_PREDICATE, "more": 1})).code == "OK"


def test_names_that_a_signer_may_give() -> None:
    """A policy for tests, signed by the same key, does not pass for the one of production."""
    assert _check(signers=_signers(policies=("site", "x"))).code == "OK"
    finding = _check(signers=_signers(policies=("production",)))
    assert finding.code == "BAD_POLICY_SIGNATURE"
    assert "may sign production" in finding.message


def test_signer_out_of_time() -> None:
    """A key that is over signs no policies any more."""
    over = replace(_signers().authorities[0], not_after=NOW - timedelta(days=1))
    finding = _check(signers=PolicySigners(authorities=(over,)))

    assert finding.code == "BAD_POLICY_SIGNATURE"
    assert "notAfter" in finding.message


def test_the_policy_s_own_deny_list_has_no_say() -> None:
    """A policy cannot be switched off by what it says of its own signer, nor be switched on."""
    deny = replace(_POLICY.deny, keys=frozenset({_SIGNER.public_key.fingerprint}))
    assert _check(replace(_POLICY, deny=deny)).code == "OK"


class _Memory:
    """A memory in a dictionary; ``broken`` lets it fail."""

    def __init__(self, *, broken: bool = False) -> None:
        self.kept: dict[str, HighWaterMark] = {}
        self._broken = broken

    def highest(self, name: str) -> HighWaterMark | None:
        if self._broken:
            raise RollbackStoreError("no memory")
        return self.kept.get(name)

    def remember(self, name: str, seen: HighWaterMark) -> None:
        known = self.highest(name)
        if known is None or seen.sequence > known.sequence:
            self.kept[name] = seen


def _version(
    memory: _Memory, version: int, *, signed: bool = True, content: bytes = b"p"
) -> list[str]:
    policy = replace(_POLICY, version=version, digest=Digest.of(content))
    return [each.code for each in check_version(policy, memory, slot="@policy:p", signed=signed)]


def test_versions_only_rise() -> None:
    """An older one is refused, also after it was refused once; a newer one is remembered."""
    memory = _Memory()

    assert _version(memory, 3) == []
    assert _version(memory, 3) == []
    assert _version(memory, 2) == ["POLICY_ROLLBACK"]
    assert _version(memory, 4) == []
    assert _version(memory, 3) == ["POLICY_ROLLBACK"]
    assert memory.kept["@policy:p"].sequence == 4


def test_one_version_is_one_policy() -> None:
    """Of a signed policy, two of one version are one too many; one that is not is being written."""
    memory = _Memory()
    assert _version(memory, 3) == []

    assert _version(memory, 3, content=b"other") == ["POLICY_ROLLBACK"]
    assert _version(memory, 3, content=b"other", signed=False) == []
    assert _version(memory, 2, signed=False) == ["POLICY_ROLLBACK"]


def test_seal_covers_the_files() -> None:
    """The same policy with another key file is another policy."""
    other = replace(_POLICY, files=(("keys/a.pub", Digest.of(b"evil")), _FILES[1]))

    assert seal(other) != seal(_POLICY)
    assert seal(replace(_POLICY, files=())) == _POLICY.digest


def test_no_memory() -> None:
    """A verifier that cannot remember says so where it is asked to, and denies nothing."""
    (finding,) = check_version(_POLICY, _Memory(broken=True), slot="x", signed=True)

    assert (finding.code, finding.severity) == ("NOT_REMEMBERED", "warning")
    assert check_version(_POLICY, _Memory(broken=True), slot="x", signed=False) == ()


def test_what_speaks_against_a_policy_stands_in_every_verdict() -> None:
    """An error denies and asks nobody; a warning is told and denies nothing."""
    world = World()
    world.sign()
    bad = replace(world.policy(), standing=(_check(bundle=b""),))
    noted = replace(world.policy(), standing=(_unremembered(),))

    denied = world.judge(bad, registry=_NoRegistry())
    allowed = world.judge(noted)

    assert (denied.decision, denied.findings[0].code) == ("deny", "BAD_POLICY_SIGNATURE")
    assert (allowed.decision, allowed.findings[0].code) == ("allow", "NOT_REMEMBERED")


def _unremembered() -> Finding:
    (finding,) = check_version(_POLICY, _Memory(broken=True), slot="x", signed=True)
    return finding


class _NoRegistry(MemoryRegistry):
    """A registry that must not be asked."""

    def manifest(self, reference: Reference) -> RawManifest:
        raise AssertionError(reference)

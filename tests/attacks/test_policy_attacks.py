"""Attacks on the policy itself: an older one, one that has expired, one by the wrong key.

The image is good and every policy here would allow it. Each refusal costs the registry no request.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from imagekit.policy.signers import PolicySigners
from imagekit.signatures.authority import Authority
from imagekit.signatures.publickey import public_key_pem
from imagekit.verify.policies import open_policy, sign_policy
from imagekit.verify.rollback import SqliteRollbackStore
from imagekit.verify.verdict import Verdict
from imagekit.verify.verify import verify
from tests.support.attacks_kit import QUICK, Liar
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.signed import NOW

_ADMIN = MemorySigner()
_TEMPLATE = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {{name: site, version: {version}, expires: "{expires}"}}
images:
  - match: {{glob: "{glob}"}}
    authorities: [{{name: release, key: {{path: release.pub}}}}]
"""


class _Node:
    """A verifier with a memory, in front of a registry that notes what it is asked."""

    def __init__(self, folder: Path, liar: Liar) -> None:
        self.file = folder / "policy.yaml"
        self.liar = liar
        self._memory = SqliteRollbackStore(folder / "seen.db")
        self.key = folder / "release.pub"
        self.key.write_bytes(public_key_pem(liar.world.signer.public_key))

    def publish(
        self, version: int, *, signer: MemorySigner = _ADMIN, days: int = 30, comment: str = ""
    ) -> dict[Path, bytes]:
        """Write a policy and its signature, and return both as they are."""
        expires = (NOW + timedelta(days=days)).strftime("%Y-%m-%dT00:00:00Z")
        glob = f"{self.liar.world.repository.host}/**"
        text = _TEMPLATE.format(version=version, expires=expires, glob=glob)
        self.file.write_text(text + comment)
        signature, _, _ = sign_policy(self.file, signer)
        return {path: path.read_bytes() for path in (self.file, signature)}

    def verify(self, *, signed: bool = True, now: datetime = NOW) -> Verdict:
        """Verify the image by what lies there as the policy."""
        admins = PolicySigners(authorities=(Authority(name="admin", key=_ADMIN.public_key),))
        policy = open_policy(
            self.file,
            signers=admins if signed else None,
            memory=self._memory,
            clock=FixedClock(now),
        )
        return verify(
            self.liar.world.reference,
            policy=policy,
            options=QUICK,
            clock=FixedClock(now),
            memory=self._memory,
        )

    def refuses(self, code: str, **how: bool) -> Verdict:
        """Hold that the verdict is no, for this reason alone, and nobody was asked."""
        self.liar.asked.clear()
        verdict = self.verify(**how)  # type: ignore[arg-type]  # its keywords
        errors = [each.code for each in verdict.findings if each.severity == "error"]
        assert (verdict.decision, errors) == ("deny", [code])
        assert self.liar.asked == []
        return verdict


@pytest.fixture
def node(tmp_path: Path, liar: Callable[..., Liar]) -> _Node:
    """A verifier that has accepted version 3 of a signed policy."""
    node = _Node(tmp_path, liar())
    node.publish(3)
    assert node.verify().allowed
    return node


def test_an_older_policy(node: _Node) -> None:
    """A policy that was good once does not come back, whoever puts its files back."""
    old = {path: path.read_bytes() for path in node.file.parent.glob("policy.yaml*")}
    node.publish(4)
    assert node.verify().allowed
    for path, raw in old.items():
        path.write_bytes(raw)

    verdict = node.refuses("POLICY_ROLLBACK")

    assert "version 4 was accepted here" in verdict.findings[1].message


def test_another_policy_of_the_same_version(node: _Node) -> None:
    """Who signs two policies of one version leaves verifiers with different ones."""
    node.publish(3, comment="# changed\n")

    node.refuses("POLICY_ROLLBACK")


def test_an_expired_policy(node: _Node) -> None:
    """Holding back a new policy helps only until the old one ends; and nothing is learned of it."""
    node.publish(9, days=-1)
    node.refuses("POLICY_EXPIRED")

    node.publish(4)
    assert node.verify().allowed


def test_a_policy_by_the_wrong_key(node: _Node) -> None:
    """Also not with a high version, and it does not lock the right ones out."""
    node.publish(1_000_000, signer=MemorySigner())
    node.refuses("BAD_POLICY_SIGNATURE")

    node.publish(4)
    assert node.verify().allowed


def test_a_policy_signed_by_a_key_that_it_trusts_for_images(node: _Node) -> None:
    """Whoever may sign images may not sign policies for it."""
    node.publish(4, signer=node.liar.world.signer)

    node.refuses("BAD_POLICY_SIGNATURE")


def test_a_policy_without_its_signature(node: _Node) -> None:
    """Taking the signature away does not make an unsigned policy of it."""
    node.publish(4)
    node.file.with_name("policy.yaml.sigstore.json").unlink()

    node.refuses("POLICY_NOT_SIGNED")


def test_a_changed_policy(node: _Node) -> None:
    """One byte is enough, also where it changes nothing."""
    node.file.write_text(node.file.read_text() + "\n")

    node.refuses("BAD_POLICY_SIGNATURE")


def test_an_exchanged_key_file(node: _Node) -> None:
    """The policy's bytes are as they were; the key beside it is an attacker's."""
    node.key.write_bytes(public_key_pem(MemorySigner().public_key))

    verdict = node.refuses("BAD_POLICY_SIGNATURE")

    assert "release.pub" in verdict.findings[0].message


def test_the_signature_of_another_policy(node: _Node) -> None:
    """A signature speaks for one policy."""
    other = node.publish(5)
    node.publish(4)
    signature = node.file.with_name("policy.yaml.sigstore.json")
    signature.write_bytes(other[signature])

    node.refuses("BAD_POLICY_SIGNATURE")


def test_an_unsigned_policy_that_goes_back(node: _Node) -> None:
    """Without signers, too, versions do not fall; an author may change one under its version."""
    assert node.verify(signed=False).allowed
    node.publish(3, comment="# changed\n")
    assert node.verify(signed=False).allowed
    node.publish(2)

    node.refuses("POLICY_ROLLBACK", signed=False)


def test_a_set_back_clock_does_not_revive_a_policy(node: _Node) -> None:
    """A policy that says when it was issued is refused before that time."""
    text = node.file.read_text().replace("version: 3", 'version: 4, issued: "2026-11-23T00:00:00Z"')
    node.file.write_text(text)
    sign_policy(node.file, _ADMIN)

    verdict = node.verify(now=NOW - timedelta(days=1))

    assert [each.code for each in verdict.findings if each.severity == "error"] == ["CLOCK"]

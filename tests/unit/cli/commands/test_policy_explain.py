"""``imagekit policy explain``, from words to exit code."""

import json
from pathlib import Path

import pytest

from imagekit.cli.main import main
from imagekit.signatures.publickey import public_key_pem
from imagekit.verify.rollback import SqliteRollbackStore, default_path
from imagekit.verify.save import save_evidence
from tests.support.fakes import MemorySigner
from tests.support.signed import signed_world

_POLICY = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: site, version: 1, expires: 2999-06-30T00:00:00Z}
images:
  - match: {glob: "r.site/apps/**"}
    authorities: [{name: a, key: {path: a.pub}}]
    attestations: [{type: cyclonedx}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy, and the evidence of a signed image."""
    world = signed_world()
    save_evidence(world.located, tmp_path / "saved", reader=world.registry)
    (tmp_path / "a.pub").write_bytes(public_key_pem(world.signer.public_key))
    (tmp_path / "policy.yaml").write_text(_POLICY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _explain(*words: str) -> int:
    argv = ["policy", "explain", "r.site/apps/demo:1", "--policy", "policy.yaml"]
    return main([*argv, "--evidence", "saved", *words])


def test_allowed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ends as verify does, and shows the sections."""
    assert _explain() == 0

    shown = capsys.readouterr().out
    assert shown.startswith("allowed  r.site/apps/demo:1\n")
    for section in ("rules of the policy", "checks, in their order", "beside the image"):
        assert section in shown


def test_denied(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By another key everything is denied, and the document says what would have to change."""
    (folder / "a.pub").write_bytes(public_key_pem(MemorySigner().public_key))

    assert _explain("--json") == 3

    document = json.loads(capsys.readouterr().out)
    assert document["decision"] == "deny"
    assert document["rules"] == [
        {"glob": "r.site/apps/**", "chosen": True, "why": document["rules"][0]["why"]}
    ]
    assert {one["uses"][0]["code"] for one in document["offered"]} == {"UNTRUSTED_KEY"}
    assert len(document["change"]) == 2


def test_nothing_is_remembered(folder: Path) -> None:
    """Explaining a newer policy does not lock the present one out."""
    assert _explain() == 0
    slot = f"@policy:site:{folder / 'policy.yaml'}"
    assert SqliteRollbackStore(default_path()).highest(slot) is None


def test_who_must_have_signed_the_policy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The policy's own standing is a check like the others."""
    assert _explain("--policy-key", "a.pub") == 3
    assert "POLICY_NOT_SIGNED" in capsys.readouterr().out


def test_no_verdict(folder: Path) -> None:
    """An image that is not there is no denial."""
    words = ["policy", "explain", "r.site/apps/demo:2", "--policy", "policy.yaml"]
    assert main([*words, "--evidence", "saved"]) == 6

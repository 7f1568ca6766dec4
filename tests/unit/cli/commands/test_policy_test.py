"""``imagekit policy save`` and ``policy test``, from words to exit code."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET  # our own document

import pytest
import yaml

from imagekit.cli.main import main
from imagekit.oci.digest import Digest
from imagekit.signatures.publickey import public_key_pem
from imagekit.signatures.release import RELEASE, Release, release_predicate
from imagekit.verify.ports import HighWaterMark
from imagekit.verify.rollback import SqliteRollbackStore, default_path
from imagekit.verify.save import save_evidence
from tests.support.signed import World

_TAG = "r.site/apps/demo:1"
_POLICY = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: site, version: 1, expires: 2027-06-30T00:00:00Z}
images:
  - match: {glob: "r.site/apps/**"}
    authorities: [{name: a, key: {path: a.pub}}]
    freshness: {monotonic: true}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy, and the evidence of an image whose release has the sequence 5."""
    world = World()
    world.sign()
    release = Release(
        repository="r.site/apps/demo",
        sequence=5,
        tags=("1",),
        time=datetime(2026, 11, 1, tzinfo=UTC),
    )
    world.attach(RELEASE, release_predicate(release))
    save_evidence(world.located, tmp_path / "saved", reader=world.registry)
    (tmp_path / "a.pub").write_bytes(public_key_pem(world.signer.public_key))
    (tmp_path / "policy.yaml").write_text(_POLICY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write(*cases: Mapping[str, Any], file: str = "cases.yaml", **parts: Any) -> str:
    document = {
        "apiVersion": "imagekit/v1",
        "kind": "PolicyTest",
        "policy": "policy.yaml",
        "now": "2026-11-25T00:00:00Z",
        "cases": [
            {"reference": _TAG, "evidence": "saved", "name": str(number), **case}
            for number, case in enumerate(cases)
        ],
        **parts,
    }
    Path(file).write_text(yaml.safe_dump(document))
    return file


_GOOD: list[Mapping[str, Any]] = [
    {"expect": "allow", "name": "released"},
    {"expect": "allow", "seen": {_TAG: 4}},
    {"expect": "deny", "code": "ROLLBACK", "seen": {_TAG: 9}, "name": "moved back"},
    {"expect": "deny", "code": "ROLLBACK", "seen": {_TAG: 5}},
    {"expect": "deny", "code": "POLICY_EXPIRED", "now": "2027-07-01T00:00:00Z"},
    {"expect": "deny", "code": "NO_POLICY", "reference": "r.site/other:1"},
]


def test_all_as_expected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a case, and a sum; each case begins with what it says was seen, and no more."""
    assert main(["policy", "test", _write(*_GOOD)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  ✓ released: allow"
    assert lines[2] == "  ✓ moved back: deny ROLLBACK"
    assert lines[-1] == "6 as expected, 0 not"


def test_the_user_s_memory_is_left_alone(folder: Path) -> None:
    """Neither is a test misled by what was verified here, nor is anything learned by it."""
    assert main(["policy", "test", _write(*_GOOD)]) == 0
    assert not default_path().exists()
    SqliteRollbackStore(default_path()).remember(
        _TAG, HighWaterMark(sequence=99, digest=Digest.of(b"x"))
    )
    before = default_path().read_bytes()

    assert main(["policy", "test", _write(*_GOOD)]) == 0
    assert default_path().read_bytes() == before


_BAD: list[Mapping[str, Any]] = [
    {"expect": "deny", "name": "wrong"},
    {"expect": "deny", "code": "REVOKED", "seen": {_TAG: 9}},
    {"expect": "allow", "reference": "r.site/apps/demo:2", "name": "not there"},
]


def test_not_as_expected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each failure says what came instead and shows the verdict; a missing image is a failure."""
    assert main(["policy", "test", _write(*_BAD, _GOOD[0])]) == 3

    shown = capsys.readouterr().out
    assert "  ✗ wrong: expected deny, came allow" in shown
    assert "expected deny REVOKED, came deny ROLLBACK" in shown
    assert "ROLLBACK: r.site/apps/demo:1 was moved back" in shown
    assert "  ✗ not there: expected allow, came no verdict at all" in shown
    assert "1 as expected, 3 not" in shown


def test_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get the verdicts of all tables in one document."""
    tables = [_write(*_GOOD, file="a.yaml"), _write(*_BAD, file="b.yaml")]

    assert main(["policy", "test", *tables, "--json"]) == 3

    document = json.loads(capsys.readouterr().out)
    assert (document["passed"], document["failed"]) == (6, 3)
    assert [each["file"] for each in document["tables"]] == tables
    case = document["tables"][1]["cases"][1]
    assert case["why_not"] == "expected deny REVOKED, came deny ROLLBACK"
    assert case["verdict"]["decision"] == "deny"
    assert document["tables"][1]["cases"][2]["error"]["code"]


def test_junit(folder: Path) -> None:
    """CI systems tell failures from errors."""
    assert main(["policy", "test", _write(*_GOOD, *_BAD), "--junit", "report.xml"]) == 3

    (suite,) = ET.parse("report.xml").getroot()  # noqa: S314  # our own document
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("9", "2", "1")
    assert [each[0].tag for each in suite if len(each)] == ["failure", "failure", "error"]


@pytest.mark.parametrize(
    "change",
    [{"policy": "nowhere.yaml"}, {"policy": "cases.yaml"}, {"cases": []}, {"kind": "Policy"}],
)
def test_bad_input_ends_with_2(
    folder: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is tested by half of the tables."""
    good = _write(*_GOOD, file="good.yaml")

    assert main(["policy", "test", good, _write(*_GOOD, **change)]) == 2
    assert capsys.readouterr().out == ""


def test_save_a_layout_s_image(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command saves what is in a layout as well; the reference that it prints is the image."""
    words = ["policy", "save", f"oci:saved:{_TAG}", "--to", "again", "--json"]
    assert main(words) == 0

    document = json.loads(capsys.readouterr().out)
    assert (document["signatures"], document["notes"]) == (2, [])
    assert main(["policy", "test", _write({"expect": "allow", "evidence": "again"})]) == 0
    assert main(["policy", "save", "oci:saved:r.site/apps/demo:2", "--to", "again"]) == 6

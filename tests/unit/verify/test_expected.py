"""Tables of cases: strict files, and what counts as expected."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from imagekit.documents.shape import STRUCTURAL
from imagekit.errors import PolicyError
from imagekit.oci.digest import Digest
from imagekit.oci.location import LayoutLocation
from imagekit.policy.findings import Finding
from imagekit.verify.expected import Expected, load_table, parse_table, table_schema
from imagekit.verify.ports import HighWaterMark
from imagekit.verify.verdict import Verdict
from tests.support.signed import World

_TAG = "r.site/apps/demo:1"
_HEX = f"sha256:{'0' * 64}"


def _document(**case: Any) -> dict[str, Any]:
    first = {"name": "one", "reference": _TAG, "expect": "allow", **case}
    return {
        "apiVersion": "imagekit/v1",
        "kind": "PolicyTest",
        "policy": "../site.yaml",
        "cases": [{key: value for key, value in first.items() if value is not None}],
    }


def _parse(document: object, folder: Path = Path("/nowhere")) -> Any:
    return parse_table(yaml.safe_dump(document).encode(), file=folder / "cases.yaml")


def test_all_words(tmp_path: Path) -> None:
    """Paths are relative to the file; a case's own time comes before the table's."""
    (tmp_path / "saved").mkdir()
    seen = {_TAG: 7, "r.site/apps/demo:2": {"sequence": 3, "digest": _HEX}}
    case = {
        "evidence": "saved",
        "expect": "deny",
        "code": "ROLLBACK",
        "now": "2026-01-02T00:00:00Z",
        "seen": seen,
    }
    document = _document(**case) | {"now": "2026-11-25T00:00:00+01:00"}
    document["cases"].append({"name": "b", "reference": f"oci:lay:app@{_HEX}", "expect": "allow"})

    table = _parse(document, tmp_path)

    first, second = table.cases
    assert table.policy == tmp_path / "../site.yaml"
    assert table.now == datetime(2026, 11, 24, 23, tzinfo=UTC)
    assert first.now == datetime(2026, 1, 2, tzinfo=UTC)
    assert (first.evidence, first.expect, first.code) == (tmp_path / "saved", "deny", "ROLLBACK")
    assert first.seen[_TAG].sequence == 7
    assert first.seen["r.site/apps/demo:2"] == HighWaterMark(sequence=3, digest=Digest.parse(_HEX))
    assert second.reference.location == LayoutLocation(tmp_path / "lay")
    assert (second.evidence, second.code, dict(second.seen)) == (None, "", {})


_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"expect": "allowed"}, "not-matching"),
    ({"expect": None}, "missing-key"),
    ({"name": None}, "missing-key"),
    ({"reference": None}, "missing-key"),
    ({"reference": "r.site/apps/demo"}, "bad-reference"),
    ({"evidence": "nowhere"}, "no-evidence"),
    ({"code": "rollback"}, "not-matching"),
    ({"now": "yesterday"}, "not-matching"),
    ({"seen": {"r.site/apps/demo": 1}}, "bad-reference"),
    ({"seen": {f"r.site/apps/demo@{_HEX}": 1}}, "bad-reference"),
    ({"seen": {_TAG: 0}}, "out-of-range"),
    ({"seen": {_TAG: "1"}}, "wrong-kind"),
    ({"seen": {_TAG: {"digest": _HEX}}}, "missing-key"),
    ({"image": "x"}, "unknown-key"),
]


@pytest.mark.parametrize(("case", "fault"), _FAULTS)
def test_bad_case(case: dict[str, Any], fault: str) -> None:
    """Each fault has its place; no case is run of a table with one."""
    with pytest.raises(PolicyError) as caught:
        _parse(_document(**case))

    assert [each.code for each in caught.value.diagnostics] == [f"policy-test/{fault}"]
    assert all(each.line and each.source for each in caught.value.diagnostics)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"cases": []}, "out-of-range"),
        ({"kind": "ImagePolicy"}, "not-matching"),
        ({"apiVersion": "imagekit/v2"}, "not-matching"),
        ({"policy": 1}, "wrong-kind"),
        ({"cases": _document()["cases"] + _document()["cases"]}, "same-name"),
    ],
)
def test_bad_table(change: dict[str, Any], fault: str) -> None:
    """The same for what all cases share."""
    with pytest.raises(PolicyError) as caught:
        _parse(_document() | change)

    assert [each.code for each in caught.value.diagnostics] == [f"policy-test/{fault}"]


def test_evidence_of_a_layout(tmp_path: Path) -> None:
    """Evidence stands for a registry; of a layout nothing has to be saved."""
    (tmp_path / "saved").mkdir()

    with pytest.raises(PolicyError) as caught:
        _parse(_document(reference="oci:layout:app:1", evidence="saved"), tmp_path)
    assert caught.value.diagnostics[0].code == "policy-test/contradiction"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is bad input like any other."""
    with pytest.raises(PolicyError):
        load_table(tmp_path / "cases.yaml")


@pytest.mark.parametrize("case", [{}, *(case for case, fault in _FAULTS if fault in STRUCTURAL)])
def test_schema_agrees(case: dict[str, Any]) -> None:
    """Editors find what the parser finds."""
    good = jsonschema.Draft202012Validator(table_schema()).is_valid(_document(**case))

    assert good == (case == {})


def _verdict(*findings: tuple[str, str]) -> Verdict:
    world = World()
    return Verdict(
        reference=world.reference,
        digest=None,
        policy="p",
        policy_digest=Digest.of(b""),
        findings=tuple(
            Finding(check="c", code=code, message="m", severity=severity)  # type: ignore[arg-type]
            for code, severity in findings
        ),
    )


@pytest.mark.parametrize(
    ("expect", "code", "findings", "why"),
    [
        ("allow", "", [("OK", "ok")], ""),
        ("allow", "", [("OK", "ok"), ("TAG_MOVED", "warning")], ""),
        ("allow", "TAG_MOVED", [("OK", "ok"), ("TAG_MOVED", "warning")], ""),
        ("allow", "TAG_MOVED", [("OK", "ok")], "expected allow TAG_MOVED, came allow"),
        ("allow", "", [("REVOKED", "error")], "expected allow, came deny"),
        ("deny", "", [("REVOKED", "error")], ""),
        ("deny", "REVOKED", [("OTHER", "error"), ("REVOKED", "error")], ""),
        ("deny", "ROLLBACK", [("REVOKED", "error")], "expected deny ROLLBACK, came deny REVOKED"),
        (
            "deny",
            "ROLLBACK",
            [("ROLLBACK", "warning"), ("REVOKED", "error")],
            "expected deny ROLLBACK, came deny REVOKED",
        ),
        ("deny", "", [("OK", "ok")], "expected deny, came allow"),
    ],
)
def test_as_expected(expect: Any, code: str, findings: list[tuple[str, str]], why: str) -> None:
    """Decision and code: a denial for another reason than the one expected is a failure."""
    case = Expected(name="n", reference=World().located, expect=expect, code=code)

    assert case.why_not(_verdict(*findings)) == why

"""What other scanners write is read: their own test data, and what a real Trivy wrote."""

import json
from pathlib import Path
from typing import Any

import pytest

from imagekit.errors import DocumentError
from imagekit.policy.condition import Severity
from imagekit.scan.foreign_reports import parse_report

REPORTS = Path(__file__).parent / "reports"
DIGEST = f"sha256:{'a' * 64}"


def load(name: str) -> dict[str, Any]:
    """Return a report."""
    document: dict[str, Any] = json.loads((REPORTS / name).read_bytes())
    return document


def raw(document: object) -> bytes:
    """Return a document as bytes."""
    return json.dumps(document).encode()


def test_trivys_report_is_read() -> None:
    """What is fixed and what is not; the configuration's digest names the image."""
    report = parse_report((REPORTS / "trivy-debian.json").read_bytes())

    said = [
        (each.id, each.package, each.version, each.severity.name, each.fixed_in)
        for each in report.result.vulnerabilities
    ]
    assert said == [
        ("CVE-2019-18224", "libidn2-0", "2.0.5-1", "CRITICAL", ("2.0.5-1+deb10u1",)),
        ("CVE-2019-18276", "bash", "5.0-4", "LOW", ()),
    ]
    assert report.result.finished.isoformat()[:19] == "2021-08-25T12:20:30"
    assert report.digests == {load("trivy-debian.json")["Metadata"]["ImageID"]}


def test_an_attestation_of_trivy_has_the_time_of_the_scan() -> None:
    """And not the later one, at which ``trivy convert`` wrote it."""
    document = load("trivy-cosign-vuln.json")
    first = parse_report(raw(document)).result.finished
    document["metadata"]["scanFinishedOn"] = "2036-01-01T00:00:00Z"

    report = parse_report(raw(document))

    assert report.result.finished == first
    assert [each.id for each in report.result.vulnerabilities] == ["CVE-2024-6119", "CVE-2022-3715"]
    assert any(digest.startswith("sha256:") for digest in report.digests)


def test_grypes_report_is_read() -> None:
    """Its test data have no time, which a real report has."""
    document = load("grype.json")
    with pytest.raises(DocumentError, match="when it was made"):
        parse_report(raw(document))
    document["descriptor"]["timestamp"] = "2026-11-23T01:02:03.123456789+01:00"

    report = parse_report(raw(document))

    said = [(each.id, each.severity.name, each.fixed_in) for each in report.result.vulnerabilities]
    assert said == [
        ("CVE-1999-0002", "CRITICAL", None),
        ("CVE-1999-0001", "LOW", ("1.2.1", "2.1.3", "3.4.0")),
    ]
    assert document["source"]["target"]["manifestDigest"] in report.digests
    assert report.result.finished.hour == 0


def test_a_statement_names_the_image_by_its_subject() -> None:
    """in-toto's own list has no other word on that, and says nothing of fixes."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": "a" * 64}}],
        "predicateType": "https://in-toto.io/attestation/vulns/v0.2",
        "predicate": {
            "scanner": {
                "uri": "https://scanner.example",
                "result": [{"id": "CVE-1", "severity": [{"score": "7.5"}, {"score": "x"}]}],
            },
            "metadata": {"scanFinishedOn": "2026-11-23T00:00:00Z"},
        },
    }

    report = parse_report(raw(statement))

    (found,) = report.result.vulnerabilities
    assert report.digests == {DIGEST}
    # The worst counts, and what nobody knows is the worst.
    assert (found.id, found.severity, found.fixed_in) == ("CVE-1", Severity.UNKNOWN, None)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"Results": []}, "found nothing that it could look at"),
        ({"Results": None}, "found nothing that it could look at"),
        ({"CreatedAt": "yesterday"}, "when it was made"),
        ({"CreatedAt": "2026-01-01T00:00:00"}, "when it was made"),
        ({"Results": [1]}, "not a JSON object"),
        ({"SchemaVersion": 2, "matches": []}, "source"),
    ],
)
def test_a_report_that_says_too_little_is_refused(change: dict[str, object], why: str) -> None:
    """It would attest nothing."""
    with pytest.raises(DocumentError, match=why):
        parse_report(raw({**load("trivy-debian.json"), **change}))


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"a": 1, "A": 2}', '{"scanner": {}}'])
def test_what_is_no_report_is_refused(text: str) -> None:
    """With an error of ours."""
    with pytest.raises(DocumentError):
        parse_report(text.encode())


def test_texts_of_a_report_do_not_steer_terminals() -> None:
    """They are shown in a table."""
    document = load("trivy-debian.json")
    document["Results"][0]["Vulnerabilities"][0]["PkgName"] = "a\x1b[2Jb"

    shown = [each.package for each in parse_report(raw(document)).result.vulnerabilities]

    assert "a?[2Jb" in shown

"""Conditions of a vulnerability report, in the forms of Trivy, Grype and in-toto."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.policy.condition import Severity, VulnerabilityCondition
from imagekit.policy.now import Now
from imagekit.verify.conditions.vulnerabilities import check_vulnerabilities

_NOW = datetime(2026, 11, 23, tzinfo=UTC)
_MEDIUM = VulnerabilityCondition(max_severity=Severity.MEDIUM)
_FIXED = VulnerabilityCondition(max_severity=Severity.MEDIUM, fixed_only=True)
_WEEK = VulnerabilityCondition(max_age=timedelta(days=7))
_Found = Sequence[tuple[object, bool]]
"""Severities, and whether there is a fix."""


def _report(result: object, finished: object = "2026-11-22T00:00:00Z") -> dict[str, Any]:
    return {
        "invocation": {"uri": "x"},
        "scanner": {"uri": "pkg:github/aquasecurity/trivy@0.60", "result": result},
        "metadata": {"scanStartedOn": finished, "scanFinishedOn": finished},
    }


def _trivy(found: _Found) -> dict[str, Any]:
    vulnerabilities = [
        {"VulnerabilityID": "CVE-1", "Severity": severity, "FixedVersion": "2" if fixed else ""}
        for severity, fixed in found
    ]
    return _report(
        {
            "SchemaVersion": 2,
            "Results": [{"Target": "debian"}, {"Vulnerabilities": vulnerabilities}],
        }
    )


def _grype(found: _Found) -> dict[str, Any]:
    matches = [
        {
            "vulnerability": {
                "id": "CVE-1",
                "severity": severity,
                "fix": {"state": "fixed" if fixed else "wont-fix", "versions": []},
            }
        }
        for severity, fixed in found
    ]
    return _report({"matches": matches, "descriptor": {"name": "grype"}})


def _code(predicate: Mapping[str, Any], condition: VulnerabilityCondition) -> str:
    found = check_vulnerabilities(predicate, condition, now=Now(_NOW))
    return found.code if found else ""


_FORMS = pytest.mark.parametrize("form", [_trivy, _grype])
_Form = Callable[[_Found], dict[str, Any]]


@_FORMS
@pytest.mark.parametrize("severity", ["HIGH", "critical", "UNKNOWN", "odd", "", None, 5, ["LOW"]])
def test_too_bad(form: _Form, severity: object) -> None:
    """A worse one is refused, and so is one that nobody rates."""
    if severity == 5:
        severity = 9.9
    assert _code(form([("Low", True), (severity, False)]), _MEDIUM) == "SEVERITY_TOO_HIGH"


@_FORMS
@pytest.mark.parametrize("severity", ["Medium", "LOW", "negligible", "none"])
def test_not_too_bad(form: _Form, severity: str) -> None:
    """What the policy allows is allowed, and nothing at all, too."""
    assert _code(form([(severity, True)] * 3), _MEDIUM) == ""
    assert _code(form([]), _MEDIUM) == ""


@_FORMS
def test_only_those_with_a_fix(form: _Form) -> None:
    """What cannot be mended does not count where the policy says so."""
    assert _code(form([("CRITICAL", False)]), _FIXED) == ""
    assert _code(form([("CRITICAL", True)]), _FIXED) == "SEVERITY_TOO_HIGH"


def test_a_fix_that_nobody_denies_counts() -> None:
    """Where a report does not say whether there is a fix, there may be one."""
    vulnerability = {"id": "CVE-1", "severity": "High"}

    assert _code(_report({"matches": [{"vulnerability": vulnerability}]}), _FIXED) != ""
    assert _code(_report([{"id": "CVE-1", "severity": [{"score": "9"}]}]), _FIXED) != ""


@pytest.mark.parametrize(
    ("severity", "code"),
    [
        ([{"method": "nvd", "score": "6.9"}], ""),
        ([{"method": "nvd", "score": 7.0}], "SEVERITY_TOO_HIGH"),
        ([{"score": "1"}, {"method": "x", "score": "critical"}], "SEVERITY_TOO_HIGH"),
        ([{"method": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L"}], "SEVERITY_TOO_HIGH"),
        ([{"score": "NaN"}], "SEVERITY_TOO_HIGH"),
        ([{"score": -1}], "SEVERITY_TOO_HIGH"),
        ([{"score": True}], "SEVERITY_TOO_HIGH"),
        ([{"score": 10**400}], "SEVERITY_TOO_HIGH"),
        ([{"score": "11"}], "SEVERITY_TOO_HIGH"),
        ([], "SEVERITY_TOO_HIGH"),
        ([{"score": "0"}], ""),
    ],
)  # fmt: skip
def test_scores_of_intoto(severity: list[dict[str, Any]], code: str) -> None:
    """The worst of all ratings counts; what is neither word nor score is the worst."""
    assert _code(_report([{"id": "CVE-1", "severity": severity}]), _MEDIUM) == code


@pytest.mark.parametrize(
    ("finished", "code"),
    [
        ("2026-11-16T00:00:00Z", ""),
        ("2026-11-15T23:59:59Z", "STALE_ATTESTATION"),
        ("2026-11-22T20:59:38.123456789+09:00", ""),
        ("2026-11-23T00:04:00Z", ""),
        ("2026-11-23T00:06:00Z", "CLOCK"),
        ("9999-12-31T23:59:59+00:00", "CLOCK"),
        ("0001-01-02T00:00:00Z", "STALE_ATTESTATION"),
    ],
)
def test_age(finished: str, code: str) -> None:
    """By the end of the scan, as the report says it; not from the future."""
    assert _code(_report({"matches": []}, finished), _WEEK) == code


@pytest.mark.parametrize(
    "finished",
    [
        None,
        "",
        "yesterday",
        5,
        "2026-11-22",
        "2026-11-22T00:00:00",
        "0001-01-01T00:00:00+23:00",
    ],
)
def test_a_time_that_is_none(finished: object) -> None:
    """A scan without a time could be of any."""
    with pytest.raises(DocumentError) as caught:
        _code(_report({"matches": []}, finished), _WEEK)
    assert caught.value.code == "BAD_STATEMENT"


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"scanner": {}},
        {"scanner": {"result": None}},
        _report({}),
        _report("none"),
        _report({"SchemaVersion": 2}),
        _report({"Results": []}),
        _report({"Results": None}),
        _report({"Results": [5]}),
        _report({"Results": [{"vulnerabilities": []}]}),
        _report({"Results": [{"Vulnerabilities": {}}]}),
        _report({"Results": [{"Vulnerabilities": [{"Severity": "LOW", "FixedVersion": 5}]}]}),
        _report({"Results": [{"Vulnerabilities": [{"severity": "LOW"}]}]}),
        _report({"matches": [{}]}),
        _report({"matches": [{"vulnerability": []}]}),
        _report([5]),
        _report([{"severity": "HIGH"}]),
    ],
)  # fmt: skip
def test_malformed_reports_are_refused(predicate: Mapping[str, Any]) -> None:
    """A report that cannot be read says nothing, and nothing is not enough."""
    with pytest.raises(DocumentError) as caught:
        _code(predicate, _MEDIUM)
    assert caught.value.code == "BAD_STATEMENT"


@pytest.mark.parametrize(
    ("updated", "code"),
    [
        (None, ""),
        ("", ""),
        ("2026-11-16T00:00:00Z", ""),
        ("2026-11-15T23:59:59Z", "STALE_ATTESTATION"),
        ("2026-11-24T00:00:00Z", "CLOCK"),
    ],
)
def test_a_young_scan_by_old_data_is_old(updated: str | None, code: str) -> None:
    """It knows nothing of what became known since; where nothing is said, the scan's age counts."""
    report = _report({"Results": [{}]})
    scanner = {**report["scanner"], "db": {"lastUpdate": updated}}
    week = VulnerabilityCondition(max_age=timedelta(days=7))

    assert _code({**report, "scanner": scanner}, week) == code


@pytest.mark.parametrize(
    "database", [[], {"lastUpdate": 5}, {"lastUpdate": "x"}, {"LastUpdate": ""}]
)
def test_malformed_data_are_refused(database: object) -> None:
    """Their age cannot be judged."""
    report = _report({"Results": [{}]})
    week = VulnerabilityCondition(max_age=timedelta(days=7))

    with pytest.raises(DocumentError):
        _code({**report, "scanner": {**report["scanner"], "db": database}}, week)


_FOUND = st.lists(
    st.tuples(st.sampled_from(("low", "medium", "high", "critical", "?")), st.booleans()),
    max_size=4,
)


@given(_FOUND, st.sampled_from(Severity), st.booleans(), st.sampled_from((_trivy, _grype)))
def test_a_stricter_demand_never_accepts_more(
    found: _Found,
    worst: Severity,
    fixed: bool,  # noqa: FBT001  # hypothesis gives it
    form: _Form,
) -> None:
    """A lower severity, or counting all instead of the fixed ones, refuses at least as much."""
    report = form(found)
    strict = VulnerabilityCondition(max_severity=worst, fixed_only=fixed)
    looser = [
        VulnerabilityCondition(max_severity=worst, fixed_only=True),
        VulnerabilityCondition(
            max_severity=Severity(min(worst + 1, Severity.UNKNOWN)), fixed_only=fixed
        ),
        VulnerabilityCondition(),
    ]
    if not _code(report, strict):
        assert not any(_code(report, one) for one in looser)

"""Severities are read from CVSS vectors and from words; the worst that is known counts."""

import pytest

from imagekit.policy.condition import Severity
from imagekit.scan.severity import Rating, severity_of

V2 = "AV:N/AC:L/Au:N/C:C/I:C/A:C"
V3 = "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:N/A:N"
V4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:H/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N"


@pytest.mark.parametrize(
    ("ratings", "expected"),
    [
        # Scores of the calculators of first.org: 10.0, 6.8 and 5.1.
        ([Rating("CVSS_V2", V2)], Severity.CRITICAL),
        ([Rating("CVSS_V3", V3)], Severity.MEDIUM),
        ([Rating("CVSS_V4", V4)], Severity.MEDIUM),
        ([Rating("Ubuntu", "negligible")], Severity.LOW),
        ([Rating("word", "MODERATE")], Severity.MEDIUM),
        ([Rating("CVSS_V3", V3), Rating("word", "HIGH")], Severity.HIGH),
        ([Rating("CVSS_V3", "x"), Rating("word", "LOW")], Severity.LOW),
        ([Rating("CVSS_V9", V3)], Severity.UNKNOWN),
        ([Rating("CVSS_V3", V3 * 100)], Severity.UNKNOWN),
        ([Rating("Ubuntu", "untriaged")], Severity.UNKNOWN),
        ([], Severity.UNKNOWN),
    ],
)
def test_the_worst_known_rating_counts(ratings: list[Rating], expected: Severity) -> None:
    """What is of no known form is no rating."""
    assert severity_of(ratings) is expected

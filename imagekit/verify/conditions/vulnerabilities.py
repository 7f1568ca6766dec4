"""The conditions of a vulnerability report: the worst that it may hold, and its age.

Read are cosign's ``vuln/v1`` with the result of Trivy or Grype in it, and in-toto's ``vulns/v0.1``
and ``v0.2``. A severity that is not stated, or in a word that nobody knows, is the worst of all.
A report whose form is not known says nothing, and neither does one of a scan that found nothing
to look at.

https://github.com/sigstore/cosign/blob/main/specs/COSIGN_VULN_ATTESTATION_SPEC.md
https://github.com/in-toto/attestation/blob/main/spec/predicates/vulns_02.md
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from msgspec import Struct

from imagekit.documents.fields import Fields
from imagekit.policy.condition import Severity, VulnerabilityCondition
from imagekit.policy.now import Now
from imagekit.signatures.results import Refusal
from imagekit.verify.conditions.untrusted_json import (
    age_fault,
    by_lower_case,
    exactly,
    fields_of,
    moment,
    objects,
    shown,
)

MAX_FOUND = 200_000
MAX_RATINGS = 100
_COMMON = by_lower_case("scanner", "result", "metadata", "scanFinishedOn", "db", "lastUpdate")
_TRIVY = by_lower_case("Results", "Vulnerabilities", "VulnerabilityID", "Severity", "FixedVersion")
_GRYPE = by_lower_case("matches", "vulnerability", "id", "severity", "fix", "state")
_INTOTO = by_lower_case("id", "severity", "method", "score")
# Grype's states of a fix, all but ``fixed``. Trivy's reports name the version, or none.
_UNFIXED = frozenset({"not-fixed", "wont-fix", "unknown"})
_WORDS = {
    "none": Severity.NONE,
    # Grype's word for what distributions do not fix: the vulnerability is there all the same.
    "negligible": Severity.LOW,
    "low": Severity.LOW,
    "medium": Severity.MEDIUM,
    # This one and ``important`` are Red Hat's.
    "moderate": Severity.MEDIUM,
    "high": Severity.HIGH,
    "important": Severity.HIGH,
    "critical": Severity.CRITICAL,
}
_SCORES = (
    (0.0, Severity.NONE),
    (3.9, Severity.LOW),
    (6.9, Severity.MEDIUM),
    (8.9, Severity.HIGH),
    (10.0, Severity.CRITICAL),
)
"""The highest score of each severity (CVSS v3.1 section 5)."""


class _Vulnerability(Struct, frozen=True, kw_only=True):
    """One vulnerability that a scanner found."""

    name: str
    severity: Severity
    fixed: bool = True
    """Whether there is a fix, or nothing says that there is none."""


def check_vulnerabilities(
    predicate: Mapping[str, object], condition: VulnerabilityCondition, *, now: Now
) -> Refusal | None:
    """Return why a vulnerability report does not do, or None.

    Raises:
        DocumentError: it is no report that can be read whole.
    """
    document = exactly(fields_of(predicate, "the vulnerability report"), _COMMON)
    if condition.max_severity is not None:
        for vulnerability in _vulnerabilities(document):
            counts = vulnerability.fixed or not condition.fixed_only
            if counts and vulnerability.severity > condition.max_severity:
                return _too_bad(vulnerability, condition.max_severity)
    if condition.max_age is None:
        return None
    finished = moment(exactly(document.object("metadata"), _COMMON), "scanFinishedOn")
    fault = age_fault(finished, condition.max_age, now=now, what="the scan for vulnerabilities")
    return fault or _data_fault(document, condition.max_age, now=now)


def _data_fault(document: Fields, limit: timedelta, *, now: Now) -> Refusal | None:
    """Return that a scan, whenever it was made, knew nothing of what became known lately."""
    scanner = exactly(document.object("scanner"), _COMMON)
    # COSIGN_VULN_ATTESTATION_SPEC, "scanner.db.lastUpdate"; in-toto vulns v0.2 has it as well. Many
    # scanners leave it out.
    data = exactly(scanner.optional_object("db"), _COMMON)
    if not data.optional_text("lastUpdate"):
        return None
    made = moment(data, "lastUpdate")
    return age_fault(made, limit, now=now, what="the newest advisory that the scan knew")


def _too_bad(vulnerability: _Vulnerability, worst: Severity) -> Refusal:
    severity = (
        "of no stated severity"
        if vulnerability.severity is Severity.UNKNOWN
        else vulnerability.severity.name
    )
    return Refusal(
        code="SEVERITY_TOO_HIGH",
        message=f"the scan found {shown(vulnerability.name)}, {severity.lower()}; "
        f"the policy allows {worst.name.lower()} at most",
        hint="rebuild the image with packages that fix it, then scan it again",
    )


def _vulnerabilities(document: Fields) -> Iterator[_Vulnerability]:
    """Yield what a scanner found, in whichever form it says it.

    Raises:
        DocumentError: the form is not known.
    """
    scanner = exactly(document.object("scanner"), _COMMON)
    # in-toto vulns v0.2, "scanner.result", is a list of vulnerabilities; of cosign's type it is the
    # scanner's own report.
    result = scanner.get("result")
    if isinstance(result, list):
        return _intoto(scanner)
    fields = scanner.object("result")
    if isinstance(fields.get("matches"), list):
        return _grype(exactly(fields, _GRYPE))
    if isinstance(fields.get("Results"), list):
        return _trivy(exactly(fields, _TRIVY))
    raise fields.fault(
        "is of no form that is known: neither Trivy's nor Grype's, nor in-toto's list",
        hint="trivy image --format cosign-vuln, or the JSON of grype as scanner.result",
    )


def _trivy(report: Fields) -> Iterator[_Vulnerability]:
    looked_at = False
    for target in objects(report, "Results", limit=MAX_FOUND):
        looked_at = True
        exactly(target, _TRIVY)
        for entry in objects(target, "Vulnerabilities", limit=MAX_FOUND):
            exactly(entry, _TRIVY)
            yield _Vulnerability(
                name=entry.optional_text("VulnerabilityID"),
                severity=stated_severity(entry.get("Severity")),
                fixed=bool(entry.optional_text("FixedVersion")),
            )
    if not looked_at:
        raise report.fault("has no Results: the scanner found nothing that it could look at")


def _grype(report: Fields) -> Iterator[_Vulnerability]:
    # Grype names no targets: an empty list says that nothing was found.
    for match in objects(report, "matches", limit=MAX_FOUND):
        entry = exactly(exactly(match, _GRYPE).object("vulnerability"), _GRYPE)
        state = exactly(entry.optional_object("fix"), _GRYPE).get("state")
        yield _Vulnerability(
            name=entry.optional_text("id"),
            severity=stated_severity(entry.get("severity")),
            fixed=state not in _UNFIXED,
        )


def _intoto(scanner: Fields) -> Iterator[_Vulnerability]:
    # in-toto vulns v0.2, "scanner.result": an empty list says that nothing was found.
    for entry in objects(scanner, "result", limit=MAX_FOUND):
        ratings = objects(exactly(entry, _INTOTO), "severity", limit=MAX_RATINGS)
        # in-toto vulns v0.2, "severity": one vulnerability is rated by several methods. The worst
        # counts.
        severities = [stated_severity(exactly(rating, _INTOTO).get("score")) for rating in ratings]
        yield _Vulnerability(
            name=entry.optional_text("id"), severity=max(severities, default=Severity.UNKNOWN)
        )


def stated_severity(stated: object) -> Severity:
    """Return a severity from a word or a score of CVSS; what is neither is the worst."""
    if isinstance(stated, bool):
        return Severity.UNKNOWN
    if isinstance(stated, str) and stated.strip().casefold() in _WORDS:
        return _WORDS[stated.strip().casefold()]
    try:
        score = float(stated) if isinstance(stated, str | int | float) else -1.0
    except (ValueError, OverflowError):
        return Severity.UNKNOWN
    if score < 0:
        return Severity.UNKNOWN
    # Not a number is below none of these, and so of no known severity.
    return next((severity for top, severity in _SCORES if score <= top), Severity.UNKNOWN)

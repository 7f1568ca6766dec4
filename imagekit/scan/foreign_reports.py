"""Reports of other scanners: Trivy's JSON, Grype's JSON, and what attestations hold of both.

Read are ``trivy image --format json`` and ``cosign-vuln``, ``grype -o json``, and statements of
in-toto that hold one of these, or in-toto's own list of vulnerabilities. A report must say which
image it is of, by a digest, and when it was made.

https://trivy.dev/latest/docs/configuration/reporting/
https://github.com/anchore/grype (grype/presenter/models)
https://github.com/in-toto/attestation/blob/main/spec/predicates/vulns_02.md
"""

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import DocumentError
from imagekit.policy.condition import Severity
from imagekit.scan.scan_result import (
    FoundVulnerability,
    ScannedTarget,
    ScannerIdentity,
    ScanResult,
    worst_first,
)
from imagekit.scan.vulnerability_report import time_of
from imagekit.signatures.intoto import parse_statement
from imagekit.verify.conditions.untrusted_json import objects
from imagekit.verify.conditions.vulnerabilities import stated_severity

MAX_REPORT = 256 << 20
"""Largest report in bytes; one of an image with 2,000 vulnerabilities has 10 MB."""
_MAX_FOUND = 200_000
_MAX_LISTED = 1000
_LONGEST = 500
_WHAT = "the report"
_CODE = "scan/report"
_UNFIXED = frozenset({"not-fixed", "wont-fix"})


class ForeignReport(Struct, frozen=True, kw_only=True):
    """A report, and the image that it says it is of."""

    result: ScanResult
    digests: frozenset[str]
    """Of manifests, and of the image's configuration: each names what was scanned."""


def parse_report(raw: bytes) -> ForeignReport:
    """Read a report.

    Raises:
        DocumentError: it is in no form that is known, does not say when it was made, or looked at
            nothing.
    """
    document = Fields.of(strictjson.loads(raw, what=_WHAT), what=_WHAT, code=_CODE)
    digests: frozenset[str] = frozenset()
    if "predicateType" in document.values:
        statement = parse_statement(raw)
        digests = frozenset(str(subject.digest) for subject in statement.subjects)
        document = Fields.of(statement.predicate, what=_WHAT, code=_CODE)
    report = _parsed(document)
    if not report.result.targets:
        raise document.fault("has no results: the scanner found nothing that it could look at")
    return replace(report, digests=report.digests | digests)


def _parsed(document: Fields) -> ForeignReport:
    if "scanner" in document.values:
        return _attested(document)
    if "matches" in document.values:
        return _grype(document)
    if "SchemaVersion" in document.values:
        return _trivy(document)
    raise document.fault(
        "is in no form that is known", hint="trivy image --format json, or grype -o json"
    )


def _attested(document: Fields) -> ForeignReport:
    """Read the predicate of cosign's vuln/v1, or of in-toto's vulns: what is in it, with its time.

    Of two times the older one counts: ``trivy convert`` writes that of the conversion.
    """
    scanner = document.object("scanner")
    stated = document.object("metadata").optional_text("scanFinishedOn")
    inner = scanner.get("result")
    if isinstance(inner, list):
        return _intoto(scanner, _time(document, stated))
    report = scanner.object("result")
    parse = _grype if "matches" in report.values else _trivy
    return parse(report, stated=stated)


def _trivy(report: Fields, *, stated: str = "") -> ForeignReport:
    metadata = report.optional_object("Metadata")
    tool = report.optional_object("Trivy").optional_text("Version")[:_LONGEST]
    found: list[FoundVulnerability] = []
    targets: list[ScannedTarget] = []
    for target in objects(report, "Results", limit=_MAX_FOUND):
        kind = target.optional_text("Type") or target.optional_text("Target")
        entries = list(objects(target, "Vulnerabilities", limit=_MAX_FOUND))
        targets.append(ScannedTarget(kind=_plain(kind), packages=_length(target, "Packages")))
        found += (_of_trivy(entry, kind) for entry in entries)
        _check_count(report, found)
    return ForeignReport(
        result=_result(
            ScannerIdentity(uri="pkg:github/aquasecurity/trivy", version=tool),
            _time(report, report.optional_text("CreatedAt"), stated),
            found,
            targets=targets,
        ),
        digests=_digests(metadata.optional_text("ImageID"), *_texts(metadata, "RepoDigests")),
    )


def _of_trivy(entry: Fields, kind: str) -> FoundVulnerability:
    fixed = entry.optional_text("FixedVersion")
    return _found(
        entry.optional_text("VulnerabilityID"),
        entry.get("Severity"),
        (kind, entry.optional_text("PkgName"), entry.optional_text("InstalledVersion")),
        fixed_in=(_plain(fixed),) if fixed else (),
    )


def _grype(report: Fields, *, stated: str = "") -> ForeignReport:
    source, descriptor = report.object("source"), report.object("descriptor")
    target = source.get("target")
    if source.get("type") != "image" or not isinstance(target, dict):
        raise report.fault("is not of an image", hint="grype registry:REFERENCE -o json")
    image = Fields.of(target, what=f"{_WHAT}: target", code=_CODE)
    found = [_of_grype(entry) for entry in objects(report, "matches", limit=_MAX_FOUND)]
    # Grype names no targets: an empty list says that nothing was found.
    kinds = dict.fromkeys(each.kind for each in found) or {"grype": None}
    return ForeignReport(
        result=_result(
            ScannerIdentity(
                uri="pkg:github/anchore/grype",
                version=descriptor.optional_text("version")[:_LONGEST],
            ),
            _time(report, descriptor.optional_text("timestamp"), stated),
            found,
            targets=[ScannedTarget(kind=kind, packages=0) for kind in kinds],
        ),
        digests=_digests(
            image.optional_text("manifestDigest"),
            image.optional_text("imageID"),
            *_texts(image, "repoDigests"),
        ),
    )


def _of_grype(match: Fields) -> FoundVulnerability:
    vulnerability, artifact = match.object("vulnerability"), match.object("artifact")
    fix = vulnerability.optional_object("fix")
    versions, state = _texts(fix, "versions"), fix.optional_text("state")
    nothing: tuple[str, ...] | None = () if state in _UNFIXED else None
    return _found(
        vulnerability.optional_text("id"),
        vulnerability.get("severity"),
        tuple(artifact.optional_text(key) for key in ("type", "name", "version")),
        fixed_in=tuple(map(_plain, versions)) or (() if state == "unknown" else nothing),
    )


def _intoto(scanner: Fields, finished: datetime) -> ForeignReport:
    found = []
    for entry in objects(scanner, "result", limit=_MAX_FOUND):
        ratings = objects(entry, "severity", limit=_MAX_LISTED)
        # The worst counts, as for the policy.
        worst = max(
            (stated_severity(rating.get("score")) for rating in ratings), default=Severity.UNKNOWN
        )
        found.append(_found(entry.optional_text("id"), worst, ("", "", ""), fixed_in=None))
    identity = ScannerIdentity(
        uri=_plain(scanner.optional_text("uri")), version=_plain(scanner.optional_text("version"))
    )
    targets = [ScannedTarget(kind="image", packages=0)]
    return ForeignReport(
        result=_result(identity, finished, found, targets=targets), digests=frozenset()
    )


def _found(
    name: str, severity: object, package: tuple[str, ...], *, fixed_in: tuple[str, ...] | None
) -> FoundVulnerability:
    kind, called, version = map(_plain, package)
    return FoundVulnerability(
        id=_plain(name),
        kind=kind,
        package=called,
        version=version,
        severity=severity if isinstance(severity, Severity) else stated_severity(severity),
        fixed_in=fixed_in,
    )


def _result(
    scanner: ScannerIdentity,
    finished: datetime,
    found: list[FoundVulnerability],
    *,
    targets: list[ScannedTarget],
) -> ScanResult:
    return ScanResult(
        scanner=scanner,
        finished=finished,
        targets=tuple(targets),
        vulnerabilities=tuple(sorted(found, key=worst_first)),
    )


def _time(report: Fields, *stated: str) -> datetime:
    """Return the oldest time that is stated.

    Raises:
        DocumentError: none is: its age could not be judged.
    """
    times = [time for text in stated if (time := time_of(text)) is not None]
    if not times:
        raise report.fault(
            "does not say when it was made",
            hint="make it again with a newer version of the scanner",
        )
    return min(times)


def _digests(*texts: str) -> frozenset[str]:
    """Return the digests of texts such as ``HOST/NAME@sha256:...``."""
    return frozenset(text.rpartition("@")[2] for text in texts if ":" in text)


def _texts(fields: Fields, key: str) -> list[str]:
    values: list[Any] = []
    if fields.get(key) is not None:
        values = fields.array(key, limit=_MAX_LISTED)
    return [value for value in values if isinstance(value, str)]


def _length(fields: Fields, key: str) -> int:
    value = fields.get(key)
    return len(value) if isinstance(value, list) else 0


def _check_count(report: Fields, found: list[FoundVulnerability]) -> None:
    if len(found) > _MAX_FOUND:
        raise DocumentError(
            f"{report.what} names more than {_MAX_FOUND} vulnerabilities", code="TOO_MANY"
        )


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST])

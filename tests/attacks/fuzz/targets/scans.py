"""Advisories, archives of them, and reports of scanners."""

import io
import json
import tempfile
import zipfile
from pathlib import Path

from imagekit.scan.affected import affected
from imagekit.scan.database_files import documents as database_documents
from imagekit.scan.debian_tracker import parse_tracker
from imagekit.scan.ecosystems import VersionOrder, lookup_of
from imagekit.scan.foreign_reports import parse_report
from imagekit.scan.osv import parse_osv
from imagekit.scan.severity import severity_of
from tests.attacks.fuzz.target import Target, documents, texts
from tests.support.advisories import fixed, osv

_OSV = {
    **osv("GHSA-1", "PyPI", "a", *fixed("1.2"), aliases=["CVE-2024-1"], upstream=["CVE-2024-2"]),
    "database_specific": {"severity": "HIGH"},
}
_TRACKER = {
    "openssl": {
        "CVE-2024-1": {
            "releases": {"bookworm": {"status": "resolved", "fixed_version": "3", "urgency": "low"}}
        }
    }
}
_DIGEST = f"sha256:{'a' * 64}"
_TRIVY = {
    "SchemaVersion": 2,
    "CreatedAt": "2026-11-23T00:00:00.123456789Z",
    "Metadata": {"ImageID": _DIGEST, "RepoDigests": [f"r.site/a@{_DIGEST}"]},
    "Results": [
        {"Type": "debian", "Vulnerabilities": [{"VulnerabilityID": "CVE-1", "Severity": "LOW"}]}
    ],
}
_GRYPE = {
    "matches": [
        {
            "vulnerability": {"id": "CVE-1", "severity": "High", "fix": {"versions": ["1"]}},
            "artifact": {"name": "a", "version": "1", "type": "deb"},
        }
    ],
    "source": {"type": "image", "target": {"manifestDigest": _DIGEST}},
    "descriptor": {"name": "grype", "version": "1", "timestamp": "2026-11-23T00:00:00Z"},
}
_COSIGN = {
    "scanner": {"result": _TRIVY},
    "metadata": {"scanFinishedOn": "2026-11-23T00:00:00Z"},
}
_STATEMENT = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"digest": {"sha256": "a" * 64}}],
    "predicateType": "https://in-toto.io/attestation/vulns/v0.2",
    "predicate": {
        "scanner": {"uri": "x", "result": [{"id": "CVE-1", "severity": [{"score": "7.5"}]}]},
        "metadata": {"scanFinishedOn": "2026-11-23T00:00:00Z"},
    },
}


def _osv(raw: bytes) -> None:
    """Hold that what was read can be evaluated, for every kind of version."""
    for _, _, advisory in parse_osv(raw).packages:
        severity_of(advisory.ratings)
        for order in VersionOrder:
            affected(advisory, "1.1", order)


def _tracker(raw: bytes) -> None:
    for record in parse_tracker(raw):
        for _, _, advisory in record.packages:
            affected(advisory, "1.1", VersionOrder.DEBIAN)


def _report(raw: bytes) -> None:
    report = parse_report(raw)
    for found in report.result.vulnerabilities:
        if not found.id.isprintable():
            raise AssertionError(f"a name that steers terminals: {found.id!r}")


def _archive(raw: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(raw)
        file.flush()
        for document in database_documents((Path(file.name),)):
            if not document.place:
                raise AssertionError("a document of nowhere")


def _versions(raw: bytes) -> None:
    """Compare a version with a fix, each a line, behind the package that has it."""
    purl, _, rest = raw.decode("utf-8", "replace").partition("\n")
    lookup = lookup_of(purl)
    if lookup is None:
        return
    events = fixed(rest.partition("\n")[0])
    (package,) = parse_osv(json.dumps(osv("X", "PyPI", "a", *events)).encode()).packages
    for _, version in lookup.names:
        affected(package[2], version, lookup.order)


def _zipped() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", json.dumps(_OSV))
        archive.writestr("b.json", json.dumps(_OSV))
    return raw.getvalue()


TARGETS = {
    "osv": Target(check=_osv, seeds=documents(_OSV), json=True),
    "debian-tracker": Target(check=_tracker, seeds=documents(_TRACKER), json=True),
    "scan-report": Target(
        check=_report, seeds=documents(_TRIVY, _GRYPE, _COSIGN, _STATEMENT), json=True
    ),
    "scan-archive": Target(check=_archive, seeds=(_zipped(),)),
    "affected-versions": Target(
        check=_versions,
        seeds=texts(
            "pkg:deb/debian/a@1:2.0~rc1-1?distro=debian-12\n2.0-1",
            "pkg:rpm/rocky/a@1.0-1.el9?epoch=1&upstream=b-1-1.src.rpm\n2-1",
            "pkg:maven/org.x/y@2.0-rc1\n2.0",
            "pkg:golang/github.com/a/b@v0.0.0-20200622213623-75b288015ac9\n0.1.0",
            "pkg:gem/a@1.2.pre\n1.2",
        ),
    ),
}

"""Packages and advisories are brought together, and nothing is passed over without a word."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from imagekit.errors import DocumentError
from imagekit.policy.condition import Severity
from imagekit.scan import match as matching
from imagekit.scan.advisory_index import open_index
from imagekit.scan.image_packages import ImagePackage, packages_of_document
from imagekit.scan.match import Matched, match
from tests.support.advisories import HIGH, export, fixed, osv

SSL = "pkg:deb/debian/libssl3@3.0.14-1?distro=debian-12&upstream=openssl"


def found(folder: Path, *purls: str, part_of: Mapping[str, str] | None = None) -> Matched:
    """Match packages with the advisories of a folder."""
    packages = [ImagePackage(purl=purl, part_of=(part_of or {}).get(purl, "")) for purl in purls]
    with closing(open_index(folder)) as index:
        return match(packages, index)


def test_what_is_affected_is_found_with_its_fix(tmp_path: Path) -> None:
    """By the source package, and under the name that people know."""
    export(tmp_path, "D", [osv("DEBIAN-CVE-1", "Debian:12", "openssl", *fixed("3.0.15-1"))])
    export(tmp_path, "E", [osv("DEBIAN-CVE-2", "Debian:12", "openssl", *fixed("3.0.14-1"))])

    (vulnerability,) = found(tmp_path, SSL).vulnerabilities

    assert (vulnerability.id, vulnerability.package, vulnerability.version) == (
        "DEBIAN-CVE-1",
        "libssl3",
        "3.0.14-1",
    )
    assert (vulnerability.severity, vulnerability.fixed_in) == (Severity.HIGH, ("3.0.15-1",))


def test_advisories_on_one_vulnerability_are_one_finding(tmp_path: Path) -> None:
    """Debian's tracker, OSV's copy of it, and a record that alone knows how bad it is."""
    bookworm = {"status": "open", "urgency": "not yet assigned"}
    tracker = {"openssl": {"CVE-2024-1": {"releases": {"bookworm": bookworm}}}}
    (tmp_path / "tracker.json").write_text(json.dumps(tracker))
    export(
        tmp_path,
        "Debian",
        [osv("DEBIAN-CVE-2024-1", "Debian:12", "openssl", *fixed("9"), severity="",
             upstream=["CVE-2024-1"])],
    )  # fmt: skip
    export(tmp_path, "npm", [osv("GHSA-1", "npm", "other", aliases=["CVE-2024-1"])])

    (vulnerability,) = found(tmp_path, SSL).vulnerabilities

    assert (vulnerability.id, vulnerability.severity) == ("CVE-2024-1", Severity.HIGH)
    assert vulnerability.aliases == ("DEBIAN-CVE-2024-1",)
    assert vulnerability.fixed_in == ("9",)


def test_the_worst_comes_first(tmp_path: Path) -> None:
    """A severity that nobody states is the worst."""
    critical = HIGH.replace("C:N/I:N", "C:H/I:H")
    export(
        tmp_path,
        "PyPI",
        [
            osv(
                "LOW", "PyPI", "a", *fixed("2"), severity="", database_specific={"severity": "LOW"}
            ),
            osv("CRITICAL", "PyPI", "a", *fixed("2"), severity=critical),
            osv("NONE-STATED", "PyPI", "a", *fixed("2"), severity=""),
        ],
    )

    listed = found(tmp_path, "pkg:pypi/a@1").vulnerabilities

    assert [each.id for each in listed] == ["NONE-STATED", "CRITICAL", "LOW"]


def test_what_the_data_lack_is_a_gap(tmp_path: Path) -> None:
    """Another release is lacking, too; a kind that no data have is a note."""
    export(tmp_path, "D", [osv("A", "Debian:11", "openssl", *fixed("9"))])

    matched = found(tmp_path, SSL, "pkg:npm/a@1", "pkg:npm/b@1", "pkg:generic/x@1")

    assert matched.targets == ()
    assert matched.gaps == ("Debian:12: 1 package", "npm: 2 packages")
    assert matched.notes == ("1 package of kind generic: no advisories of OSV speak of these",)


def test_a_package_within_a_distributions_is_judged_by_its_advisories(tmp_path: Path) -> None:
    """They know what it has fixed. Where the data have none of them, it is judged by itself."""
    python, owner = "pkg:pypi/requests@2", "pkg:deb/debian/python3-requests@2-1?distro=debian-12"
    export(tmp_path, "PyPI", [osv("A", "PyPI", "requests", *fixed("3"))])
    alone = found(tmp_path, python, part_of={python: owner})
    export(tmp_path, "D", [osv("B", "Debian:12", "other", *fixed("9"))])
    owned = found(tmp_path, python, owner, part_of={python: owner})

    assert [each.id for each in alone.vulnerabilities] == ["A"]
    assert owned.vulnerabilities == ()
    assert "judged by its advisories" in owned.notes[0]


def test_doubt_is_told(tmp_path: Path) -> None:
    """What cannot be compared counts as found."""
    export(tmp_path, "PyPI", [osv("A", "PyPI", "a", *fixed("2"))])

    (vulnerability,) = found(tmp_path, "pkg:pypi/a@what").vulnerabilities

    assert "cannot be compared" in vulnerability.doubt


def test_comparisons_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SBOM that names one package in very many versions does not cost hours."""
    export(tmp_path, "PyPI", [osv("A", "PyPI", "a", *fixed("2"))])
    monkeypatch.setattr(matching, "MAX_COMPARED", 10)

    with pytest.raises(DocumentError) as refused:
        found(tmp_path, *(f"pkg:pypi/a@1.{number}" for number in range(11)))

    assert refused.value.code == "TOO_MANY"


def test_the_packages_of_an_sbom_are_those_with_a_purl() -> None:
    """And what they are a part of."""
    part = {"name": "imagekit:part-of", "value": "pkg:deb/debian/b@1"}
    document = {"components": [{"name": "x"}, {"purl": "pkg:pypi/a@1", "properties": [part]}]}

    assert packages_of_document(document) == (
        ImagePackage(purl="pkg:pypi/a@1", part_of="pkg:deb/debian/b@1"),
    )

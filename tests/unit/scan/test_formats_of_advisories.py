"""Advisories of OSV and of Debian's tracker are read; what is none is refused."""

import json

import pytest

from imagekit.errors import DocumentError
from imagekit.scan.debian_tracker import parse_tracker
from imagekit.scan.osv import parse_osv
from imagekit.scan.severity import Rating
from tests.support.advisories import HIGH, fixed, osv

TRACKER = {
    "openssl": {
        "CVE-2024-6119": {
            "description": "x",
            "debianbug": 1,
            "scope": "remote",
            "releases": {
                "bookworm": {
                    "status": "resolved",
                    "repositories": {"bookworm": "3.0.15-1~deb12u1"},
                    "fixed_version": "3.0.14-1~deb12u2",
                    "urgency": "not yet assigned",
                },
                "bullseye": {"status": "resolved", "fixed_version": "0", "urgency": "unimportant"},
                "trixie": {"status": "open", "urgency": "medium**", "nodsa": "Minor issue"},
                "sid": {"status": "undetermined", "urgency": "unimportant"},
            },
        }
    }
}


def raw(document: object) -> bytes:
    """Return a document as bytes."""
    return json.dumps(document).encode()


def test_an_advisory_of_osv_is_read() -> None:
    """Its packages, with names, ratings and ranges; keys that nobody knows are passed over."""
    document = osv(
        "GHSA-1", "Maven:https://maven.example", "org.x:y", *fixed("2"), aliases=["CVE-1"]
    )
    record = parse_osv(raw({**document, "new_key": {"a": 1}}))

    ((ecosystem, name, advisory),) = record.packages
    assert (ecosystem, name) == ("Maven", "org.x:y")
    assert advisory.aliases == ("CVE-1",)
    assert advisory.ratings == (Rating("CVSS_V3", HIGH),)
    assert [event.fixed for event in advisory.ranges[0]] == ["", "2"]
    assert record.ids == ("GHSA-1", "CVE-1")


def test_a_severity_of_a_package_counts_before_that_of_all() -> None:
    """OSV, ``affected[].severity``; databases also have words of their own."""
    document = osv("X-1", "Debian:12", "a", *fixed("2"))
    document["affected"][0]["database_specific"] = {"severity": "LOW"}

    assert parse_osv(raw(document)).packages[0][2].ratings == (Rating("word", "LOW"),)


def test_a_severity_of_another_kind_is_none() -> None:
    """``database_specific`` may hold anything."""
    document = osv("X-1", "PyPI", "a", severity="", database_specific={"severity": ["HIGH"]})

    assert parse_osv(raw(document)).packages[0][2].ratings == ()


def test_a_withdrawn_advisory_speaks_of_no_package() -> None:
    """OSV, ``withdrawn``."""
    document = osv("X-1", "PyPI", "a", *fixed("2"), withdrawn="2026-01-01T00:00:00Z")

    assert parse_osv(raw(document)).packages == ()


def test_commits_are_not_compared() -> None:
    """A range of GIT says nothing of a package's version."""
    document = osv("X-1", "PyPI", "a", {"introduced": "0"})
    document["affected"][0]["ranges"][0]["type"] = "GIT"

    assert parse_osv(raw(document)).packages[0][2].ranges == ()


def test_the_tracker_is_read_by_release() -> None:
    """What a release never had is left out; what nobody has looked at counts as open."""
    (record,) = parse_tracker(raw(TRACKER))

    said = {
        ecosystem: (
            name,
            advisory.id,
            advisory.ratings[0].score,
            [event.fixed for event in advisory.ranges[0]],
        )
        for ecosystem, name, advisory in record.packages
    }
    assert said == {
        "Debian:12": ("openssl", "CVE-2024-6119", "not yet assigned", ["", "3.0.14-1~deb12u2"]),
        "Debian:13": ("openssl", "CVE-2024-6119", "medium", [""]),
        "Debian:sid": ("openssl", "CVE-2024-6119", "negligible", [""]),
    }


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{", b'{"id": 1}', b'{"a": 1}', b'{"a": {"b": {}}}', b"[" * 100_000, b"\xff"],
    ids=["empty", "list", "half", "id", "number", "release", "deep", "bytes"],
)
def test_what_is_no_advisory_is_refused(document: bytes) -> None:
    """By both parsers, and with no other error."""
    with pytest.raises(DocumentError):
        parse_osv(document)
    with pytest.raises(DocumentError):
        list(parse_tracker(document))


def test_a_range_of_very_many_events_is_refused() -> None:
    """They are sorted for each version that is compared."""
    with pytest.raises(DocumentError) as refused:
        parse_osv(raw(osv("X-1", "PyPI", "a", *({"fixed": "1"} for _ in range(10_001)))))

    assert refused.value.code == "TOO_MANY"

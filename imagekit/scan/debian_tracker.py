"""Debian's security tracker, as https://security-tracker.debian.org/tracker/data/json has it.

``{SOURCE: {CVE: {"releases": {"bookworm": {"status", "fixed_version", "urgency", "nodsa"}}}}}``.
What is ``undetermined`` counts as open: nobody has said that it is not there.
"""

from collections.abc import Iterator
from types import MappingProxyType

import msgspec
from msgspec import Struct

from imagekit.errors import DocumentError
from imagekit.scan.advisory import Advisory, AdvisoryRecord, VersionEvent
from imagekit.scan.severity import Rating

# distro-info-data, debian.csv; sid has no number.
_RELEASES = MappingProxyType(
    {
        "jessie": "8",
        "stretch": "9",
        "buster": "10",
        "bullseye": "11",
        "bookworm": "12",
        "trixie": "13",
        "forky": "14",
        "duke": "15",
    }
)
_NOT_AFFECTED = "0"
"""The ``fixed_version`` of what a release never had."""
_URGENCIES = MappingProxyType({"unimportant": "negligible"})


class _Release(Struct):
    status: str
    fixed_version: str | None = None
    urgency: str | None = None


class _Issue(Struct):
    releases: dict[str, _Release]


_SOURCES = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ISSUES = msgspec.json.Decoder(dict[str, _Issue])


def parse_tracker(raw: bytes | memoryview) -> Iterator[AdvisoryRecord]:
    """Yield a record for each vulnerability of each source package.

    Raises:
        DocumentError: it is no export of the tracker.
    """
    try:
        for source, issues in _SOURCES.decode(raw).items():
            for name, issue in _ISSUES.decode(issues).items():
                yield _record(source, name, issue)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DocumentError(
            f"it is neither an advisory of OSV nor Debian's tracker: {error}", code="BAD_DOCUMENT"
        ) from error


def _record(source: str, name: str, issue: _Issue) -> AdvisoryRecord:
    packages = [
        (f"Debian:{_RELEASES.get(release, release)}", source, _advisory(name, stated))
        for release, stated in issue.releases.items()
        if not (stated.status == "resolved" and stated.fixed_version == _NOT_AFFECTED)
    ]
    # Not the name alone: another database may have a record of the vulnerability itself.
    return AdvisoryRecord(key=f"debian-tracker/{source}/{name}", packages=tuple(packages))


def _advisory(name: str, stated: _Release) -> Advisory:
    events = [VersionEvent(introduced="0")]
    if stated.status == "resolved" and stated.fixed_version:
        events.append(VersionEvent(fixed=stated.fixed_version))
    # ``medium**``: the stars say that the urgency is the NVD's.
    urgency = (stated.urgency or "").rstrip("*")
    return Advisory(
        id=name,
        ratings=(Rating("debian", _URGENCIES.get(urgency, urgency)),),
        ranges=(tuple(events),),
    )

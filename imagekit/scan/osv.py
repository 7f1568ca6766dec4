"""Advisories in OSV's format, 1.0 to 1.7 (https://ossf.github.io/osv-schema/).

Unknown keys are passed over, as the schema demands of minor versions ("schema_version field").
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from imagekit.errors import DocumentError
from imagekit.scan.advisory import Advisory, AdvisoryRecord, VersionEvent
from imagekit.scan.ecosystems import advisory_ecosystem
from imagekit.scan.severity import Rating

MAX_ADVISORY = 16 << 20
"""Largest advisory in bytes; the largest known ones, of thousands of versions, have 2 MB."""
_MAX_EVENTS = 10_000
# SEMVER is ordered as its ecosystem is; commits of GIT cannot be compared with a package.
_ORDERED = frozenset({"SEMVER", "ECOSYSTEM"})


class _Package(Struct):
    ecosystem: str = ""
    name: str = ""


class _Event(Struct):
    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class _Range(Struct):
    type: str
    events: list[_Event] | None = None


class _Rating(Struct):
    type: str
    score: str


class _Word(Struct):
    """What databases add: GitHub's severity is a word here."""

    severity: Any = None


class _Affected(Struct):
    package: _Package | None = None
    ranges: list[_Range] | None = None
    versions: list[str] | None = None
    severity: list[_Rating] | None = None
    ecosystem_specific: _Word | None = None
    database_specific: _Word | None = None


class _Osv(Struct):
    id: str
    modified: str
    withdrawn: str | None = None
    aliases: list[str] | None = None
    upstream: list[str] | None = None
    severity: list[_Rating] | None = None
    affected: list[_Affected] | None = None
    database_specific: _Word | None = None


_DECODER = msgspec.json.Decoder(_Osv)


def parse_osv(raw: bytes | memoryview) -> AdvisoryRecord:
    """Read an advisory.

    Raises:
        DocumentError: it is none.
    """
    try:
        osv = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DocumentError(f"it is no advisory of OSV: {error}", code="BAD_DOCUMENT") from error
    ratings = (*_ratings(osv.severity), *_words(osv.database_specific))
    names = tuple(dict.fromkeys((*(osv.aliases or ()), *(osv.upstream or ()))))
    # OSV, "withdrawn field".
    packages = () if osv.withdrawn else tuple(_packages(osv, names, ratings))
    every = (*ratings, *(rating for _, _, advisory in packages for rating in advisory.ratings))
    return AdvisoryRecord(
        key=osv.id,
        modified=osv.modified,
        packages=packages,
        ids=(osv.id, *(osv.aliases or ())),
        ratings=() if osv.withdrawn else tuple(dict.fromkeys(every)),
    )


def _packages(
    osv: _Osv, names: tuple[str, ...], ratings: tuple[Rating, ...]
) -> Iterator[tuple[str, str, Advisory]]:
    for affected in osv.affected or ():
        if affected.package is None or not affected.package.name:
            continue
        own = (
            *_ratings(affected.severity),
            *_words(affected.ecosystem_specific),
            *_words(affected.database_specific),
        )
        advisory = Advisory(
            id=osv.id,
            aliases=names,
            # OSV, "affected[].severity field": where a package has its own, that one counts.
            ratings=own or ratings,
            ranges=tuple(_ranges(affected)),
            versions=tuple(affected.versions or ()),
        )
        yield advisory_ecosystem(affected.package.ecosystem), affected.package.name, advisory


def _ranges(affected: _Affected) -> Iterator[tuple[VersionEvent, ...]]:
    for listed in affected.ranges or ():
        if listed.type not in _ORDERED:
            continue
        if len(listed.events or ()) > _MAX_EVENTS:
            raise DocumentError(f"a range has more than {_MAX_EVENTS} events", code="TOO_MANY")
        yield tuple(
            VersionEvent(
                event.introduced or "",
                event.fixed or "",
                event.last_affected or "",
                event.limit or "",
            )
            for event in listed.events or ()
        )


def _ratings(stated: list[_Rating] | None) -> Iterator[Rating]:
    return (Rating(rating.type, rating.score) for rating in stated or ())


def _words(stated: _Word | None) -> Iterator[Rating]:
    """Yield a severity that is a word, as GitHub's advisories and Red Hat's have it."""
    if stated is not None and isinstance(stated.severity, str):
        yield Rating("word", stated.severity)

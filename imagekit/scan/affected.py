"""Whether a version is affected: OSV's evaluation (https://ossf.github.io/osv-schema/#evaluation).

What cannot be compared counts as affected, and the answer says so.
"""

import re
from functools import lru_cache
from typing import Any

from msgspec import Struct

from imagekit.scan.advisory import Advisory, VersionEvent
from imagekit.scan.ecosystems import VersionOrder

MAX_VERSION = 128
"""Longest version that is compared: some kinds take time by the square of the length."""
# apk-tools, version.c: these follow the version that they are of, as a patch does; univers does not
# know them.
_VCS = re.compile(r"_(?:cvs|svn|git|hg)(?=\d|-|$)")
# Of events at one version: what ends an older range, what begins one, what ends that.
_RANKS = ("fixed", "introduced", "last_affected")


class Affected(Struct, frozen=True, kw_only=True):
    """What an advisory comes to for one version."""

    fixed_in: tuple[str, ...] = ()
    doubt: str = ""


class _IncomparableError(Exception):
    """A version is of no known form."""


def affected(advisory: Advisory, version: str, order: VersionOrder) -> Affected | None:
    """Return that a version is affected, and which versions fix it; None where it is not."""
    if not version:
        return Affected(doubt="the package states no version")
    fixes: list[str] = []
    doubt = ""
    is_affected = version in advisory.versions
    for events in advisory.ranges:
        try:
            inside, fixed = _in_range(events, version, order)
        except _IncomparableError as error:
            inside, fixed, doubt = True, "", str(error)
        is_affected = is_affected or inside
        if inside and fixed:
            fixes.append(fixed)
    if not is_affected:
        return None
    sure = version in advisory.versions or not doubt
    return Affected(fixed_in=tuple(dict.fromkeys(fixes)), doubt="" if sure else doubt)


def _in_range(
    events: tuple[VersionEvent, ...], version: str, order: VersionOrder
) -> tuple[bool, str]:
    """Return whether a range has the version, and the first version behind it that does not."""
    wanted = _parsed(version, order)
    if not _before_limits(events, wanted, order):
        return False, ""
    inside, fixed = False, ""
    for _, event in sorted(
        ((_place(event, order), event) for event in events if not event.limit),
        key=lambda placed: placed[0],
    ):
        at = None if event.introduced == "0" else _parsed(event.version, order)
        if event.introduced and (at is None or wanted >= at):
            inside = True
        elif (event.fixed and wanted >= at) or (event.last_affected and wanted > at):
            inside = False
        if inside and event.fixed and not fixed and wanted < at:
            fixed = event.fixed
    return inside, fixed if inside else ""


def _place(event: VersionEvent, order: VersionOrder) -> tuple[Any, ...]:
    rank = next(n for n, kind in enumerate(_RANKS) if getattr(event, kind) or n == len(_RANKS) - 1)
    # OSV, "Special values": 0 is before any other version.
    return (
        (False, 0, rank) if event.introduced == "0" else (True, _parsed(event.version, order), rank)
    )


def _before_limits(events: tuple[VersionEvent, ...], wanted: Any, order: VersionOrder) -> bool:
    limits = [event.limit for event in events if event.limit]
    return not limits or any("*" in text or wanted < _parsed(text, order) for text in limits)


@lru_cache(maxsize=65536)
def _parsed(version: str, order: VersionOrder) -> Any:
    """Return a version that can be compared.

    Raises:
        _IncomparableError: it is of no known form.
    """
    if not 0 < len(version) <= MAX_VERSION:
        raise _IncomparableError(f"the version {version[:40]!r} cannot be compared")
    from univers import versions

    name, text = order.value, version
    if order is VersionOrder.ALPINE:
        text = _VCS.sub("_p", version)
    elif order is VersionOrder.CRAN:
        name, text = VersionOrder.PYPI.value, version.replace("-", ".")
    try:
        parsed = getattr(versions, name)(text)
        # Some forms fail only where they are compared.
        parsed.__le__(parsed)
    # Each kind of version has a parser of another project's, and hostile text can run it into any
    # fault. What is not compared counts as affected, so that none is passed over.
    except Exception as error:
        raise _IncomparableError(f"the version {version[:40]!r} cannot be compared") from error
    return parsed

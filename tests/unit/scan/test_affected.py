"""Versions are judged as OSV's specification evaluates ranges; doubt counts as affected."""

import pytest

from imagekit.scan.advisory import Advisory, VersionEvent
from imagekit.scan.affected import affected
from imagekit.scan.ecosystems import VersionOrder

ZERO = VersionEvent(introduced="0")


def event(text: str) -> VersionEvent:
    """Return the event of ``KEY VERSION``."""
    key, _, version = text.partition(" ")
    return VersionEvent(**{key: version})


def advisory(*events: str, versions: tuple[str, ...] = ()) -> Advisory:
    """Return an advisory with one range."""
    ranges = (tuple(map(event, events)),) if events else ()
    return Advisory(id="X-1", ranges=ranges, versions=versions)


TWO = ("introduced 1.0.0", "fixed 1.0.2", "introduced 3.0.0", "fixed 3.2.5")


@pytest.mark.parametrize(
    ("events", "version", "inside"),
    [
        (("introduced 0",), "9.9.9", True),
        (("introduced 0", "fixed 1.0.2"), "1.0.1", True),
        (("introduced 0", "fixed 1.0.2"), "1.0.2", False),
        (TWO, "0.9.0", False),
        (TWO, "1.0.1", True),
        (TWO, "2.0.0", False),
        (TWO, "3.2.4", True),
        (TWO, "3.2.5", False),
        # In whatever order they are listed.
        (tuple(reversed(TWO)), "3.2.4", True),
        (("introduced 1.0.0", "last_affected 1.0.0"), "1.0.0", True),
        (("introduced 1.0.0", "last_affected 1.0.0"), "1.0.1", False),
        (("introduced 0", "limit 2.0.0"), "1.9.9", True),
        (("introduced 0", "limit 2.0.0"), "2.0.0", False),
        (("introduced 0", "limit 1.0.0", "limit *"), "2.0.0", True),
        (("introduced 0", "fixed 1.0.0", "introduced 1.0.0"), "1.0.0", True),
        ((), "1.0.0", False),
    ],
)
def test_ranges_are_evaluated_as_the_specification_says(
    events: tuple[str, ...], version: str, *, inside: bool
) -> None:
    """https://ossf.github.io/osv-schema/#evaluation."""
    answer = affected(advisory(*events), version, VersionOrder.SEMVER)

    assert (answer is not None) == inside
    assert answer is None or not answer.doubt


def test_the_fix_behind_the_version_is_named() -> None:
    """Not that of another branch."""
    answer = affected(advisory(*TWO), "1.0.1", VersionOrder.SEMVER)

    assert answer is not None
    assert answer.fixed_in == ("1.0.2",)


def test_a_listed_version_is_affected_whatever_ranges_say() -> None:
    """OSV, ``affected[].versions``."""
    listed = advisory("introduced 2.0.0", versions=("1.0.0",))

    assert affected(listed, "1.0.0", VersionOrder.SEMVER) is not None
    assert affected(listed, "1.0.1", VersionOrder.SEMVER) is None


@pytest.mark.parametrize(
    ("order", "older", "newer"),
    [
        (VersionOrder.DEBIAN, "1.2~rc1-1", "1.2-1"),
        (VersionOrder.DEBIAN, "2.0-1", "1:1.0-1"),
        (VersionOrder.RPM, "3.0.7-9.el9", "3.0.7-24.el9"),
        (VersionOrder.RPM, "9-1", "1:1-1"),
        (VersionOrder.ALPINE, "1.1.1c-r0", "1.1.1d-r0"),
        (VersionOrder.ALPINE, "1.2.3-r1", "1.2.3_git20200101-r0"),
        (VersionOrder.PYPI, "2.0rc1", "2.0"),
        (VersionOrder.GO, "v0.0.0-20200622213623-75b288015ac9", "0.1.0"),
        (VersionOrder.MAVEN, "2.14.0-rc1", "2.14.0"),
        (VersionOrder.GEM, "1.2.pre", "1.2"),
        (VersionOrder.CRAN, "1.2-3", "1.2-10"),
        (VersionOrder.CRAN, "1.2.4", "1.2-10"),
    ],
)
def test_each_kind_orders_versions_in_its_way(order: VersionOrder, older: str, newer: str) -> None:
    """The older one has what the newer one fixes."""
    fixed = advisory("introduced 0", f"fixed {newer}")

    assert affected(fixed, older, order) is not None
    assert affected(fixed, newer, order) is None


@pytest.mark.parametrize("version", ["", "not a version", "1" * 129, "\N{SNOWMAN}"])
def test_what_cannot_be_compared_counts_as_affected(version: str) -> None:
    """And says so: silence would be a vulnerability that nobody sees."""
    answer = affected(advisory("introduced 0", "fixed 1.0"), version, VersionOrder.PYPI)

    assert answer is not None
    assert answer.doubt

"""Globs against each other."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagekit.policy.glob import fault, matches
from imagekit.policy.overlap import covers, overlap

_PARTS = st.sampled_from(("a", "b", "ab", "*", "a*", "*b", "**", "a*b", "*a*", "6", "*6"))
_HOSTS = st.sampled_from(("r.site", "r.site:5000", "*.site", "*", "**", "docker.io", "r*", "site"))
GLOBS = st.builds(
    lambda host, path: "/".join((host, *path)), _HOSTS, st.lists(_PARTS, min_size=1, max_size=3)
).filter(lambda glob: not fault(glob))
NAMES = st.builds(
    lambda host, path: "/".join((host, *path)),
    st.sampled_from(("r.site", "r.site:5000", "x.r.site", "site", "docker.io", "a")),
    st.lists(st.sampled_from(("a", "b", "ab", "aab", "abb", "6", "ba6")), min_size=1, max_size=4),
)


@settings(max_examples=150, deadline=None)
@given(GLOBS, GLOBS, NAMES)
def test_overlap_and_cover_miss_no_name(one: str, other: str, name: str) -> None:
    """A name of both is an overlap; one that is outside of the wide glob denies that it covers."""
    if matches(one, name) and matches(other, name):
        assert overlap(one, other)
    if matches(other, name) and not matches(one, name):
        assert not covers(one, other)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("r.site/**", "r.site/a", True),
        ("r.site/a/**", "r.site/a", False),
        ("r.site/a/**", "r.site/b/**", False),
        ("r.site/*/x", "r.site/a/*", True),
        ("r.site/*/x", "r.site/a/y", False),
        ("r.site/a*", "r.site/*b", True),
        ("r.site/a*", "r.site/b*", False),
        ("**", "r.site/a", True),
        ("r.site/**/x", "r.site/x", False),
        ("*.site/**", "r.other/**", False),
    ],
)
def test_overlap(one: str, other: str, *, expected: bool) -> None:
    """It says no where no name can match both, so that no loss is told that is none."""
    assert overlap(one, other) is expected
    assert overlap(other, one) is expected


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("r.site/**", "r.site/a/*", True),
        ("r.site/**", "r.site/**", True),
        ("r.site/*", "r.site/**", False),
        ("r.site/a*", "r.site/ab*", True),
        ("r.site/ab*", "r.site/a*", False),
        ("**", "r.site/a", True),
    ],
)
def test_covers(wide: str, narrow: str, *, expected: bool) -> None:
    """A whole glob within another."""
    assert covers(wide, narrow) is expected


def test_long_globs_cost_little() -> None:
    """The time is bounded by the product of the lengths."""
    assert overlap("r.site/" + "a*" * 250, "r.site/" + "*a" * 250)

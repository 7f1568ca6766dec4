"""Whether globs can meet: a name is shown, or there is none."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.oci.reference import Repository
from imagekit.policy.glob import fault, matches
from imagekit.policy.overlap import GlobSet, SearchBudget, TooLongError, common_name, may_meet


def _name(*globs: str, unless: tuple[GlobSet, ...] = ()) -> str | None:
    return common_name([GlobSet(glob) for glob in globs], unless=unless, budget=SearchBudget())


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("r.site/apps/*", "r.site/apps/**", "r.site/apps/x"),
        ("r.site/a*", "r.site/*b", "r.site/ab"),
        ("r.site/*/x", "r.site/y/*", "r.site/y/x"),
        ("r.site/x", "r.site/x", "r.site/x"),
        ("r.site:5000/a", "*:5000/a", "r.site:5000/a"),
        ("localhost/**", "*/**", "localhost/x"),
        ("r.site/a", "r.site/b", None),
        ("r.site/*", "r.site/a/*", None),
        ("r.site/a*", "r.site/b*", None),
        ("r.site/**", "s.site/**", None),
        ("r.site/a-*", "r.site/*-", None),
    ],
)
def test_two_globs(first: str, second: str, name: str | None) -> None:
    """The shortest name that both match, or none at all."""
    assert _name(first, second) == name
    assert _name(second, first) == name


def test_what_is_excluded_does_not_count() -> None:
    """Neither what a rule excludes itself nor what another rule takes is found."""
    assert _name("r.site/*", "r.site/**", unless=(GlobSet("r.site/x"),)) == "r.site/b"
    assert _name("r.site/x", "r.site/*", unless=(GlobSet("r.site/x"),)) is None
    taken = GlobSet("r.site/*", ("r.site/x",))
    assert _name("r.site/x", "r.site/**", unless=(taken,)) == "r.site/x"
    excluding = [GlobSet("r.site/*", ("r.site/x",)), GlobSet("r.site/x*")]
    assert common_name(excluding, budget=SearchBudget()) != "r.site/x"


def test_everything_excluded() -> None:
    """Nothing is left of a rule that excludes all it matches."""
    rule = GlobSet("r.site/**", ("r.site/*", "r.site/*/**"))

    assert common_name([rule], budget=SearchBudget()) is None


_GLOB = st.lists(
    st.one_of(st.just("**"), st.text("ab*.", min_size=1, max_size=3)), min_size=1, max_size=3
).map(lambda parts: "/".join(["r.site", *parts]))


@given(st.lists(_GLOB, min_size=1, max_size=3), st.lists(_GLOB, max_size=2))
def test_found_names_are_names_that_match(globs: list[str], others: list[str]) -> None:
    """The automata and the verifier's own matching agree."""
    globs = [each for each in globs if not fault(each)]
    others = [each for each in others if not fault(each)]
    name = _name(*globs, unless=tuple(GlobSet(each) for each in others)) if globs else None

    if name is not None:
        assert all(matches(each, name) for each in globs)
        assert not any(matches(each, name) for each in others)
        assert Repository.parse(name).name == name


_NAME = st.lists(st.from_regex(r"[ab]{1,2}(\.[ab])?", fullmatch=True), min_size=1, max_size=3).map(
    lambda parts: "/".join(["r.site", *parts])
)


@given(_GLOB, _GLOB, _NAME)
def test_where_no_name_is_found_there_is_none(first: str, second: str, name: str) -> None:
    """A name that both match is never overlooked, also not at a glance."""
    if fault(first) or fault(second):
        return
    if matches(first, name) and matches(second, name):
        assert may_meet(first, second)
        assert _name(first, second) is not None


def test_bounded() -> None:
    """Globs that were made to take long cost the budget and no more."""
    globs = [GlobSet("r.site/" + f"*{each}" * 80 + "*") for each in "abcdef"]
    began = time.process_time()

    with pytest.raises(TooLongError):
        common_name(globs, budget=SearchBudget(200_000))

    assert time.process_time() - began < 5

"""Globs of policies: what they match and, above all, what they do not."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.oci.digest import Digest
from imagekit.policy.glob import applicable, fault, literal_length, matches
from imagekit.policy.ruleset import ImageRule, Policy
from imagekit.signatures.authority import Authority
from imagekit.signatures.publickey import PublicKey

_PARTS = st.text(alphabet="ab.-*", min_size=1, max_size=6).filter(lambda part: "**" not in part)
_GLOBS = st.lists(st.one_of(_PARTS, st.just("**")), min_size=1, max_size=5).map("/".join)
_NAMES = st.lists(st.text(alphabet="ab.-", min_size=1, max_size=6), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("glob", "name"),
    [
        ("r.site/apps/*", "r.site/apps"),
        ("r.site/apps/*", "r.site/apps/a/b"),
        ("r.site/apps/**", "r.site/apps"),
        ("r.site/apps/**", "r.site/apps2/a"),
        ("r.site/apps/**", "evil.org/r.site/apps/a"),
        ("r.site/apps/a", "r.site/apps/ab"),
        ("r.site/apps/a", "r.site/apps/A"),
        ("r.site/apps/a", "rxsite/apps/a"),
        ("r.site/apps/a*a", "r.site/apps/a"),
        ("r.site/*", "r.site:5000/a"),
        ("r.site/a/**/b", "r.site/a/b"),
        ("r.site/a/**/b", "r.site/a/x/b/c"),
        ("*/a", "r.site/x/a"),
        ("r.site/a", "r.site/a\n"),
    ],
)
def test_what_a_glob_does_not_match(glob: str, name: str) -> None:
    """A glob matches the whole name, minds case, and `*` stays inside its component."""
    assert not matches(glob, name)


@pytest.mark.parametrize(
    ("glob", "name"),
    [
        ("r.site/apps/*", "r.site/apps/a"),
        ("r.site/apps/**", "r.site/apps/a"),
        ("r.site/apps/**", "r.site/apps/a/b/c"),
        ("r.site/a/**/b", "r.site/a/x/y/b"),
        ("r.site/**/b/**", "r.site/b/b/b"),
        ("r.site/a*b*c", "r.site/aXbYc"),
        ("r.site/a*", "r.site/a"),
        ("*:5000/a", "r.site:5000/a"),
        ("**", "r.site/a/b"),
    ],
)
def test_what_a_glob_matches(glob: str, name: str) -> None:
    """`*` is any characters of a component, `**` one or more components."""
    assert matches(glob, name)


@given(_GLOBS, _NAMES.map("/".join))
def test_matches_as_the_regular_expression_does(glob: str, name: str) -> None:
    """The matcher agrees with a slow and obvious one."""
    parts = (
        "[^/]+(?:/[^/]+)*" if part == "**" else re.escape(part).replace(r"\*", "[^/]*")
        for part in glob.split("/")
    )

    assert matches(glob, name) == bool(re.fullmatch("/".join(parts), name))


@given(_NAMES.map("/".join))
def test_a_name_matches_itself_only_as_a_glob_without_stars(name: str) -> None:
    """Without stars a glob is the name."""
    assert matches(name, name)
    assert not matches(name, name + "x")


def test_a_hostile_name_costs_nothing() -> None:
    """Many stars against a long name that almost fits end at once."""
    assert not matches("r.site/" + "a*" * 200 + "b", "r.site/" + "a" * 50_000)
    assert not matches("/".join(["**"] * 200) + "/b", "/".join(["a"] * 2_000))


def test_literal_length_counts_what_stands_for_itself() -> None:
    """Stars do not make a match longer."""
    assert literal_length("r.site/**") == literal_length("r.site/*") == len("r.site/")


@pytest.mark.parametrize(
    "glob",
    [
        "",
        "r.site",
        "/a",
        "r.site/",
        "r.site//a",
        "r.site/a**",
        "r.site/a:1",
        "r.site/a@sha256:0",
        "r.site/A",
        "r.site/a b",
        "r.site/é",
        "r site/a",
        "***",
        "R.site/**",
        "LOCALHOST/**",
        "r.site./**",
        "*.site./**",
        "r.site:443/**",
        "*:443/**",
        "r.site:05000/**",
        "*:05000/**",
        "127.1/**",
        "[0::1]/**",
        "[::ffff:127.0.0.1]/**",
        "0.0.0.0:5000/**",
        "index.docker.io/**",
        "registry-1.docker.io/library/*",
        "*.docker.io/**",
        "index.*/**",
        "docker.io/debian",
        "docker.io/*",
    ],
)
def test_a_glob_that_can_never_match_has_a_fault(glob: str) -> None:
    """A rule that nothing can match is an error of its author."""
    assert fault(glob)


@pytest.mark.parametrize(
    "glob",
    [
        "**",
        "r.site/**",
        "r.site:5000/a/*-x/**/b",
        "[::1]:5000/a",
        "*/a",
        "*:5000/**",
        "*.site/**",
        "docker.io/**",
        "docker.io/library/*",
        "*/library/*",
    ],
)
def test_a_good_glob_has_no_fault(glob: str) -> None:
    """What can match is accepted."""
    assert fault(glob) == ""


def _policy(*rules: tuple[str, tuple[str, ...]]) -> Policy:
    authority = Authority(name="a", key=PublicKey(b"a"))
    return Policy(
        name="p",
        version=1,
        expires=datetime(2030, 1, 1, tzinfo=UTC),
        digest=Digest.of(b""),
        images=tuple(
            ImageRule(glob=glob, exclude=exclude, authorities=(authority,))
            for glob, exclude in rules
        ),
    )


def test_no_rule_applies_to_a_name_that_none_matches() -> None:
    """What no glob matches has no rule."""
    assert applicable(_policy(("r.site/a/**", ())), "r.site/b/x") == ()


def test_the_longest_match_wins() -> None:
    """More literal characters are more specific, wherever the rule stands."""
    policy = _policy(("r.site/apps/**", ()), ("r.site/**", ()), ("**", ()))

    assert [rule.glob for rule in applicable(policy, "r.site/apps/x")] == ["r.site/apps/**"]


def test_an_excluded_name_falls_to_the_next_rule() -> None:
    """An exclusion takes the name out of this rule only."""
    policy = _policy(("r.site/apps/**", ("r.site/apps/scratch/**",)), ("r.site/**", ()))

    assert [rule.glob for rule in applicable(policy, "r.site/apps/scratch/x")] == ["r.site/**"]
    assert [rule.glob for rule in applicable(policy, "r.site/apps/x")] == ["r.site/apps/**"]


def test_a_tie_returns_all_so_that_nobody_chooses() -> None:
    """Two equally long matches are both returned: the verifier must not pick one."""
    policy = _policy(("r.site/a*/bb", ()), ("r.site/aa/b*", ()))

    assert len(applicable(policy, "r.site/aa/bb")) == 2

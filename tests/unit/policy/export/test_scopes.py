"""Globs as scopes of policy.json."""

from collections.abc import Iterator
from itertools import product

from hypothesis import given, settings

from imagekit.policy.export.scopes import scope_of
from imagekit.policy.glob import matches
from tests.unit.policy.export.readers import in_scope
from tests.unit.policy.test_overlap import GLOBS, NAMES


@settings(max_examples=150, deadline=None)
@given(GLOBS, NAMES)
def test_scope_holds_every_name(glob: str, name: str) -> None:
    """A scope is never too small; where nothing is said of others it is not too large either."""
    scope = scope_of(glob)
    if scope is None:
        return

    if matches(glob, name):
        assert in_scope(scope.text, name)
    elif in_scope(scope.text, name):
        assert scope.wider


def test_some_globs_have_words_everywhere() -> None:
    """The properties above are not true for want of cases."""
    shapes = list(_shapes())

    assert all(scope_of(glob) for glob in shapes)


def _shapes() -> Iterator[str]:
    for host, path in product(("r.site", "r.site:5000", "localhost"), ("**", "a", "a/**", "a/*")):
        yield f"{host}/{path}"

"""SPDX expressions: what denies and what allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.verify.conditions.licences import MAX_EXPRESSION, covered, named_in, normal

_DENIED = frozenset({"gpl-3.0-only"})
_ALLOWED = frozenset({"mit", "apache-2.0", "gpl-2.0-only"})


@pytest.mark.parametrize(
    "text",
    [
        "GPL-3.0-only",
        "gpl-3.0-ONLY",
        "GPL-3.0",
        "MIT OR GPL-3.0-only",
        "(MIT AND (GPL-3.0-only))",
        "GPL-3.0-only WITH Classpath-exception-2.0",
        "under the terms of GPL-3.0-only.",
        "MIT/GPL-3.0-only",
        "GPL-3.0-only OR",
    ],
)
def test_a_denied_licence_is_found_wherever_it_stands(text: str) -> None:
    """As one side of a choice, in any case, by its old name, in prose, in a broken expression."""
    assert named_in(text, _DENIED) == "gpl-3.0-only"


@pytest.mark.parametrize(
    "text", ["GPL-3.0-or-later", "GPL-3.0+", "AGPL-3.0-only", "LGPL-3.0-only", "MIT", "", "GPL-3"]
)
def test_another_licence_is_not_denied(text: str) -> None:
    """Each identifier is a licence of its own."""
    assert not named_in(text, _DENIED)


@pytest.mark.parametrize(
    "text",
    [
        "MIT",
        "mit",
        "(MIT)",
        "MIT OR GPL-3.0-only",
        "GPL-3.0-only OR MIT",
        "MIT AND Apache-2.0",
        "GPL-3.0-only AND MIT OR Apache-2.0",
        "Apache-2.0 OR (GPL-3.0-only AND MIT)",
        "GPL-2.0 WITH Classpath-exception-2.0",
        "mit or x",
    ],
)
def test_what_can_be_used_under_allowed_licences_is_allowed(text: str) -> None:
    """One side of OR suffices, AND binds tighter, an exception only allows more."""
    assert covered(text, _ALLOWED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "MIT AND (GPL-3.0-only OR BSD-3-Clause)",
        "(MIT OR Apache-2.0) AND GPL-3.0-only",
        "GPL-3.0-only WITH MIT",
        "MIT OR",
        "OR MIT",
        "MIT MIT",
        "(MIT",
        "MIT)",
        "()",
        "MIT WITH",
        "MIT WITH OR MIT",
        "MIT, Apache-2.0",
        "MIT OR \u0130",
        "(" * 33 + "MIT" + ")" * 33,
        "MIT" + " OR MIT" * MAX_EXPRESSION,
        "MIT\nPermission is hereby granted",
    ],
)
def test_what_is_not_covered_or_no_expression_is_not_allowed(text: str) -> None:
    """Both sides of AND are needed, and what cannot be read allows nothing."""
    assert not covered(text, _ALLOWED)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("GPL-2.0", "gpl-2.0-only"),
        ("GPL-2.0+", "gpl-2.0-or-later"),
        ("LGPL-2.1+", "lgpl-2.1-or-later"),
        ("AGPL-3.0", "agpl-3.0-only"),
        ("GFDL-1.3", "gfdl-1.3-only"),
        ("GPL-2.0-only", "gpl-2.0-only"),
        ("Apache-1.0+", "apache-1.0+"),
    ],
)
def test_old_names_of_gnu_licences(old: str, new: str) -> None:
    """SPDX renamed them, and many documents have not."""
    assert normal(old) == new


_IDS = st.sampled_from(("MIT", "Apache-2.0", "GPL-3.0-only", "X"))
_EXPRESSIONS = st.recursive(
    _IDS,
    lambda inner: st.tuples(inner, st.sampled_from((" OR ", " AND ")), inner).map(
        lambda parts: f"({parts[0]}{parts[1]}{parts[2]})"
    ),
    max_leaves=12,
)


@given(_EXPRESSIONS)
def test_expressions_mean_what_python_makes_of_them(text: str) -> None:
    """The evaluator agrees with another one."""
    python = text.replace(" OR ", " or ").replace(" AND ", " and ")
    for identifier, value in (("MIT", True), ("Apache-2.0", True), ("GPL-3.0-only", False)):
        python = python.replace(identifier, str(value))

    assert covered(text, _ALLOWED) == eval(python.replace("X", "False"))  # noqa: S307  # of ours


@given(st.text(max_size=60), st.frozensets(_IDS.map(normal)), _IDS.map(normal))
def test_more_denied_or_less_allowed_never_accepts_more(
    text: str, licences: frozenset[str], more: str
) -> None:
    """A longer deny list finds at least as much, a shorter allow list covers at most as much."""
    if named_in(text, licences):
        assert named_in(text, licences | {more})
    if covered(text, licences):
        assert covered(text, licences | {more})

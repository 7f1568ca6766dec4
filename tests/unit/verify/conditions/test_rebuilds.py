"""The condition of a rebuild: each refusal differs from a good statement in one thing."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.policy.condition import RebuildCondition
from imagekit.policy.now import Now
from imagekit.verify.conditions.rebuilds import MAX_BUILDERS, check_rebuild

_NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
_ANY = RebuildCondition()
_NAMED = RebuildCondition(builder_ids=("urn:second", "urn:third"))
_DAY = RebuildCondition(max_age=timedelta(days=1))


def _rebuild(**changes: object) -> dict[str, object]:
    good = {
        "builder": {"id": "urn:second"},
        "originalBuilders": ["urn:first"],
        "result": "identical",
        "recipe": {"name": "app"},
        "finishedOn": "2026-11-23T00:00:00Z",
    }
    return {key: value for key, value in (good | changes).items() if value is not None}


def _code(predicate: Mapping[str, object], condition: RebuildCondition = _ANY) -> str:
    found = check_rebuild(predicate, condition, now=Now(_NOW))
    return found.code if found else ""


@pytest.mark.parametrize("condition", [_ANY, _NAMED, _DAY])
@pytest.mark.parametrize("result", ["identical", "same-content"])
def test_a_second_builder_agrees(condition: RebuildCondition, result: str) -> None:
    """By the digest, or by what the layers hold."""
    assert _code(_rebuild(result=result), condition) == ""


@pytest.mark.parametrize("result", ["different", "Identical", "identical ", ""])
def test_anything_else_is_no_agreement(result: str) -> None:
    """Letter by letter."""
    assert _code(_rebuild(result=result)) == "REBUILD_DIFFERS"


@pytest.mark.parametrize(
    "changes",
    [
        {"originalBuilders": ["urn:second"]},
        {"originalBuilders": ["urn:first", "urn:second"]},
        {"originalBuilders": []},
        {"originalBuilders": None},
        {"builder": {"id": ""}},
    ],
)
def test_a_builder_that_agrees_with_itself_shows_nothing(changes: dict[str, object]) -> None:
    """Nor does one where nobody knows who was the first."""
    assert _code(_rebuild(**changes)) == "SAME_BUILDER"


def test_the_builder_is_one_of_the_policys() -> None:
    """Where it names any."""
    other = _rebuild(builder={"id": "urn:fourth"})

    assert _code(other, _NAMED) == "BUILDER_NOT_ALLOWED"
    assert _code(other) == ""


def test_the_rebuild_is_young_enough() -> None:
    """One from the future would stay young the longest."""
    assert _code(_rebuild(finishedOn="2026-11-22T11:59:59Z"), _DAY) == "STALE_ATTESTATION"
    assert _code(_rebuild(finishedOn="2026-11-22T12:00:00Z"), _DAY) == ""
    assert _code(_rebuild(finishedOn="2026-11-24T00:00:00Z"), _DAY) == "CLOCK"
    assert _code(_rebuild(finishedOn="2020-01-01T00:00:00Z")) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"result": None},
        {"result": ["identical"]},
        {"builder": None},
        {"builder": "urn:second"},
        {"builder": {"ID": "urn:second"}},
        {"originalBuilders": "urn:first"},
        {"originalBuilders": [3]},
        {"originalBuilders": ["x"] * (MAX_BUILDERS + 1)},
        {"Result": "identical"},
        {"originalbuilders": ["urn:second"]},
    ],
)
def test_what_is_no_rebuild_is_refused(changes: dict[str, object]) -> None:
    """Of another type, in another case, or of more than is read."""
    with pytest.raises(DocumentError):
        _code(_rebuild(**changes))


@pytest.mark.parametrize("time", [None, "", "yesterday", "2026-11-23T00:00:00", 3])
def test_a_time_that_is_none_is_refused_where_it_matters(time: object) -> None:
    """Nobody guesses it."""
    with pytest.raises(DocumentError):
        _code(_rebuild(finishedOn=time), _DAY)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_JSON, st.sampled_from(sorted(_rebuild())))
def test_anything_is_judged_or_refused(value: object, key: str) -> None:
    """Nothing else is raised."""
    for condition in (_ANY, _NAMED, _DAY):
        with suppress(DocumentError):
            check_rebuild({**_rebuild(), key: value}, condition, now=Now(_NOW))

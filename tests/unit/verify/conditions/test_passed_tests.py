"""The condition of a test result: each refusal differs from a good result in one thing."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.policy.condition import PassedTestsCondition
from imagekit.policy.now import Now
from imagekit.verify.conditions.passed_tests import MAX_CONFIGURATIONS, MAX_TESTS, check_tests

_NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
_ANY = PassedTestsCondition()
_NAMED = PassedTestsCondition(tests=("starts", "stops"))
_DAY = PassedTestsCondition(max_age=timedelta(days=1))
# The example of the specification, but for its lists of one test each.
_EXAMPLE: Mapping[str, Any] = {
    "result": "PASSED",
    "configuration": [
        {
            "name": ".github/workflows/ci.yml",
            "downloadLocation": "https://github.com/in-toto/in-toto/blob/d20ace7/ci.yml",
            "digest": {"gitBlob": "ebe4add40f63c3c98bc9b32ff1e736f04120b023"},
        }
    ],
    "url": "https://github.com/in-toto/in-toto/actions/runs/4425592351",
    "passedTests": ["build (3.7, ubuntu-latest, py)"],
    "warnedTests": [],
    "failedTests": [],
}


def _result(**changes: object) -> dict[str, object]:
    good = {
        "result": "PASSED",
        "configuration": [{"name": "hello/recipe.yaml", "digest": {"sha256": "a" * 64}}],
        "passedTests": ["starts", "stops", "more"],
        "finishedOn": "2026-11-23T00:00:00Z",
    }
    return {key: value for key, value in (good | changes).items() if value is not None}


def _code(predicate: Mapping[str, object], condition: PassedTestsCondition = _ANY) -> str:
    found = check_tests(predicate, condition, now=Now(_NOW))
    return found.code if found else ""


@pytest.mark.parametrize("condition", [_ANY, _NAMED, _DAY])
def test_a_good_result(condition: PassedTestsCondition) -> None:
    """Whatever is asked of it."""
    assert _code(_result(), condition) == ""


def test_the_example_of_the_specification() -> None:
    """It has keys that are not read, and no time."""
    assert _code(_EXAMPLE) == ""
    with pytest.raises(DocumentError, match="finishedOn"):
        check_tests(_EXAMPLE, _DAY, now=Now(_NOW))


@pytest.mark.parametrize("result", ["FAILED", "WARNED"])
def test_all_must_have_passed(result: str) -> None:
    """A warning is none."""
    assert _code(_result(result=result)) == "TESTS_FAILED"


@pytest.mark.parametrize("key", ["failedTests", "warnedTests"])
def test_what_lists_such_a_test_has_not_passed(key: str) -> None:
    """Whatever it says of itself."""
    assert _code(_result(**{key: ["x"]})) == "TESTS_FAILED"
    assert _code(_result(**{key: []})) == ""


@pytest.mark.parametrize("passed", [["starts"], ["starts", "Stops"], ["starts", "stops "]])
def test_the_named_tests_are_among_those_that_passed(passed: list[str]) -> None:
    """Letter by letter."""
    assert _code(_result(passedTests=passed), _NAMED) == "TESTS_MISSING"
    assert _code(_result(passedTests=passed)) == ""


@pytest.mark.parametrize("passed", [[], None])
def test_a_run_of_no_tests_shows_nothing(passed: list[str] | None) -> None:
    """And neither does one that does not say what it ran."""
    assert _code(_result(passedTests=passed)) == "TESTS_MISSING"


def test_the_run_is_young_enough() -> None:
    """One from the future would stay young the longest."""
    assert _code(_result(finishedOn="2026-11-22T11:59:59Z"), _DAY) == "STALE_ATTESTATION"
    assert _code(_result(finishedOn="2026-11-22T12:00:00Z"), _DAY) == ""
    assert _code(_result(finishedOn="2026-11-24T00:00:00Z"), _DAY) == "CLOCK"
    assert _code(_result(finishedOn="2020-01-01T00:00:00Z")) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"result": None},
        {"result": ["PASSED"]},
        {"result": "passed"},
        {"result": "SKIPPED"},
        {"configuration": None},
        {"configuration": []},
        {"configuration": ["recipe.yaml"]},
        {"configuration": {}},
        {"configuration": [{}] * (MAX_CONFIGURATIONS + 1)},
        {"passedTests": "starts stops"},
        {"passedTests": ["starts", 3]},
        {"passedTests": ["x"] * (MAX_TESTS + 1)},
        {"failedTests": {"x": 1}},
        {"warnedTests": 1},
        {"Result": "FAILED"},
        {"failedtests": ["x"]},
    ],
)
def test_what_is_no_test_result_is_refused(changes: dict[str, object]) -> None:
    """Of another type, in another case, or of more than is read."""
    with pytest.raises(DocumentError):
        _code(_result(**changes))


@pytest.mark.parametrize("time", [None, "", "yesterday", "2026-11-23T00:00:00", 3])
def test_a_time_that_is_none_is_refused_where_it_matters(time: object) -> None:
    """Nobody guesses it."""
    with pytest.raises(DocumentError):
        _code(_result(finishedOn=time), _DAY)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_JSON, st.sampled_from(sorted({*_result(), "failedTests", "warnedTests"})))
def test_anything_is_judged_or_refused(value: object, key: str) -> None:
    """Nothing else is raised."""
    for condition in (_ANY, _NAMED, _DAY):
        with suppress(DocumentError):
            check_tests({**_result(), key: value}, condition, now=Now(_NOW))

"""The condition of a check: each refusal differs from a good result in one thing."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.policy.condition import SelfContainedCondition
from imagekit.policy.now import Now
from imagekit.verify.conditions.self_contained import MAX_FINDINGS, check_self_contained

_NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
_ANY = SelfContainedCondition()
_SOME = SelfContainedCondition(allow_excepted=frozenset({"IK301"}))
_NONE = SelfContainedCondition(allow_excepted=frozenset())
_DAY = SelfContainedCondition(max_age=timedelta(days=1))
_EXCEPTED = {"code": "IK301", "path": "/opt/x", "message": "m", "reason": "it is needed"}
_FOUND = {"code": "IK101", "path": "/bin/x", "message": "m"}


def _result(**changes: object) -> dict[str, object]:
    good = {
        "result": "PASSED",
        "checks": ["IK101", "IK301"],
        "findings": [],
        "findingCount": 0,
        "excepted": [_EXCEPTED],
        "exceptedCount": 1,
        "finishedOn": "2026-11-23T00:00:00Z",
    }
    return {key: value for key, value in (good | changes).items() if value is not None}


def _code(predicate: Mapping[str, object], condition: SelfContainedCondition = _ANY) -> str:
    found = check_self_contained(predicate, condition, now=Now(_NOW))
    return found.code if found else ""


@pytest.mark.parametrize("condition", [_ANY, _SOME, _DAY])
def test_nothing_was_found_but_what_is_excepted(condition: SelfContainedCondition) -> None:
    """And the policy allows that."""
    assert _code(_result(), condition) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"result": "FAILED"},
        {"result": "passed"},
        {"findings": [_FOUND]},
        {"result": "FAILED", "findings": [_FOUND]},
    ],
)
def test_a_finding_is_refused(changes: dict[str, object]) -> None:
    """Whatever the result says of it."""
    assert _code(_result(**changes)) == "NOT_SELF_CONTAINED"


def test_an_exception_that_the_policy_does_not_allow() -> None:
    """By its number, and where not all of them are listed."""
    other = {**_EXCEPTED, "code": "IK401"}

    assert _code(_result(), _NONE) == "EXCEPTION_NOT_ALLOWED"
    assert _code(_result(excepted=[_EXCEPTED, other], exceptedCount=2), _SOME) == (
        "EXCEPTION_NOT_ALLOWED"
    )
    assert _code(_result(exceptedCount=2), _SOME) == "EXCEPTION_NOT_ALLOWED"
    assert _code(_result(excepted=[], exceptedCount=0), _NONE) == ""


def test_its_age() -> None:
    """By its time, where the policy asks for that."""
    assert _code(_result(finishedOn="2026-11-22T11:59:59Z"), _DAY) == "STALE_ATTESTATION"
    assert _code(_result(finishedOn="2026-11-24T00:00:00Z"), _DAY) == "CLOCK"
    assert _code(_result(finishedOn="2020-01-01T00:00:00Z")) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"result": None},
        {"checks": None},
        {"checks": []},
        {"checks": [1]},
        {"findings": "none"},
        {"findings": [{"path": "/x"}]},
        {"findings": [_FOUND] * (MAX_FINDINGS + 1)},
        {"excepted": [{"code": "IK301", "reason": ""}]},
        {"excepted": [{"code": "IK301", "Reason": "x"}]},
        {"Findings": []},
    ],
)
def test_what_is_no_result_of_a_check_is_refused(changes: dict[str, object]) -> None:
    """Nothing is taken for an empty list."""
    with pytest.raises(DocumentError):
        _code(_result(**changes))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(_JSON, st.sampled_from(sorted(_result())))
def test_any_json_is_judged_or_refused(value: object, key: str) -> None:
    """And raises nothing else."""
    for condition in (_ANY, _SOME, _DAY):
        with suppress(DocumentError):
            check_self_contained({**_result(), key: value}, condition, now=Now(_NOW))

"""Releases and withdrawals: what was written is read, anything else refused in one way."""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from imagekit.errors import DocumentError
from imagekit.signatures.release import (
    MAX_SEQUENCE,
    Release,
    Withdrawal,
    moment_text,
    parse_release,
    parse_withdrawal,
    release_predicate,
    withdrawal_predicate,
)

_TIMES = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - the zone follows
    timezones=st.just(UTC),
).map(lambda time: time.replace(microsecond=0))
_RELEASES = st.builds(
    Release,
    repository=st.text(),
    sequence=st.integers(min_value=1, max_value=MAX_SEQUENCE),
    tags=st.lists(st.text(), min_size=1, max_size=5).map(tuple),
    time=_TIMES,
)
_PREDICATES = st.dictionaries(
    st.sampled_from(("repository", "sequence", "tags", "time", "reason")),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.none() | st.text(), max_size=2)
    | st.sampled_from(("2026-11-23T00:00:00Z", "2026-11-23T00:00:00", "2026-11-23", "0001-W01-1")),
)


@given(_RELEASES)
def test_a_release_is_read_as_it_was_written(release: Release) -> None:
    """Writing and reading are inverse."""
    assert parse_release(release_predicate(release)) == release


@given(st.text(max_size=100), _TIMES)
def test_a_withdrawal_is_read_as_it_was_written(reason: str, time: datetime) -> None:
    """Writing and reading are inverse."""
    said = Withdrawal(reason=reason, time=time)

    assert parse_withdrawal(withdrawal_predicate(said)) == said


@given(_PREDICATES)
def test_any_predicate_is_read_or_refused(predicate: Mapping[str, object]) -> None:
    """What is read can be written, and reads the same to the second."""
    for read in (_written_again, _withdrawn_again):
        with contextlib.suppress(DocumentError):
            read(predicate)


def _written_again(predicate: Mapping[str, object]) -> None:
    found = parse_release(predicate)
    again = parse_release(release_predicate(found))

    assert again == replace(found, time=found.time.replace(microsecond=0))


def _withdrawn_again(predicate: Mapping[str, object]) -> None:
    found = parse_withdrawal(predicate)
    again = parse_withdrawal(withdrawal_predicate(found))

    assert again == replace(found, time=found.time.replace(microsecond=0))


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_that_is_none_in_utc_is_refused(time: str) -> None:
    """Times are compared and written in UTC: a calendar that ends before is no time."""
    with pytest.raises(DocumentError):
        parse_withdrawal({"reason": "x", "time": time})


def test_an_ancient_time_is_written_with_four_digits() -> None:
    """RFC 3339 has years of four digits."""
    assert moment_text(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"

"""The machine's clock."""

from datetime import UTC, datetime

from imagekit.clock import SystemClock


def test_now_has_its_zone_and_is_now() -> None:
    """A time without a zone would mean another moment on another machine."""
    before = datetime.now(UTC)

    now = SystemClock().now()

    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)

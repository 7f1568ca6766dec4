"""The machine's clock."""

from datetime import UTC, datetime
from typing import Protocol


class SystemClock:
    """An implementation of ``ports.Clock``."""

    def now(self) -> datetime:
        """Return the present time in UTC."""
        return datetime.now(UTC)


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Return the present time, with its zone."""
        ...

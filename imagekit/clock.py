"""The machine's clock."""

from datetime import UTC, datetime
from typing import Protocol


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the present time in UTC."""
        return datetime.now(UTC)


class Clock(Protocol):
    """What tells the present time."""

    def now(self) -> datetime:
        """Return the present time, with its zone."""
        ...

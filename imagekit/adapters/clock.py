"""The machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """An implementation of ``ports.Clock``."""

    def now(self) -> datetime:
        """Return the present time in UTC."""
        return datetime.now(UTC)

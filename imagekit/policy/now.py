"""The time of a verdict, and until when the verdict holds.

A check compares no time itself: it asks here. What it asks about is kept where it is still to
come, since from then on the answer is another one, and the verdict may be.
"""

from contextlib import suppress
from datetime import datetime, timedelta

from imagekit.policy.authorities import CLOCK_SKEW


class Now:
    """The present time, as checks may ask about it; safe in several threads.

    Args:
        time: the present time, with its zone.
        horizon: the latest time that anybody wants to know about. Without it, what cannot be told
            from a limit alone holds for this moment only.
    """

    __slots__ = ("_ends", "horizon", "time")

    def __init__(self, time: datetime, *, horizon: datetime | None = None) -> None:
        self.time = time
        self.horizon = horizon
        self._ends: set[datetime] = set()

    @property
    def until(self) -> datetime | None:
        """The first time at which an answer that was given may be another; None for never."""
        return min(self._ends, default=None)

    def is_before(self, limit: datetime) -> bool:
        """Return whether a limit is still to come."""
        early = self.time < limit
        if early:
            self.ends(limit)
        return early

    def is_behind(self, made: datetime) -> bool:
        """Return whether something is from the future, also if clocks differ as far as they may."""
        behind = made > self.time + CLOCK_SKEW
        if behind:
            self.ends(made - CLOCK_SKEW)
        return behind

    def is_older(self, made: datetime, limit: timedelta) -> bool:
        """Return whether something that was made then is older than it may be."""
        older = self.time - made > limit
        if not older:
            # A time beyond Python's calendar never comes.
            with suppress(OverflowError):
                self.ends(made + limit)
        return older

    def ends(self, limit: datetime) -> None:
        """Let the verdict end at a time, if nothing ends it before."""
        self._ends.add(limit)

    def isoformat(self) -> str:
        """Return the present time for a message."""
        return self.time.isoformat()

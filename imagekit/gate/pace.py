"""When refusals are answered: who asks for what is refused again and again waits for the answer."""

import asyncio
from collections.abc import Hashable

from imagekit.gate.limits import ListenerLimits
from imagekit.gate.rate import RateLimit

_LONGEST_DELAY = 5.0
# So many seconds' worth at once: clients look for tags and referrers that are not there.
_BURST = 5


class Pace:
    """Answers costly refusals of one client at a bounded rate; on one event loop.

    Args:
        limits: how many a second.
    """

    def __init__(self, limits: ListenerLimits) -> None:
        rate = float(limits.refusals)
        self._rate = RateLimit(burst=_BURST * rate, per_second=rate)

    async def refused(self, asker: Hashable) -> None:
        """Wait until another refusal is due."""
        early = self._rate.charge(asker)
        if early:
            await asyncio.sleep(min(early, _LONGEST_DELAY))

"""Ctrl-C for the threads that are at work: it reaches the main thread only."""

import sys

from imagekit.process import interrupt
from imagekit.progress import Event, Progress


class Interruption:
    """Ends what threads are at: the programs that they run, and themselves at the next event.

    Each is interrupted once, as Ctrl-C does it, and cleans up behind it.
    """

    def __init__(self) -> None:
        self._asked = False

    def ask(self) -> None:
        """Interrupt all that listen."""
        self._asked = True
        interrupt()

    def heard_by(self, progress: Progress) -> Progress:
        """Return a callback that is interrupted when it is told of something.

        Args:
            progress: gets the events.
        """
        interrupted = False

        def tell(event: Event) -> None:
            nonlocal interrupted
            # Who handles an exception cleans up already.
            if self._asked and not interrupted and sys.exception() is None:
                interrupted = True
                raise KeyboardInterrupt
            progress(event)

        return tell

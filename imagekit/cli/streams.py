"""The standard streams of the process: a reader that closes them changes no exit code.

``imagekit verify IMAGE | head -1`` tells a script by its exit code whether the image may run. So a
verdict whose output was closed is still the verdict, and narration that cannot be written (a log on
a full disk) ends nothing. A result that cannot be written for another reason is an error.
"""

import os
import sys
from io import TextIOWrapper


class Narration(TextIOWrapper):
    """Standard error: what cannot be written there is lost, and nothing else."""

    def write(self, text: str) -> int:
        """Write, or lose the text and all that follows."""
        try:
            return super().write(text)
        except OSError:
            discard(self.fileno())
            return len(text)

    def flush(self) -> None:
        """Write what is waiting, or lose it and all that follows."""
        try:
            super().flush()
        except OSError:
            discard(self.fileno())


def prepare_streams() -> None:
    """Make any text printable, and narration never fail.

    Results are UTF-8 in every locale, as JSON is (RFC 8259). What is no text, such as a file name
    of other bytes, is escaped as JSON escapes it.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    if isinstance(sys.stderr, TextIOWrapper):
        encoding = sys.stderr.encoding
        sys.stderr = Narration(
            sys.stderr.detach(), encoding=encoding, errors="backslashreplace", line_buffering=True
        )


def discard(handle: int) -> None:
    """Redirect a descriptor to /dev/null, so that writing to it no longer fails."""
    nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nothing, handle)
    os.close(nothing)

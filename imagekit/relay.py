"""Showing what a program draws on a terminal, without letting it do more than draw.

The program gets a terminal of its own, as progress bars need one. What it writes there is passed to
ours: text, and the control sequences that move within lines and colour (ECMA-48). All others are
left out: they could change the title, the clipboard or the state of the terminal, and part of what
a program writes comes from a server.
"""

import codecs
import os
import re
import termios
import threading
import tty
from contextlib import suppress

_SHOWN_AFTER_SECONDS = 0.7
"""What is done sooner needs no progress, and nothing of it is shown."""
_DRAWS = re.compile(r"\x1b\[[0-9;]{0,16}[ABCDGJKm]")
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[^\[\]])")
_BEGUN = re.compile(r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8})?\Z")


def terminal_like(descriptor: int) -> tuple[int, int]:
    """Return the two ends of a new terminal of the same size: ours, and the program's.

    Args:
        descriptor: a terminal.
    """
    near, far = os.openpty()
    # Else it would make two characters of a line's end, and ours makes them again.
    tty.setraw(far)
    with suppress(termios.error):
        termios.tcsetwinsize(far, termios.tcgetwinsize(descriptor))
    return near, far


class Relay:
    """Passes on what a program draws, once it runs for a moment."""

    def __init__(self, descriptor: int, *, after: float = _SHOWN_AFTER_SECONDS) -> None:
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = self._held = ""
        self._shows = False
        self._lock = threading.Lock()
        self._timer = threading.Timer(after, self._begin)
        self._timer.daemon = True
        self._timer.start()

    def feed(self, piece: bytes) -> None:
        """Take what the program wrote."""
        text = self._rest + self._decoder.decode(piece)
        begun = _BEGUN.search(text)
        self._rest = text[begun.start() :] if begun is not None else ""
        drawn = harmless(text[: len(text) - len(self._rest)])
        with self._lock:
            if self._shows:
                self._write(drawn)
            else:
                self._held += drawn

    def close(self) -> None:
        """End it; what is held back is not shown any more."""
        self._timer.cancel()
        self._timer.join()

    def _begin(self) -> None:
        with self._lock:
            self._shows = True
            self._write(self._held)
            self._held = ""

    def _write(self, text: str) -> None:
        raw = text.encode()
        # As all narration: what cannot be written ends nothing.
        with suppress(OSError):
            while raw:
                raw = raw[os.write(self._descriptor, raw) :]


def harmless(text: str) -> str:
    """Return the text with those control sequences and characters only that draw."""
    parts, at = [], 0
    for found in _SEQUENCE.finditer(text):
        parts.append(_plain(text[at : found.start()]))
        parts.append(found[0] if _DRAWS.fullmatch(found[0]) else "")
        at = found.end()
    return "".join([*parts, _plain(text[at:])])


def _plain(text: str) -> str:
    return "".join(c for c in text if c.isprintable() or c in "\r\n\t")


def undrawn(line: str) -> str:
    """Return a line without its control sequences, for a message."""
    return "".join(c for c in _SEQUENCE.sub("", line) if c.isprintable() or c == "\t")

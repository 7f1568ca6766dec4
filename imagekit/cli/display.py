"""How events are shown: one line for each stage, redrawn on a terminal, plain in a log."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol, TextIO, assert_never

from imagekit.progress import Advanced, Command, Done, Event, Failed, Note, OutputLine, Started

Paint = Callable[[str, str], str]
_STAGE_WIDTH = 11
_SUMMARY_WIDTH = 62


class Display(Protocol):
    """Shows events."""

    def show(self, event: Event) -> None:
        """Show one event."""
        ...


class Lines:
    """Prints each stage once, when it is done; for logs and ``--verbose``."""

    def __init__(self, stream: TextIO, *, paint: Paint, verbose: bool = False) -> None:
        self._stream = stream
        self._paint = paint
        self._verbose = verbose

    def show(self, event: Event) -> None:
        """Print the event, if it is one for a log."""
        line = self._line(event)
        if line is not None:
            print(line, file=self._stream, flush=True)

    def _line(self, event: Event) -> str | None:
        match event:
            case Done():
                return done_line(event, self._paint("✓", "good"))
            case Failed():
                return done_line(event, self._paint("✗", "bad"))
            case Note():
                return f"  {self._paint('!', 'warn')} {clean(event.message)}"
            case Command():
                return f"  $ {shown(event.argv)}" if self._verbose else None
            case OutputLine():
                return f"    {clean(event.line)}" if self._verbose else None
            case Started() | Advanced():
                return None
        assert_never(event)


class LiveLines:
    """Redraws the line of the running stage in place: its last output, bytes and seconds."""

    def __init__(self, stream: TextIO, *, paint: Paint, verbose: bool = False) -> None:
        self._lines = Lines(stream, paint=paint, verbose=verbose)
        self._stream = stream
        self._stage = ""
        self._detail = ""
        self._began = 0.0
        self._drawn = False
        self._lock = threading.Lock()
        self._last = 0.0

    def show(self, event: Event) -> None:
        """Redraw the line of the running stage, or print that of one that is done."""
        with self._lock:
            match event:
                case Started():
                    self._stage, self._detail = event.stage, event.detail
                    self._began = time.monotonic()
                    self._draw(force=True)
                case OutputLine():
                    self._detail = clean(event.line)
                    self._draw()
                case Advanced():
                    self._detail = advanced_text(event)
                    self._draw()
                case Done() | Failed() | Note() | Command():
                    self._erase()
                    self._lines.show(event)
                case _:
                    assert_never(event)

    def _draw(self, *, force: bool = False) -> None:
        now = time.monotonic()
        redraw_seconds = 0.1
        if not force and now - self._last < redraw_seconds:
            return
        self._last = now
        width = _terminal_width(self._stream)
        text = f"  … {self._stage:<{_STAGE_WIDTH}} {now - self._began:5.1f} s  {self._detail}"
        self._stream.write("\r\33[2K" + text[: width - 1])
        self._stream.flush()
        self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write("\r\33[2K")
            self._drawn = False


def done_line(event: Done | Failed, mark: str) -> str:
    """Return the line of a stage that ended: mark, name, result, seconds."""
    summary = clean(event.summary)
    return (
        f"  {mark} {event.stage:<{_STAGE_WIDTH}} {summary:<{_SUMMARY_WIDTH}} {event.seconds:6.1f} s"
    )


def advanced_text(event: Advanced) -> str:
    """Return how far a transfer is, in megabytes."""
    mega = 1_000_000
    if event.total:
        return f"{event.done / mega:.1f} MB of {event.total / mega:.1f} MB"
    return f"{event.done / mega:.1f} MB"


def clean(text: str) -> str:
    """Replace control characters, so that a program's output cannot control the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def shown(argv: tuple[str, ...]) -> str:
    """Return a command as one could paste it into a shell."""
    import shlex

    return clean(shlex.join(argv))


def _terminal_width(stream: TextIO) -> int:
    import os

    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 80 if stream is sys.stderr else 120

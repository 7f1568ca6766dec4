"""The live view on a terminal, by rich: imported only where there is one, and something to show."""

import threading
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from imagekit.cli.display import STAGE_WIDTH, Paint, Running, event_line, hear, shortened
from imagekit.progress import Done, Event, Failed, Note

_REDRAWS_A_SECOND = 8
_NAME_WIDTH = 22
"""Of a recipe's name; what it does has 34 of 80 columns then."""


class _Terminal(Console):
    """A terminal whose cursor stays: a process that is killed could not bring it back."""

    def show_cursor(self, *_: bool, **__: bool) -> bool:
        return False


class LiveLines:
    """Shows the stage at work in place: what it does, for how long, and its last output line.

    Where several recipes are at work, each has one line, and their stages leave none.
    """

    def __init__(self, stream: TextIO, *, paint: Paint) -> None:
        self._stream, self._paint = stream, paint
        # That it is a terminal was seen by the stream itself, not by variables.
        self._console = _Terminal(file=stream, force_terminal=True, highlight=False, markup=False)
        self._running: dict[str, Running] = {}
        self._live: Live | None = None
        self._lock = threading.Lock()

    def show(self, event: Event, of: str = "") -> None:
        """Take the event into the live lines, or print its own line above them."""
        with self._lock:
            hear(self._running, event, of)
            self._refresh(self._line(event, of))

    def leave(self, of: str) -> None:
        """Erase its line."""
        with self._lock:
            self._running.pop(of, None)
            self._refresh(None)

    def stop(self) -> None:
        """Erase the live lines."""
        with self._lock:
            self._running.clear()
            self._erase()

    def _line(self, event: Event, of: str) -> str | None:
        """Return the line that an event leaves, or None for one that leaves none."""
        if of and isinstance(event, Done | Failed):
            return None
        if of and isinstance(event, Note):
            event = Note(message=f"{of}: {event.message}")
        return event_line(event, paint=self._paint, width=self._console.width)

    def _refresh(self, line: str | None) -> None:
        if line is not None or not self._running:
            self._erase()
        if line is not None:
            print(line, file=self._stream, flush=True)
        if self._running and self._live is None:
            self._draw()

    def _draw(self) -> None:
        self._live = Live(
            console=self._console,
            get_renderable=self._lines,
            refresh_per_second=_REDRAWS_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def _erase(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _lines(self) -> RenderableType:
        # A copy, as other threads change it while it is drawn.
        running = self._running.copy()
        lines = [line for of, stage in running.items() for line in _shown(stage, of)]
        return Group(*lines or [Text("")])


def _shown(running: Running, of: str) -> Iterator[Text]:
    """Yield the lines of a stage at work; the output is shown where it is the only one."""
    name = f"{shortened(of, _NAME_WIDTH):<{_NAME_WIDTH}} " if of else ""
    head = f"  … {name}{running.stage:<{STAGE_WIDTH}} {running.seconds:5.1f} s  {running.now}"
    yield Text(head, no_wrap=True, overflow="ellipsis")
    if running.line and not of:
        yield Text(f"    {running.line}", style="dim", no_wrap=True, overflow="ellipsis")

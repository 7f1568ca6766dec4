"""The live view on a terminal, by rich: imported only where there is one, and something to show."""

import threading
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from imagekit.cli.display import STAGE_WIDTH, Paint, Running, event_line, running_after
from imagekit.progress import Event

_REDRAWS_A_SECOND = 8


class _Terminal(Console):
    """A terminal whose cursor stays: a process that is killed could not bring it back."""

    def show_cursor(self, *_: bool, **__: bool) -> bool:
        return False


class LiveLines:
    """Shows the stage at work in place: what it does, for how long, and its last output line."""

    def __init__(self, stream: TextIO, *, paint: Paint) -> None:
        self._stream, self._paint = stream, paint
        # That it is a terminal was seen by the stream itself, not by variables.
        self._console = _Terminal(file=stream, force_terminal=True, highlight=False, markup=False)
        self._running: Running | None = None
        self._live: Live | None = None
        self._lock = threading.Lock()

    def show(self, event: Event) -> None:
        """Take the event into the live lines, or print its own line above them."""
        with self._lock:
            self._running = running_after(self._running, event)
            line = event_line(event, paint=self._paint, width=self._console.width)
            if line is not None or self._running is None:
                self._erase()
            if line is not None:
                print(line, file=self._stream, flush=True)
            if self._running is not None and self._live is None:
                self._draw()

    def stop(self) -> None:
        """Erase the live lines."""
        with self._lock:
            self._running = None
            self._erase()

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
        running = self._running
        if running is None:
            return Text("")
        head = f"  … {running.stage:<{STAGE_WIDTH}} {running.seconds:5.1f} s  {running.now}"
        lines = [Text(head, no_wrap=True, overflow="ellipsis")]
        if running.line:
            lines.append(
                Text(f"    {running.line}", style="dim", no_wrap=True, overflow="ellipsis")
            )
        return Group(*lines)

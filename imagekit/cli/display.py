"""How events are shown: a live line on a terminal, lines in a log, JSON for programs."""

import json
import threading
import time
from collections.abc import Callable
from typing import Protocol, TextIO, assert_never

from msgspec.structs import asdict

from imagekit.cli.wrap import pieces, wrapped
from imagekit.documents.quantity import count, size
from imagekit.progress import Advanced, Command, Done, Event, Failed, Note, OutputLine, Started

Paint = Callable[[str, str], str]
LOG_SECONDS = 15.0
"""How long a log is silent at most while a stage runs."""
STAGE_WIDTH = 11
_SUMMARY_WIDTH = 62
_LONGEST_LINE = 400
"""Characters of an output line that are looked at: no terminal shows more."""
_LONGEST_BEAT = 100
"""Characters that a log repeats of what a stage does: a step may be a whole script."""
_ADVANCED_SECONDS = 0.2
_NAMES: dict[type[Event], str] = {
    Started: "started",
    OutputLine: "output",
    Advanced: "advanced",
    Done: "done",
    Failed: "failed",
    Command: "command",
    Note: "note",
}


class Display(Protocol):
    """Shows events."""

    def show(self, event: Event, of: str = "") -> None:
        """Show one event; events come from several threads.

        Args:
            event: the event.
            of: what it is of, where several are at work at once.
        """
        ...

    def leave(self, of: str) -> None:
        """Show nothing more of something that is at work no longer."""
        ...

    def stop(self) -> None:
        """Leave the stream to others; a later event begins anew."""
        ...


class Running:
    """What is known of the stage at work."""

    def __init__(self, stage: str) -> None:
        self.stage, self.detail = stage, ""
        self.began = time.monotonic()
        self._line = ""
        self._advanced: Advanced | None = None
        self._counted_since = 0.0

    def hear(self, event: Started | OutputLine | Advanced) -> None:
        """Keep what an event of this stage says."""
        match event:
            case Started():
                self.detail, self._line, self._advanced = clean(event.detail), "", None
            case OutputLine():
                self._line = event.line[:_LONGEST_LINE]
            case Advanced():
                known = self._advanced
                if known is None or (known.doing, known.unit) != (event.doing, event.unit):
                    self._counted_since = time.monotonic()
                self._advanced = event
            case _:
                assert_never(event)

    @property
    def seconds(self) -> float:
        """How long it runs."""
        return time.monotonic() - self.began

    @property
    def line(self) -> str:
        """The last line that a program printed in it."""
        return clean(self._line)

    @property
    def now(self) -> str:
        """What it does, in numbers where there are any."""
        if self._advanced is None:
            return self.detail
        return advanced_text(self._advanced, seconds=time.monotonic() - self._counted_since)


class Lines:
    """Prints each stage once, when it is done, and what a long one does; for logs."""

    def __init__(
        self,
        stream: TextIO,
        *,
        paint: Paint,
        verbose: bool = False,
        every: float = LOG_SECONDS,
    ) -> None:
        self._stream, self._paint, self._verbose, self._every = stream, paint, verbose, every
        self._running: dict[str, Running] = {}
        self._printed = time.monotonic()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._clock: threading.Thread | None = None

    def show(self, event: Event, of: str = "") -> None:
        """Print the event, if it is one for a log."""
        with self._lock:
            hear(self._running, event, of)
            if isinstance(event, Started) and self._clock is None:
                self._ended.clear()
                self._printed = time.monotonic()
                self._clock = threading.Thread(target=self._tick, daemon=True)
                self._clock.start()
            line = event_line(event, paint=self._paint, verbose=self._verbose)
            if line is not None:
                self._print(named(line, of))

    def leave(self, of: str) -> None:
        """Print nothing more of it."""
        with self._lock:
            self._running.pop(of, None)

    def stop(self) -> None:
        """End the clock."""
        with self._lock:
            clock, self._clock = self._clock, None
            self._running.clear()
        if clock is not None:
            self._ended.set()
            clock.join()

    def _tick(self) -> None:
        wait = self._every
        while not self._ended.wait(wait):
            with self._lock:
                wait = self._printed + self._every - time.monotonic()
                if wait <= 0:
                    wait = self._every
                    self._beat()

    def _beat(self) -> None:
        self._printed = time.monotonic()
        for of, running in self._running.items():
            what = running.now or running.line
            line = f"  … {running.stage} {running.seconds:.0f} s"
            line += f", {shortened(what, _LONGEST_BEAT)}" if what else ""
            self._print(named(line, of))

    def _print(self, line: str) -> None:
        self._printed = time.monotonic()
        print(line, file=self._stream, flush=True)


class JsonLines:
    """Writes every event as one JSON object a line, for programs; docs/json.md has the keys."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._advanced: dict[str, float] = {}

    def show(self, event: Event, of: str = "") -> None:
        """Write the event; of what advances in small pieces, not every one."""
        with self._lock:
            if isinstance(event, Advanced) and event.done != event.total:
                now = time.monotonic()
                if now - self._advanced.get(of, 0.0) < _ADVANCED_SECONDS:
                    return
                self._advanced[of] = now
            own = {"recipe": of} if of else {}
            write_json(self._stream, _NAMES[type(event)], own | asdict(event))

    def leave(self, of: str) -> None:
        """Forget when it last advanced."""
        with self._lock:
            self._advanced.pop(of, None)

    def stop(self) -> None:
        """Do nothing: each line stands for itself."""


def write_json(stream: TextIO, name: str, keys: dict[str, object]) -> None:
    """Write one event as one line of JSON, in ASCII and so without control characters."""
    print(json.dumps({"schema": 1, "event": name, **keys}), file=stream, flush=True)


def event_line(event: Event, *, paint: Paint, verbose: bool = False, width: int = 0) -> str | None:
    """Return the line that an event leaves, or None for one that leaves none.

    Args:
        event: the event.
        paint: colours a mark.
        verbose: whether commands and their output leave lines.
        width: of the terminal; 0 for a log, whose lines are as long as they are.
    """
    match event:
        case Done():
            return done_line(event, paint("✓", "good"), width=width)
        case Failed():
            return done_line(event, paint("✗", "bad"), width=width)
        case Note():
            return wrapped(f"  {paint('!', 'warn')} {clean(event.message)}", width)
        case Command():
            return f"  $ {shown(event.argv)}" if verbose else None
        case OutputLine():
            return f"    {clean(event.line)}" if verbose else None
        case Started() | Advanced():
            return None
    assert_never(event)


def running_after(running: Running | None, event: Event) -> Running | None:
    """Return the stage at work after an event, which it has taken note of; None for no stage."""
    match event:
        case Done() | Failed():
            return None
        case Started():
            # A stage of several parts begins once for each.
            if running is None or running.stage != event.stage:
                running = Running(event.stage)
            running.hear(event)
        case OutputLine() | Advanced():
            if running is not None:
                running.hear(event)
        case Note() | Command():
            pass
        case _:
            assert_never(event)
    return running


def hear(running: dict[str, Running], event: Event, of: str) -> None:
    """Take an event into what is known of the stages at work, by what they are of."""
    now = running_after(running.get(of), event)
    if now is None:
        running.pop(of, None)
    else:
        running[of] = now


def named(line: str, of: str) -> str:
    """Return a line behind what it is of, where several are at work."""
    return f"{of}:{line}" if of else line


def done_line(event: Done | Failed, mark: str, *, width: int = 0) -> str:
    """Return the line of a stage that ended: mark, name, result, seconds.

    Args:
        event: how it ended.
        mark: stands before it.
        width: of the terminal, into which it is wrapped; 0 for a log.
    """
    seconds = f"{event.seconds:6.1f} s"
    head = f"  {mark} {event.stage:<{STAGE_WIDTH}} "
    indent = STAGE_WIDTH + 5
    room = min(_SUMMARY_WIDTH, width - indent - len(seconds) - 1) if width else _SUMMARY_WIDTH
    summary = clean(event.summary)
    first, *rest = pieces(summary, room) if width else [summary]
    return "\n".join([f"{head}{first:<{room}} {seconds}", *(" " * indent + line for line in rest)])


def advanced_text(event: Advanced, *, seconds: float = 0.0) -> str:
    """Return how far a stage is: ``setting up 61 of 145 packages``, ``3.1 MB of 9.8 MB, 2.0 MB/s``.

    Args:
        event: the newest of its events.
        seconds: since the first, for the rate of bytes; 0 where that is not known.
    """
    doing = f"{clean(event.doing)} " if event.doing else ""
    if event.unit != "byte":
        if not event.total:
            return doing + count(event.done, event.unit)
        return f"{doing}{event.done} of {count(event.total, event.unit)}"
    total = f" of {size(event.total)}" if event.total else ""
    # A rate of the first moments says nothing.
    rate = f", {size(int(event.done / seconds))}/s" if seconds >= 1 and event.done else ""
    return f"{doing}{size(event.done)}{total}{rate}"


def shortened(text: str, most: int) -> str:
    """Return a text, cut where it is longer."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def clean(text: str) -> str:
    """Replace control characters, so that a program's output cannot control the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def shown(argv: tuple[str, ...]) -> str:
    """Return a command as one could paste it into a shell."""
    import shlex

    return clean(shlex.join(argv))

"""What the commands print with: results on stdout, narration on stderr.

Under ``--json`` exactly one document goes to stdout, also where the command fails. Under
``--progress json`` each line of stderr is a JSON object. Colour adds no information to the text; it
is off under NO_COLOR and where stderr is no terminal. On a terminal long lines are wrapped.
"""

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TextIO

from msgspec import Struct, field

from imagekit.cli.streams import discard
from imagekit.errors import BuildError, Diagnostic, ImagekitError, InputError, ToolError

if TYPE_CHECKING:
    from imagekit.cli.display import Display
    from imagekit.progress import Event, Progress

ProgressForm = Literal["auto", "plain", "json", "none"]
PROGRESS_FORMS: tuple[ProgressForm, ...] = ("auto", "plain", "json", "none")
"""How progress is shown: in the way that fits the stream, as a log, for programs, or not."""
_LAST_LINES, _LONGEST_LINE = 12, 1000
"""Of what a program printed before it failed."""
_RED, _YELLOW, _GREEN, _BOLD, _PLAIN = "\33[31m", "\33[33m", "\33[32m", "\33[1m", "\33[0m"


class Console(Struct, kw_only=True):
    """Where one run of a command prints to."""

    json: bool = False
    progress_form: ProgressForm = "auto"
    verbose: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    partial: Mapping[str, object] = field(default_factory=dict)
    """What a command that works on several things has done so far; it stands beside an error."""
    _live: "_Live | None" = None
    _answered: bool = False

    @property
    def quiet(self) -> bool:
        """Whether nothing but results and errors is printed."""
        return self.progress_form == "none"

    def result(self, text: str, document: Mapping[str, object]) -> None:
        """Print the result of the command: the text, or the document under ``--json``."""
        self._result(text if self.json else self._fit(text, self.out), document)

    def copied(self, text: str, document: Mapping[str, object]) -> None:
        """Print a result that is there to be copied, such as a file or a command: as it is."""
        self._result(text, document)

    def note(self, text: str) -> None:
        """Print a text on stderr, unless ``--quiet``."""
        if not self.quiet:
            self.say(text)

    def say(self, text: str) -> None:
        """Print a text on stderr, also where ``--quiet`` is given."""
        self.settle()
        self._narrate(text, "note", {"message": text})

    def diagnostics(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Show faults of files as code frames on stderr."""
        from imagekit.cli.frame import frame

        self.settle()
        for diagnostic in diagnostics:
            shown = frame(diagnostic, paint=self.paint, width=_width(self.err))
            self._narrate(shown, "diagnostic", diagnostic_document(diagnostic))

    def error(self, error: ImagekitError) -> None:
        """Print what went wrong and the remedy; under ``--json`` also as the document."""
        self.fault(error)
        if self.json and not self._answered:
            self.result("", {**error_document(error), **self.partial})

    def fault(self, error: ImagekitError) -> None:
        """Print what went wrong and the remedy, of one thing of several that may go on."""
        self.settle()
        if isinstance(error, InputError) and error.diagnostics:
            self.diagnostics(error.diagnostics)
            lines = []
        elif isinstance(error, BuildError) and error.diagnostic is not None:
            self.diagnostics((error.diagnostic,))
            lines = _last_lines(error)
        else:
            code = f"[{error.code}]" if error.code else ""
            lines = [f"{self.paint('error', 'bad')}{code}: {error.message}"]
            if isinstance(error, ToolError):
                lines += _last_lines(error)
        if error.hint:
            lines.append(f"   = {error.hint}")
        if lines or self.progress_form == "json":
            error_keys = {"error": error_document(error)["error"]}
            self._narrate("\n".join(lines), "error", error_keys)

    @property
    def progress(self) -> "Progress":
        """The callback that shows events, live where stderr is a terminal."""
        if self.quiet:
            from imagekit.progress import silent

            return silent
        if self._live is None:
            self._live = _Live(self)
        return self._live.show

    def progress_of(self, name: str) -> "Progress":
        """Return the callback of one of several things that are at work at once, by its name."""
        if self.quiet or not name:
            return self.progress
        if self._live is None:
            self._live = _Live(self)
        return partial(self._live.show, of=name)

    def leave(self, name: str) -> None:
        """Show nothing more of one of several things, as it has ended."""
        if self._live is not None:
            self._live.leave(name)

    @property
    def drawable(self) -> int | None:
        """The descriptor of the terminal on which programs may draw progress; None for none."""
        live = self.progress_form == "auto" and not self.verbose and self.on_terminal
        return self.err.fileno() if live else None

    @property
    def on_terminal(self) -> bool:
        """Whether stderr is a terminal that lines can be redrawn on."""
        return self.err.isatty() and os.environ.get("TERM") != "dumb"

    def settle(self) -> None:
        """End the live display, before something else is printed."""
        if self._live is not None:
            self._live.stop()

    @property
    def colours(self) -> bool:
        """Whether narration may be coloured (https://no-color.org)."""
        return self.err.isatty() and not os.environ.get("NO_COLOR")

    def paint(self, text: str, kind: str) -> str:
        """Colour the text as ``good``, ``bad``, ``warn`` or ``bold``, where colours are wanted."""
        colour = {"good": _GREEN, "bad": _RED, "warn": _YELLOW, "bold": _BOLD}[kind]
        return f"{colour}{text}{_PLAIN}" if self.colours else text

    def _result(self, text: str, document: Mapping[str, object]) -> None:
        self.settle()
        self._answered = True
        shown = _json(document) if self.json else text
        if shown:
            self._write(shown.rstrip("\n"))

    def _narrate(self, text: str, event: str, keys: dict[str, object]) -> None:
        """Print on stderr: the text, or the event for programs that read it."""
        if self.progress_form == "json":
            from imagekit.cli.display import write_json

            write_json(self.err, event, keys)
        else:
            print(self._fit(text, self.err), file=self.err, flush=True)

    def _fit(self, text: str, stream: TextIO) -> str:
        """Return the text as it fits the terminal, if it goes to one."""
        width = _width(stream)
        if not width:
            return text
        from imagekit.cli.wrap import wrapped

        return wrapped(text, width)

    def _write(self, text: str) -> None:
        try:
            print(text, file=self.out, flush=True)
        except BrokenPipeError:
            # The exit code has the command's result too, and does not change.
            discard(self.out.fileno())


def _last_lines(error: ToolError) -> list[str]:
    if not error.output:
        return []
    last = error.output.rstrip("\n").splitlines()[-_LAST_LINES:]
    return ["   the last lines that it printed:", *(f"     {_printable(line)}" for line in last)]


def _printable(text: str) -> str:
    """Return the beginning of what a program printed, which must not control the terminal."""
    text = text[:_LONGEST_LINE]
    return "".join(c if c.isprintable() else " " for c in text)


def _width(stream: TextIO) -> int:
    """Return the columns of the terminal that the stream goes to; 0 for none."""
    if not stream.isatty():
        return 0
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, 0)
    except (OSError, ValueError):
        return 0


def _json(document: Mapping[str, object]) -> str:
    import json

    return json.dumps(document, indent=2, ensure_ascii=False)


def error_document(error: ImagekitError) -> dict[str, object]:
    """Return the document of a command that failed."""
    document: dict[str, object] = {
        "schema": 1,
        "error": {"code": error.code, "message": error.message, "hint": error.hint},
        "exit_code": error.exit_code,
    }
    diagnostics: Sequence[Diagnostic] = ()
    if isinstance(error, InputError):
        diagnostics = error.diagnostics
    elif isinstance(error, BuildError) and error.diagnostic is not None:
        diagnostics = (error.diagnostic,)
    document["diagnostics"] = [diagnostic_document(diagnostic) for diagnostic in diagnostics]
    return document


def diagnostic_document(diagnostic: Diagnostic) -> dict[str, object]:
    """Return a diagnostic as ``--json`` shows it."""
    return {
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "file": diagnostic.file,
        "line": diagnostic.line,
        "column": diagnostic.column,
        "hint": diagnostic.hint,
    }


class _Live:
    """Makes the display at the first event, so that rich is imported only where it is used."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._display: Display | None = None
        self._lock = threading.Lock()

    def show(self, event: "Event", of: str = "") -> None:
        with self._lock:
            if self._display is None:
                self._display = self._made()
        self._display.show(event, of)

    def leave(self, of: str) -> None:
        if self._display is not None:
            self._display.leave(of)

    def stop(self) -> None:
        if self._display is not None:
            self._display.stop()

    def _made(self) -> "Display":
        from imagekit.cli.display import JsonLines, Lines

        console = self._console
        if console.progress_form == "json":
            return JsonLines(console.err)
        if console.drawable is None:
            return Lines(console.err, paint=console.paint, verbose=console.verbose)
        from imagekit.cli.live import LiveLines

        return LiveLines(console.err, paint=console.paint)

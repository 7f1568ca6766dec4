"""What the commands print with: results on stdout, narration on stderr.

Under ``--json`` exactly one document goes to stdout, also where the command fails. Colour adds no
information to the text; it is off under NO_COLOR and where stderr is no terminal.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from msgspec import Struct, field

from imagekit.cli.streams import discard
from imagekit.errors import BuildError, Diagnostic, ImagekitError, InputError, ToolError

if TYPE_CHECKING:
    from imagekit.progress import Event, Progress

_RED, _YELLOW, _GREEN, _BOLD, _PLAIN = "\33[31m", "\33[33m", "\33[32m", "\33[1m", "\33[0m"


class Console(Struct, kw_only=True):
    """Where one run of a command prints to."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    partial: Mapping[str, object] = field(default_factory=dict)
    """What a command that works on several things has done so far; it stands beside an error."""
    _live: "_Live | None" = None
    _answered: bool = False

    def result(self, text: str, document: Mapping[str, object]) -> None:
        """Print the result of the command: the text, or the document under ``--json``."""
        self.settle()
        self._answered = True
        shown = _json(document) if self.json else text
        if shown:
            self._write(shown.rstrip("\n"))

    def note(self, text: str) -> None:
        """Print a text on stderr, unless ``--quiet``."""
        self.settle()
        if not self.quiet:
            print(text, file=self.err, flush=True)

    def diagnostics(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Show faults of files as code frames on stderr."""
        from imagekit.cli.frame import frame

        self.settle()
        for diagnostic in diagnostics:
            print(frame(diagnostic, paint=self.paint), file=self.err)

    def error(self, error: ImagekitError) -> None:
        """Print what went wrong and the remedy; under ``--json`` also as the document."""
        self.settle()
        if isinstance(error, InputError) and error.diagnostics:
            self.diagnostics(error.diagnostics)
        elif isinstance(error, BuildError) and error.diagnostic is not None:
            self.diagnostics((error.diagnostic,))
            self._last_lines(error)
        else:
            code = f"[{error.code}]" if error.code else ""
            print(f"{self.paint('error', 'bad')}{code}: {error.message}", file=self.err)
            if isinstance(error, ToolError):
                self._last_lines(error)
        if error.hint:
            print(f"   = {error.hint}", file=self.err)
        if self.json and not self._answered:
            self.result("", {**_document(error), **self.partial})

    @property
    def progress(self) -> "Progress":
        """The callback that shows events, live where stderr is a terminal."""
        if self.quiet:
            from imagekit.progress import silent

            return silent
        if self._live is None:
            self._live = _Live(self)
        return self._live.show

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

    def _write(self, text: str) -> None:
        try:
            print(text, file=self.out, flush=True)
        except BrokenPipeError:
            # The exit code has the command's result too, and does not change.
            discard(self.out.fileno())

    def _last_lines(self, error: ToolError) -> None:
        if error.output:
            print("   the last lines that it printed:", file=self.err)
            for line in error.output.rstrip("\n").splitlines()[-12:]:
                print(f"     {line}", file=self.err)


def _json(document: Mapping[str, object]) -> str:
    import json

    return json.dumps(document, indent=2, ensure_ascii=False)


def _document(error: ImagekitError) -> dict[str, object]:
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
        self._display: Progress | None = None

    def show(self, event: "Event") -> None:
        if self._display is None:
            from imagekit.cli.display import Lines, LiveLines

            console = self._console
            terminal = console.err.isatty() and os.environ.get("TERM") != "dumb"
            make = LiveLines if terminal and not console.verbose else Lines
            self._display = make(console.err, paint=console.paint, verbose=console.verbose).show
        self._display(event)

    def stop(self) -> None:
        if self._display is not None:
            self._display = None

"""Faults of a file that a person wrote: collected with their places, raised all at once."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.documents.place import SourcePlace
from imagekit.errors import Diagnostic, InputError

MAX_DIAGNOSTICS = 100
"""Most faults that are reported; the last one then says that there are more."""
_LONGEST = 60
_LONGEST_LINE = 1000


class SourceSpan(Struct, frozen=True):
    """A piece of one line of a file; line and column count from 1."""

    line: int = 0
    column: int = 0
    length: int = 1


class _Faults(Struct):
    """What the reports of one file share."""

    lines: tuple[str, ...] = ()
    errors: int = 0
    diagnostics: list[Diagnostic] = field(default_factory=list)
    files: set[tuple[str, str]] = field(default_factory=set)


class Report(Struct, frozen=True):
    """Collects the faults of one file.

    Args:
        file: the file's name, as the messages show it.
        area: first half of the codes: ``recipe`` gives ``recipe/unknown-key``.
        path: the keys that lead to what is being read, such as ``steps[2].copy``.
        folder: what relative paths in the file are relative to, where they may be looked up.
    """

    file: str
    area: str
    path: str = ""
    folder: Path | None = None
    _faults: _Faults = field(default_factory=_Faults)

    def set_source(self, text: str) -> None:
        """Give the text of the file, so that faults can show their line."""
        self._faults.lines = tuple(line.removesuffix("\r") for line in text.split("\n"))

    def note_file(self, path: str, raw: bytes) -> None:
        """Note that another file was read for this one, and which bytes it had."""
        # Whoever changes a file between two looks at it is seen by its two digests.
        self._faults.files.add((path, hashlib.sha256(raw).hexdigest()))

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """The other files that were read, by their paths as they are written here, with SHA-256."""
        return tuple(sorted(self._faults.files))

    def line(self, number: int) -> str:
        """Return the text of a line, which counts from 1; empty where there is none."""
        lines = self._faults.lines
        return lines[number - 1] if 0 < number <= len(lines) else ""

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All faults so far, in the order of their places."""
        return tuple(sorted(self._faults.diagnostics, key=lambda d: (d.line, d.column)))

    @property
    def errors(self) -> int:
        """How many errors there were so far, also of those that are not kept."""
        return self._faults.errors

    @property
    def failed(self) -> bool:
        """Whether there is an error among the faults."""
        return self.errors > 0

    def at(self, step: str | int) -> "Report":
        """Return the report of a part: below a key, or at a position that counts from 0."""
        if isinstance(step, int):
            path = f"{self.path}[{step}]"
        else:
            path = f"{self.path}.{shown(step)}" if self.path else shown(step)
        return replace(self, path=path)

    def place(self, span: SourceSpan) -> SourcePlace:
        """Return the place of a span in this file."""
        source = self.line(span.line)
        # Many places can lie in one line, and each is written out for the process that builds.
        kept = source if len(source) <= _LONGEST_LINE else ""
        return SourcePlace(self.file, span.line, span.column, span.length, kept)

    def error(self, span: SourceSpan, code: str, message: str, *, hint: str = "") -> None:
        """Add an error; ``code`` is the second half of the whole code."""
        self._add(span, code, message, hint=hint, severity="error")

    def warn(self, span: SourceSpan, code: str, message: str, *, hint: str = "") -> None:
        """Add a warning, which stops nothing."""
        self._add(span, code, message, hint=hint, severity="warning")

    def include(self, other: "Report") -> None:
        """Add the faults of another file that belongs to this one."""
        self._faults.errors += other.errors
        self._faults.diagnostics += other.diagnostics

    def check(self, kind: type[InputError], *, what: str) -> None:
        """Raise all faults at once, if there are errors.

        Args:
            kind: RecipeError, PolicyError or the like.
            what: what was read, such as ``recipe hello``.

        Raises:
            InputError: of that kind, with every diagnostic.
        """
        if not self.failed:
            return
        count = f"{self.errors} errors" if self.errors > 1 else "1 error"
        raise kind(
            f"{what} cannot be used: {count} in {self.file}",
            code=f"{self.area}/invalid",
            diagnostics=self.diagnostics,
        )

    def _add(self, span: SourceSpan, code: str, message: str, *, hint: str, severity: str) -> None:
        self._faults.errors += severity == "error"
        count = len(self._faults.diagnostics)
        if count > MAX_DIAGNOSTICS:
            return
        if count == MAX_DIAGNOSTICS:
            span, code, severity = SourceSpan(), "too-many-faults", "error"
            message, hint = "there are more faults than are shown", "mend these first"
        self._faults.diagnostics.append(
            Diagnostic(
                code=f"{self.area}/{code}",
                message=_printable(message),
                file=self.file,
                line=span.line,
                column=span.column,
                length=span.length,
                source=self.line(span.line),
                hint=_printable(hint),
                severity=severity,
            )
        )


def shown(text: str) -> str:
    """Return the text as messages show it: of bounded length, nothing that steers a terminal."""
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    return _printable(cut)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean `packages`?``, or nothing where no known word is close."""
    if len(word) > _LONGEST:
        return ""
    import difflib  # whoever made no fault does not wait for it

    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"did you mean `{close[0]}`?" if close else ""


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)

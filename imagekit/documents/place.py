"""Where in a file something stands, so that an error much later can still point there."""

from dataclasses import dataclass, field

from imagekit.errors import Diagnostic


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """A place in a file that a person wrote; line and column count from 1."""

    file: str
    line: int
    column: int
    length: int = field(default=1, compare=False)
    """How many characters of the line are meant."""
    source: str = field(default="", compare=False)
    """The text of the line as it was read; empty where it is too long to be kept."""

    def diagnostic(self, code: str, message: str, *, hint: str = "") -> Diagnostic:
        """Return a fault that is found here."""
        return Diagnostic(
            code=code,
            message=message,
            file=self.file,
            line=self.line,
            column=self.column,
            length=self.length,
            source=self.source,
            hint=hint,
        )

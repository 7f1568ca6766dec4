"""Where in a file something stands, so that an error much later can still point there."""

from msgspec import Struct

from imagekit.errors import Diagnostic


class SourcePlace(Struct, frozen=True):
    """A place in a file that a person wrote; line and column count from 1."""

    file: str
    line: int
    column: int
    length: int = 1
    """How many characters of the line are meant."""
    source: str = ""
    """The text of the line as it was read; empty where it is too long to be kept."""

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same place; what is shown of the line does not count."""
        return isinstance(other, SourcePlace) and self._at == other._at

    def __hash__(self) -> int:
        return hash(self._at)

    @property
    def _at(self) -> tuple[str, int, int]:
        return self.file, self.line, self.column

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

"""Where in a file something stands, so that an error much later can still point there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """A place in a file that a person wrote; line and column count from 1."""

    file: str
    line: int
    column: int

"""Tables: columns on a terminal, lines separated by tabs for other programs."""

from collections.abc import Sequence
from datetime import UTC, datetime

from imagekit.cli.display import clean

_GAP = "  "


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, terminal: bool) -> str:
    """Return a table as text.

    Args:
        heads: the titles of the columns, which only a terminal gets.
        rows: the cells; control characters in them are replaced.
        terminal: whether a terminal shows it.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    if not terminal:
        return "\n".join("\t".join(row) for row in cells)
    whole = [list(heads), *cells]
    widths = [max(len(row[column]) for row in whole) for column in range(len(heads))]
    lines = (
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in whole
    )
    return "\n".join(line.rstrip() for line in lines)


def size_text(size: int) -> str:
    """Return a number of bytes as people read it."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        # Rounded, 999 999 bytes would be 1000.0 kB.
        if size >= factor * 0.99995:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def time_text(seconds: float) -> str:
    """Return a time as RFC 3339 has it; empty where it is not known."""
    if not seconds:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

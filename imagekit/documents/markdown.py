"""Markdown that is made of texts of anybody (GitHub Flavored Markdown, "Tables")."""

from collections.abc import Iterator, Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, whose cells hold nothing but their texts."""
    for row in (heads, ["---"] * len(heads)):
        yield f"| {' | '.join(row)} |"
    for row in rows:
        yield f"| {' | '.join(cell(text) for text in row)} |"


def cell(text: str) -> str:
    """Return a text as a cell that holds nothing but it."""
    shown = "".join(c if c.isalnum() or c in " -+.:~/=_" else f"&#{ord(c)};" for c in text)
    return shown.replace("_", "\\_").replace("~", "\\~")

"""Code frames: a fault in a file, with its line, a caret and what to do."""

from collections.abc import Callable

from imagekit.errors import Diagnostic

Paint = Callable[[str, str], str]
_WIDEST = 160


def frame(diagnostic: Diagnostic, *, paint: Paint) -> str:
    """Return the diagnostic as text for a terminal.

    Args:
        diagnostic: the fault.
        paint: colours a text as ``bad``, ``warn`` or ``bold``, or leaves it as it is.
    """
    kind = "bad" if diagnostic.severity == "error" else "warn"
    head = f"{paint(diagnostic.severity, kind)}[{diagnostic.code}]: {diagnostic.message}"
    lines = [head, f"  --> {_place(diagnostic)}"]
    if diagnostic.line and diagnostic.source:
        lines += _excerpt(diagnostic, paint=paint, kind=kind)
    elif diagnostic.hint:
        lines.append(f"   = {diagnostic.hint}")
    return "\n".join(lines)


def _place(diagnostic: Diagnostic) -> str:
    if not diagnostic.line:
        return diagnostic.file
    return f"{diagnostic.file}:{diagnostic.line}:{diagnostic.column}"


def _excerpt(diagnostic: Diagnostic, *, paint: Paint, kind: str) -> list[str]:
    number = str(diagnostic.line)
    margin = " " * (len(number) + 1)
    start = max(0, diagnostic.column - 1)
    # A long line is cut so that the caret stays on the screen.
    cut = max(0, start - _WIDEST // 2)
    source = _visible(diagnostic.source)[cut : cut + _WIDEST]
    start -= cut
    length = max(1, min(diagnostic.length, len(source) - start))
    caret = " " * start + paint("^" * length, kind)
    hint = f" {diagnostic.hint}" if diagnostic.hint else ""
    return [f"{margin} |", f" {number} | {source}", f"{margin} | {caret}{hint}", f"{margin} |"]


def _visible(text: str) -> str:
    """Replace what would move the terminal's cursor, one character for one."""
    return "".join(
        c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )

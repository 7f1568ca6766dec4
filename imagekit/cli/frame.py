"""Code frames: a fault in a file, with its line, a caret and what to do."""

from collections.abc import Callable

from imagekit.errors import Diagnostic

Paint = Callable[[str, str], str]
_WIDEST = 160


def frame(diagnostic: Diagnostic, *, paint: Paint, width: int = 0) -> str:
    """Return the diagnostic as text for a terminal.

    Args:
        diagnostic: the fault.
        paint: colours a text as ``bad``, ``warn`` or ``bold``, or leaves it as it is.
        width: of the terminal; 0 for none.
    """
    kind = "bad" if diagnostic.severity == "error" else "warn"
    head = f"{paint(diagnostic.severity, kind)}[{diagnostic.code}]: {diagnostic.message}"
    lines = [head, f"  --> {_place(diagnostic)}"]
    if diagnostic.line and diagnostic.source:
        lines += _excerpt(diagnostic, paint=paint, kind=kind, width=width or _WIDEST)
    elif diagnostic.hint:
        lines.append(f"   = {diagnostic.hint}")
    return "\n".join(lines)


def _place(diagnostic: Diagnostic) -> str:
    if not diagnostic.line:
        return diagnostic.file
    return f"{diagnostic.file}:{diagnostic.line}:{diagnostic.column}"


def _excerpt(diagnostic: Diagnostic, *, paint: Paint, kind: str, width: int) -> list[str]:
    number = str(diagnostic.line)
    margin = " " * (len(number) + 1)
    room = min(_WIDEST, width - len(margin) - 3)
    start = max(0, diagnostic.column - 1)
    # A long line is cut so that the caret stays on the screen.
    cut = max(0, start - room // 2)
    source = _visible(diagnostic.source)[cut : cut + room]
    start -= cut
    length = max(1, min(diagnostic.length, len(source) - start))
    caret = " " * start + paint("^" * length, kind)
    lines = [f"{margin} |", f" {number} | {source}", f"{margin} | {caret}", f"{margin} |"]
    if diagnostic.hint and start + length + len(diagnostic.hint) < room:
        lines[2] += f" {diagnostic.hint}"
    elif diagnostic.hint:
        lines[3] = f"   = {diagnostic.hint}"
    return lines


def _visible(text: str) -> str:
    """Replace what would move the terminal's cursor, one character for one."""
    return "".join(
        c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )

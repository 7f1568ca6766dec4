"""Text of untrusted files: valid, printable, of a bounded length."""

from collections.abc import Iterator, Mapping
from io import BytesIO

MAX_VALUE = 4096


def decoded(raw: bytes) -> str:
    """Decode UTF-8; what is none is shown as U+FFFD."""
    return raw.decode("utf-8", "replace")


def clean(text: str, limit: int = MAX_VALUE) -> str:
    """Return one line without control characters, cut where it is too long."""
    line = text[:limit].strip()
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else " " for c in line).strip()


def printable(raw: bytes) -> str:
    """Return bytes that should be a path or name as text that every encoder takes."""
    return clean(decoded(raw))


def lines(raw: bytes) -> Iterator[str]:
    """Yield the lines of a list of paths that have something in them, one after the other."""
    for line in BytesIO(raw):
        text = line.removesuffix(b"\n").decode("utf-8", "surrogateescape")
        if text:
            yield text


def fields(text: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the wanted fields of a header block, ``NAME: VALUE`` with indented continuations.

    Args:
        text: the block, up to its end or the first empty line.
        wanted: names in lower case, and what each is called in the result.
    """
    name = ""
    lines: list[str] = []
    for line in text.split("\n"):
        if not line.strip("\r"):
            break
        if line[0] in " \t":
            if name:
                lines.append(line)
            continue
        if name:
            yield name, "\n".join(lines)
        key, colon, value = line.partition(":")
        name = wanted.get(key.lower(), "") if colon else ""
        lines = [value.strip()]
    if name:
        yield name, "\n".join(lines)

"""Long lines on a terminal: wrapped at words, under the column that they belong to."""

import re

# Where the text of a line begins: behind the columns of a table, behind a mark and a name, behind
# a sign such as that of a hint. The rest of a wrapped line is put under it.
_COLUMNS = re.compile(r"\s*\S.{0,28}? {2,}(?=\S)")
_MARKED = re.compile(r"\s*[✓!✗] \S{10,} (?=\S)")
_SIGN = re.compile(r"\s*(?:[✓!✗…=$|-]|-->|[0-9]{1,3}\.) (?=\S)")
_BLANK = re.compile(r"\s*")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def wrapped(text: str, width: int) -> str:
    """Return the text with its long lines wrapped; no word is cut, as it may be copied.

    Args:
        text: one or more lines.
        width: columns of the terminal; 0 for none, where lines stay as they are.
    """
    if not width:
        return text
    return "\n".join(_wrapped(line, width) for line in text.split("\n"))


def reflowed(text: str, width: int) -> str:
    """Return prose and examples of a help text at another width than they were written in.

    Args:
        text: paragraphs; lines of examples begin with a blank, or with the command itself.
        width: columns.
    """
    lines: list[str] = []
    for line in text.strip().split("\n"):
        if lines and _is_prose(line) and _is_prose(lines[-1]):
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    return "\n".join(
        "\n".join(pieces(line, width)) if _is_prose(line) else _wrapped(line, width)
        for line in lines
    )


def _is_prose(line: str) -> bool:
    return bool(line) and not line.startswith((" ", "imagekit "))


def pieces(text: str, width: int) -> list[str]:
    """Return a text as lines of at most that width, where its words allow it; at least one."""
    from textwrap import wrap

    return wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width or len(_COLOUR.sub("", line)) <= width:
        return line
    from textwrap import TextWrapper

    wrapper = TextWrapper(
        width,
        subsequent_indent=" " * _hanging(_COLOUR.sub("", line), width),
        expand_tabs=False,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(wrapper.wrap(line))


def _hanging(line: str, width: int) -> int:
    """Return the column under which the rest of a line belongs."""
    for form in (_MARKED, _COLUMNS, _SIGN):
        begin = form.match(line)
        if begin is not None and begin.end() <= width // 2:
            return begin.end()
    blank = _BLANK.match(line)
    return (blank.end() if blank is not None else 0) % (width // 2) + 2

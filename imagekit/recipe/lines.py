"""The lines of a Containerfile, joined to instructions as Buildah joins them.

The rules are those of Buildah's own reader (openshift/imagebuilder, dockerfile/parser); where it
and Docker's differ, or where a blank could pass for another character, the line is refused.
"""

import re
import unicodedata
from collections.abc import Iterator

from msgspec import Struct

from imagekit.documents.report import Report, SourceSpan

MAX_BYTES = 1 << 20
MAX_LINE = 60_000
"""Buildah stops reading without an error at a line of 64 KiB."""
MAX_INSTRUCTIONS = 2000
_ESCAPE = re.compile(r"#\s*escape\s*=\s*(.?)", re.IGNORECASE)
_BACKTICK = re.compile(r"#[ \t]*escape[ \t]*=[ \t]*`[ \t]*", re.IGNORECASE)
_CONTINUED = {"\\": re.compile(r"\\[ \t]*$"), "`": re.compile(r"`[ \t]*$")}
_WORD = re.compile(r"([A-Za-z]+)(?:[ \t]+(.*))?", re.DOTALL)
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)")
_NAME = re.compile(r"""(['"]?)([A-Za-z0-9_.-]+)\1""")
_HOLDS_HEREDOCS = frozenset({"RUN", "COPY", "ADD"})
_UNCLEAR = frozenset("'\"`$\\")
_LITERAL = frozenset({"CMD", "ENTRYPOINT", "HEALTHCHECK", "RUN", "SHELL"})
"""Instructions that escape characters mean nothing in, behind their options."""
_OPTIONS = re.compile(r"(?:--\S*[ \t]+)*")


class Line(Struct, frozen=True):
    """An instruction: its word in capitals, what stands behind it, and where it began."""

    word: str
    rest: str
    number: int
    body: tuple[str, ...] = ()
    """The lines of its here-documents, with the ends."""


class _Source(Struct):
    """The lines that were not read yet."""

    lines: list[str]
    report: Report
    next: int = 0
    escape: str = "\\"
    """What continues a line."""

    @property
    def ended(self) -> bool:
        return self.next == len(self.lines)

    def take(self) -> str:
        self.next += 1
        return self.lines[self.next - 1]


def instructions(raw: bytes, report: Report) -> Iterator[Line]:
    """Yield the instructions of a Containerfile; what could be read in two ways is reported.

    Args:
        raw: the bytes of the file.
        report: takes the faults; where it has any, what is yielded is not to be built.
    """
    text = _text(raw, report)
    if text is None:
        return
    # As Go's ScanLines does: one carriage return belongs to the end of the line.
    source = _Source([line.removesuffix("\r") for line in text.split("\n")], report)
    _check_characters(source)
    _check_directives(source)
    count = 0
    while not source.ended:
        line = _joined(source)
        if line is None:
            continue
        count += 1
        if count > MAX_INSTRUCTIONS:
            message = f"the file has more than {MAX_INSTRUCTIONS} instructions"
            report.error(SourceSpan(line.number, 1), "too-large", message)
            return
        yield line


def instruction(text: str, number: int, report: Report) -> Line | None:
    """Return the instruction that one line holds, as a base image's ONBUILD has it."""
    source = _Source([text], report)
    _check_characters(source)
    if "\n" in text:
        report.error(SourceSpan(number), "unclear-line", "the instruction has more than one line")
    line = _joined(source)
    return None if line is None else Line(line.word, line.rest, number, line.body)


def _text(raw: bytes, report: Report) -> str | None:
    if len(raw) > MAX_BYTES:
        report.error(SourceSpan(), "too-large", f"the file has more than {MAX_BYTES} bytes")
        return None
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        report.error(SourceSpan(), "encoding", "the file is not UTF-8", hint="save it as UTF-8")
        return None
    report.set_source(text)
    return text


def _check_characters(source: _Source) -> None:
    for number, line in enumerate(source.lines, 1):
        for column, character in enumerate(line, 1):
            kind = unicodedata.category(character)
            if character != "\t" and kind in {"Cc", "Zl", "Zp", "Cs"}:
                message = f"the character U+{ord(character):04X} ends a line for some programs"
                hint = "take it out, or write it as an escape of the shell"
                source.report.error(
                    SourceSpan(number, column), "control-character", message, hint=hint
                )
                break


def _check_directives(source: _Source) -> None:
    """Take a backtick as what continues lines, where all programs look for the directive.

    Buildah gets the lines joined, and no directive.
    """
    if _BACKTICK.fullmatch(source.lines[0]) is not None:
        source.escape = source.lines[0].strip()[-1]
    for number, line in enumerate(source.lines, 1):
        comment = line.strip()
        if not comment.startswith("#"):
            return
        directive = _ESCAPE.match(comment)
        taken = source.escape == "`" and number == 1
        if directive is not None and not taken and directive[1] + source.escape != "\\\\":
            message = "this directive `escape` is read by some programs only, or by none"
            hint = "write `# escape=` and a backtick as the first line and once, or not at all"
            source.report.error(SourceSpan(number, 1), "escape-directive", message, hint=hint)


def _joined(source: _Source) -> Line | None:
    """Return the next instruction with its continuation lines, or None for an empty line."""
    first = source.take().lstrip()
    number = source.next
    if not first or first.startswith("#"):
        return None
    joined, more = _continued(first, source)
    while more and not source.ended:
        line = source.take()
        bare = line.lstrip()
        if not bare or bare.startswith("#"):
            continue
        piece, more = _continued(line, source)
        joined += piece
    return _instruction(joined.strip(" \t"), number, source)


def _continued(line: str, source: _Source) -> tuple[str, bool]:
    continuation = _CONTINUED[source.escape].search(line)
    if continuation is None:
        return line, False
    piece = line[: continuation.start()]
    if piece.endswith(source.escape):
        message = f"two {source.escape} at the end continue the line for some programs only"
        source.report.error(
            SourceSpan(source.next, 1), "unclear-line", message, hint="write one, or none"
        )
    return piece, True


def _instruction(joined: str, number: int, source: _Source) -> Line | None:
    words = _WORD.fullmatch(joined)
    if words is None:
        message = "the line begins with no instruction"
        source.report.error(SourceSpan(number, 1), "unknown-instruction", message)
        return None
    line = Line(words[1].upper(), words[2] or "", number)
    fault = ""
    if len(joined.encode()) > MAX_LINE:
        fault = f"the instruction has more than {MAX_LINE} bytes, which Buildah does not read"
    elif _CONTINUED["\\"].search(joined) is not None:
        fault = "the instruction ends with a backslash that continues nothing"
    elif source.escape == "`" and _is_escaped(line.word, line.rest):
        fault = "behind `# escape=`, programs read backslashes and backticks here differently"
    if fault:
        hint = "put a long script into a file beside it" if "bytes" in fault else "take it out"
        source.report.error(SourceSpan(number, 1), "unclear-line", fault, hint=hint)
        return None
    return _with_heredocs(line, source)


def _is_escaped(word: str, rest: str) -> bool:
    """Return whether an escape character of either kind stands where words are read.

    Buildah splits the words of ENV, ARG and LABEL by the directive's character, and replaces
    variables by the backslash all the same; Docker does both by the directive's.
    """
    inner = _WORD.fullmatch(rest) if word == "ONBUILD" else None
    if inner is not None:
        word, rest = inner[1].upper(), inner[2] or ""
    options = _OPTIONS.match(rest) if word in _LITERAL else None
    return not {"\\", "`"}.isdisjoint(rest if options is None else options[0])


def _with_heredocs(line: Line, source: _Source) -> Line:
    """Return the instruction with its here-documents (Containerfile(5), HERE-DOCUMENTS)."""
    if "<<" not in line.rest or line.word not in {*_HOLDS_HEREDOCS, "ONBUILD"}:
        return line
    body: list[str] = []
    for word in line.rest.split():
        heredoc = _HEREDOC.fullmatch(word)
        if heredoc is None:
            continue
        name = _NAME.fullmatch(heredoc[2])
        before = line.rest[: line.rest.index(word)]
        # The variables of other instructions' texts are replaced, by one escape or the other.
        other = source.escape == "`" and line.word != "RUN"
        if name is None or line.word == "ONBUILD" or other or _UNCLEAR & set(before):
            message = f"`{word}` may begin a here-document for some versions of Buildah only"
            hint = "put the text into a file beside it, or the here-document first"
            source.report.error(SourceSpan(line.number, 1), "unclear-line", message, hint=hint)
            return line
        body += _heredoc(name[2], source, tabs=bool(heredoc[1]), number=line.number)
    return Line(line.word, line.rest, line.number, tuple(body))


def _heredoc(name: str, source: _Source, *, tabs: bool, number: int) -> list[str]:
    body: list[str] = []
    while not source.ended:
        line = source.take()
        body.append(line)
        if (line.lstrip("\t") if tabs else line) == name:
            return body
    message = f"the here-document has no end: no line is just {name}"
    source.report.error(SourceSpan(number, 1), "unclear-line", message)
    return body

"""TOML 1.0, read by the standard library, with the places of its keys.

tomllib says where a fault of the syntax is, and nothing of where a value stands. A document of TOML
is a row of statements, each of which begins on a line of its own and is a document by itself; so
they are found by reading ever more lines until tomllib takes them.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from msgspec import Struct

from imagekit.documents import strictyaml
from imagekit.documents.report import Report, SourceSpan, shown
from imagekit.documents.strictyaml import Broken, Node, Scalar, Sequence, YamlEntry

MAX_BYTES = 16 << 10
"""The largest document: its statements are read several times."""
_MAX_READ = 256 << 10
"""How many characters are read to find places; what is left then has the place of the document."""
_MAX_STATEMENT = 4096
"""The longest statement whose place is looked for."""
_MAX_KEY = 100
"""The longest key whose place is looked for."""
_MAX_DEPTH = 8
_PLACE = re.compile(r" \((?:at line (\d+), column (\d+)|at end of document)\)$")
_START = SourceSpan(1, 1)

_Spans = tuple[SourceSpan, SourceSpan]


def compose(raw: bytes, report: Report) -> Node:
    """Read a document into the nodes that shapes read.

    Keys and tables of the first level have places; what is inside of one has its place.

    Args:
        raw: the bytes of the file.
        report: takes the faults, and the text for their code frames.

    Returns:
        The root; ``Broken`` where the document cannot be read, which is reported.
    """
    if len(raw) > MAX_BYTES:
        message = f"the file has {len(raw)} bytes; {MAX_BYTES} are allowed"
        report.error(SourceSpan(), "too-large", message)
        return Broken(span=SourceSpan())
    text = strictyaml.decode(raw, report)
    if text is None:
        return Broken(span=SourceSpan())
    try:
        document = tomllib.loads(text)
    # Besides its own ValueError: numbers of too many digits, and too many brackets.
    except (ValueError, RecursionError) as error:
        _syntax(error, report, text.rstrip("\n").count("\n") + 1)
        return Broken(span=SourceSpan())
    places: dict[str, _Spans] = {}
    for name, spans in _Statements(text).places():
        places.setdefault(name, spans)
    return _Reader(report, _START, places).mapping(document)


def _syntax(error: Exception, report: Report, last_line: int) -> None:
    message = str(error) if isinstance(error, ValueError) else "too many brackets"
    found = _PLACE.search(message)
    line, column = (int(number or 0) for number in found.groups()) if found else (0, 0)
    if found and not line:
        line, column = last_line, 1
    message = _PLACE.sub("", message)
    report.error(SourceSpan(line, column), "syntax", f"this is not TOML: {shown(message)}")


class _Reader(Struct, frozen=True):
    """Makes nodes of what tomllib read."""

    report: Report
    span: SourceSpan
    """The place of what is read."""
    places: Mapping[str, _Spans]
    """Those of the keys in it, as far as they are known."""
    depth: int = 0

    def mapping(self, document: Mapping[str, Any]) -> strictyaml.Mapping:
        """Return a table."""
        entries = []
        for key, value in document.items():
            key_span, span = self.places.get(key, (self.span, self.span))
            entry = YamlEntry(key=key, key_span=key_span, value=self._inside(key, span).node(value))
            entries.append(entry)
        return strictyaml.Mapping(entries=tuple(entries), span=self.span)

    def node(self, value: object) -> Node:
        """Return any value."""
        if self.depth > _MAX_DEPTH:
            return self._broken("too-deep", f"more than {_MAX_DEPTH} levels are nested here")
        if isinstance(value, dict):
            return self.mapping(value)
        if isinstance(value, list):
            items = (self._inside(n, self.span).node(part) for n, part in enumerate(value))
            return Sequence(items=tuple(items), span=self.span)
        if isinstance(value, str | bool | int | float):
            plain = not isinstance(value, str)
            return Scalar(value=value, text=str(value), plain=plain, span=self.span)
        return self._broken("wrong-kind", f"`{self.report.path}` is a date or a time, not text")

    def _inside(self, step: str | int, span: SourceSpan) -> "_Reader":
        return _Reader(self.report.at(step), span, {}, self.depth + 1)

    def _broken(self, code: str, message: str) -> Broken:
        self.report.error(self.span, code, message)
        return Broken(span=self.span)


class _Statements:
    """Finds the statements of a document that is known to be one."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._left = _MAX_READ

    def places(self) -> Iterator[tuple[str, _Spans]]:
        """Yield the first key of each statement, with the places of it and of what it has."""
        at, in_table = 0, False
        while at < len(self._lines):
            end = self._end(at)
            if end is None:
                return
            heading = self._lines[at].lstrip().startswith("[")
            in_table = in_table or heading
            found = self._place(at) if heading or not in_table else None
            if found is not None:
                yield found
            at = end

    def _end(self, at: int) -> int | None:
        """Return behind which line the statement ends that begins there."""
        for end in range(at + 1, len(self._lines) + 1):
            if self._read("\n".join(self._lines[at:end])) is not None:
                return end
            if self._left <= 0 or end - at > _MAX_STATEMENT:
                return None
        return None

    def _place(self, at: int) -> tuple[str, _Spans] | None:
        line = self._lines[at]
        begin = len(line) - len(line.lstrip())
        if line[begin : begin + 1] == "[":
            span = SourceSpan(at + 1, begin + 1, len(line.strip()))
            return next(((key, (span, span)) for key in self._read(line) or ()), None)
        for sign in (n for n, character in enumerate(line[:_MAX_KEY]) if character == "="):
            for key in self._read(f"{line[:sign]} = 0") or ():
                value = line[sign + 1 :]
                first = sign + 1 + len(value) - len(value.lstrip())
                return key, (
                    SourceSpan(at + 1, begin + 1, len(line[begin:sign].rstrip())),
                    SourceSpan(at + 1, first + 1, max(1, len(value.strip()))),
                )
        return None

    def _read(self, text: str) -> dict[str, Any] | None:
        self._left -= len(text)
        if self._left > 0 and len(text) <= _MAX_STATEMENT:
            with suppress(ValueError, RecursionError):
                return tomllib.loads(text)
        return None

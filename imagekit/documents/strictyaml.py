"""YAML that has one meaning for every reader, with the place of every key and value.

Only the common part of YAML is read: mappings with text keys, lists, scalars. Anchors,
aliases, merge keys, tags, directives, several documents and duplicate keys are refused: they hide
what a file says, and parsers differ in them. Plain scalars are resolved by the core schema of
YAML 1.2 (section 10.3.2), so ``no`` is text and ``0755`` is the number 755.
"""

import re
from collections.abc import Iterator

import yaml
from msgspec import Struct

from imagekit.documents.report import Report, SourceSpan, shown

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 50_000
_MAX_DIGITS = 1000

# Besides control characters: other line ends, byte order marks, and what turns the direction of
# writing, by which a reviewer sees another text than the program (CVE-2021-42574).
_FORBIDDEN = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ufeff\ufffe\uffff]|\r(?!\n)"
)
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)"
)
_WORDS: dict[str, bool | None] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True)
_WORDS |= dict.fromkeys(("false", "False", "FALSE"), False)
_HINTS = {
    "mapping values are not allowed here": "quote a text that holds ': ', and indent evenly",
    "found character '\\t' that cannot start any token": "indent by spaces, not by tabs",
    "could not find expected ':'": "a key is followed by a colon and a space",
}

Value = None | bool | int | float | str


class Scalar(Struct, frozen=True, kw_only=True):
    """A single value."""

    value: Value
    text: str
    """What was written, without quotes."""
    plain: bool
    """Whether it stands without quotes, so that its kind follows from its text."""
    span: SourceSpan


class Sequence(Struct, frozen=True, kw_only=True):
    """A list."""

    items: tuple["Node", ...]
    span: SourceSpan


class YamlEntry(Struct, frozen=True, kw_only=True):
    """A key and its value."""

    key: str
    key_span: SourceSpan
    value: "Node"


class Mapping(Struct, frozen=True, kw_only=True):
    """Keys and values; no key occurs twice."""

    entries: tuple[YamlEntry, ...]
    span: SourceSpan


class Broken(Struct, frozen=True, kw_only=True):
    """What was reported already and cannot be read any further."""

    span: SourceSpan


Node = Scalar | Sequence | Mapping | Broken


class _StopError(Exception):
    """Nothing sensible can follow; the fault was reported."""


def compose(raw: bytes, report: Report) -> Node:
    """Read one YAML document.

    Args:
        raw: the bytes of the file: UTF-8 without a byte order mark.
        report: takes the faults, and the text for their code frames.

    Returns:
        The root. After a fault as much as could be read, so that further faults can be found; the
        caller asks the report whether there were any.
    """
    text = decode(raw, report)
    if text is None:
        return Broken(span=SourceSpan())
    composer = _Composer(text, report)
    try:
        return composer.document()
    except _StopError:
        pass
    except yaml.MarkedYAMLError as error:
        _syntax(error, report)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # The latter two are PyYAML's for "\\UFFFFFFFF" and for %YAML with a number without end.
        report.error(SourceSpan(), "syntax", f"this is not YAML: {shown(str(error))}")
    return Broken(span=SourceSpan())


def resolve(text: str) -> Value:
    """Return what a plain scalar means by the core schema of YAML 1.2 (section 10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text, base)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def decode(raw: bytes, report: Report) -> str | None:
    """Return the text of a file that a person wrote; None where it is reported that it is none.

    Args:
        raw: UTF-8 without a byte order mark.
        report: takes the faults, and the text for their code frames.
    """
    if len(raw) > MAX_BYTES:
        report.error(
            SourceSpan(), "too-large", f"the file has {len(raw)} bytes; {MAX_BYTES} are allowed"
        )
        return None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        report.set_source(raw.decode("utf-8", "replace"))
        message = f"byte {error.start + 1} is not UTF-8"
        report.error(SourceSpan(line, 1), "encoding", message, hint="save the file as UTF-8")
        return None
    report.set_source(text)
    matches = list(_FORBIDDEN.finditer(text))
    for match in matches[:10]:
        _forbidden(text, match.start(), report)
    return None if matches else text


def _forbidden(text: str, start: int, report: Report) -> None:
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    number = ord(text[start])
    report.error(
        SourceSpan(line, column),
        "control-character",
        f"the character U+{number:04X} is not allowed: it hides what the file says",
        hint="take it out; in a quoted text it can be written as an escape",
    )


def _syntax(error: yaml.MarkedYAMLError, report: Report) -> None:
    mark = error.problem_mark or error.context_mark
    span = SourceSpan(mark.line + 1, mark.column + 1) if mark is not None else SourceSpan()
    problem = error.problem or "unknown"
    message = f"this is not YAML: {shown(problem)}"
    if error.context:
        message += f" ({shown(error.context)})"
    report.error(span, "syntax", message, hint=_HINTS.get(problem, ""))


class _Composer:
    """Makes nodes of the parser's events; the events know tags, anchors and quotes."""

    def __init__(self, text: str, report: Report) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._report = report
        self._count = 0

    def document(self) -> Node:
        """Return the root of the only document."""
        next(self._events)  # the start of the stream
        start = next(self._events)
        if not isinstance(start, yaml.DocumentStartEvent):
            self._report.error(SourceSpan(), "empty", "the file is empty")
            return Broken(span=SourceSpan())
        if start.version or start.tags:
            self._report.error(_span(start), "directive", "directives (%YAML, %TAG) are not read")
        root = self._node(next(self._events), 1)
        next(self._events)  # the end of the document
        after = next(self._events)
        if isinstance(after, yaml.DocumentStartEvent):
            message = "a second document begins here; only one is read"
            self._report.error(_span(after), "several-documents", message)
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        span = _span(event)
        self._bound(span, depth)
        refused = self._refused(event, span)
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, span)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(span, depth)
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(span, depth)
        else:
            node = Broken(span=span)
        return Broken(span=span) if refused else node

    def _bound(self, span: SourceSpan, depth: int) -> None:
        self._count += 1
        if depth > MAX_DEPTH:
            self._report.error(span, "too-deep", f"nested more than {MAX_DEPTH} levels deep")
            raise _StopError
        if self._count > MAX_NODES:
            self._report.error(span, "too-large", f"more than {MAX_NODES} keys and values")
            raise _StopError

    def _refused(self, event: yaml.Event, span: SourceSpan) -> bool:
        """Report aliases, anchors and tags; return whether they change what the node means."""
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            message = f"the alias `*{shown(str(anchor))}` is not read"
            self._report.error(span, "alias", message, hint="write the value out")
            return True
        if anchor is not None:
            message = f"the anchor `&{shown(str(anchor))}` is not read"
            self._report.error(span, "alias", message, hint="write each value out where it is used")
        tag = getattr(event, "tag", None)
        if tag is not None:
            message = f"the tag `{shown(str(tag))}` is not read"
            self._report.error(span, "tag", message, hint="take it out; quotes make a text")
        return tag is not None

    def _scalar(self, event: yaml.ScalarEvent, span: SourceSpan) -> Node:
        plain = not event.style
        text: str = event.value
        if plain and len(text) > _MAX_DIGITS and (_INT.fullmatch(text) or _FLOAT.fullmatch(text)):
            self._report.error(span, "number-too-long", f"a number of {len(text)} digits")
            return Broken(span=span)
        if any("\ud800" <= character <= "\udfff" for character in text):
            message = "half a surrogate pair is no character"
            self._report.error(span, "surrogate", message, hint="write the character itself")
            return Broken(span=span)
        value = resolve(text) if plain else text
        return Scalar(value=value, text=text, plain=plain, span=span)

    def _sequence(self, span: SourceSpan, depth: int) -> Sequence:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Sequence(items=tuple(items), span=span)

    def _mapping(self, span: SourceSpan, depth: int) -> Mapping:
        entries: dict[str, YamlEntry] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            entry = self._entry(key, value)
            if entry is None:
                continue
            if entry.key in entries:
                self._duplicate(entry, entries[entry.key])
            else:
                entries[entry.key] = entry
        first = next(iter(entries.values()), None)
        # A block mapping has no brackets to underline: its first key stands for it.
        block = first is not None and first.key_span.column == span.column
        shown_span = first.key_span if first is not None and block else span
        return Mapping(entries=tuple(entries.values()), span=shown_span)

    def _entry(self, key: Node, value: Node) -> YamlEntry | None:
        if isinstance(key, Broken):
            return None
        if not isinstance(key, Scalar):
            self._report.error(key.span, "key-not-text", "a key must be a text")
            return None
        if key.plain and key.text == "<<":
            message = "the merge key `<<` is not read"
            self._report.error(key.span, "alias", message, hint="write the keys out")
            return None
        if not isinstance(key.value, str):
            message = f"the key {_written(key)} is read as {kind_of(key)}"
            hint = f'a key must be a text: write "{shown(key.text)}"'
            self._report.error(key.span, "key-not-text", message, hint=hint)
        return YamlEntry(key=key.text, key_span=key.span, value=value)

    def _duplicate(self, entry: YamlEntry, first: YamlEntry) -> None:
        message = f"`{shown(entry.key)}` stands here a second time"
        hint = f"the first is in line {first.key_span.line}"
        self._report.error(entry.key_span, "duplicate-key", message, hint=hint)


def kind_of(node: Node) -> str:
    """Return what a node was read as, in words: ``the number 3.1``, ``a list``."""
    if isinstance(node, Scalar):
        return _kind_of_value(node.value)
    return "a list" if isinstance(node, Sequence) else "a mapping"


def _kind_of_value(value: Value) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, str):
        return "text"
    return f"the number {shown(str(value))}"


def _written(scalar: Scalar) -> str:
    return f"`{shown(scalar.text)}`" if scalar.text else "that is empty"


def _span(event: yaml.Event) -> SourceSpan:
    start, end = event.start_mark, event.end_mark
    if start is None or end is None:
        return SourceSpan()
    length = end.column - start.column if end.line == start.line else 1
    return SourceSpan(start.line + 1, start.column + 1, max(1, length))

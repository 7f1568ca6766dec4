r"""Shapes: what a YAML file may hold, said once, for the parser and the JSON Schema alike.

A shape reads a node into a value and writes its own JSON Schema (draft 2020-12), so the two cannot
drift. Shapes nest::

    PORT = Integer("port", minimum=1, maximum=65535)
    SERVER = Record(
        "a server",
        {
            "host": item(Text("host name", pattern=r"[a-z0-9.-]+"), "where it runs", required=True),
            "ports": item(ListOf(PORT), "what it listens on", default=()),
        },
        make=lambda values: Server(host=values["host"], ports=values["ports"], place=values.place),
    )

    report = Report("server.yaml", "server")
    server = SERVER.read(strictyaml.compose(raw, report), report)
    report.check(PolicyError, what="server")       # raises with every fault, each with its place
    schema = SERVER.schema()

How a value is checked:

1. ``pattern``, lengths, limits, kinds and keys are in the schema too; the codes of their faults
   are in ``STRUCTURAL``. A pattern must mean the same in Python and ECMA-262 and match the whole.
2. ``Text(parse=...)`` turns text into a value. It raises InputError; message, hint and place are
   then reported. The schema does not know of it.
3. ``Record(rules=...)`` are functions ``(Values, Report) -> None`` for what holds between fields.
   They run even if some field is bad: ``values.get(name)`` is then None.
4. ``make`` runs only where every field is good and no rule has reported a fault.

A shape returns INVALID where it reported something, so the faults of all parts come at once.
"""

import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct, field

from imagekit.documents import strictyaml
from imagekit.documents.place import SourcePlace
from imagekit.documents.report import Report, SourceSpan, did_you_mean, shown
from imagekit.documents.strictyaml import Node


def dump(schema: Mapping[str, object]) -> str:
    """Return the schema as indented JSON; the order of keys is that of the form."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


MAX_ITEMS = 1000

STRUCTURAL: Final = frozenset(
    {"wrong-kind", "not-matching", "out-of-range", "unknown-key", "missing-key", "one-key"}
)
"""Codes of the faults that the JSON Schema finds as well."""


class Invalid(Enum):
    """What a shape returns for a node that it reported."""

    INVALID = "invalid"


INVALID: Final = Invalid.INVALID

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Shape(Protocol[T_co]):
    """What a node may be."""

    def read(self, node: Node, report: Report) -> T_co | Invalid:
        """Return the node's value, or report what is wrong with it and return INVALID."""
        ...

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what ``read`` accepts."""
        ...


def wrong_kind(node: Node, report: Report, wanted: str, *, text: bool = False) -> Invalid:
    """Report that the node is of another kind than wanted, and how to write it instead.

    Args:
        node: what was found.
        report: takes the fault.
        wanted: what should stand there, such as ``a list``.
        text: whether quotes would make it right.
    """
    if isinstance(node, strictyaml.Broken):
        return INVALID
    kind = strictyaml.kind_of(node)
    hint = ""
    if isinstance(node, strictyaml.Scalar) and node.value is None:
        kind = "empty"
        hint = "give it a value, or take the key out"
    elif text and isinstance(node, strictyaml.Scalar):
        kind = f"read as {kind}"
        hint = f'write it in quotes: "{shown(node.text)}"'
    message = f"`{report.path}` is {kind}; it must be {wanted}"
    report.error(node.span, "wrong-kind", message, hint=hint)
    return INVALID


class Field(Struct, Generic[T], frozen=True, kw_only=True):
    """One key of a record."""

    shape: Shape[T]
    description: str
    required: bool = False
    default: Any = None


def item(
    shape: Shape[T], description: str, *, required: bool = False, default: object = None
) -> Field[T]:
    """Return a key of a record: its shape, what it is for, and what holds without it."""
    return Field(shape=shape, description=description, required=required, default=default)


class Values(Struct, frozen=True, kw_only=True):
    """What was read of a record."""

    report: Report
    span: SourceSpan
    _good: Mapping[str, Any]
    _spans: Mapping[str, tuple[SourceSpan, SourceSpan]]
    _fields: Mapping[str, Field[Any]]

    @property
    def place(self) -> SourcePlace:
        """Where the record begins."""
        return self.report.place(self.span)

    @property
    def whole(self) -> bool:
        """Whether every key that stands there is good."""
        return len(self._good) == len(self._spans)

    def __getitem__(self, name: str) -> Any:
        return self._good[name] if name in self._good else self._fields[name].default

    def get(self, name: str) -> Any:
        """Return the value if the key stands there and is good, else None."""
        return self._good.get(name)

    def __contains__(self, name: str) -> bool:
        """Return whether the key stands in the file, good or bad."""
        return name in self._spans

    def key(self, name: str) -> SourceSpan:
        """Return the span of a key, or of the record where it does not stand."""
        return self._spans[name][0] if name in self._spans else self.span

    def value(self, name: str) -> SourceSpan:
        """Return the span of a key's value, or of the record where it does not stand."""
        return self._spans[name][1] if name in self._spans else self.span


Rule = Callable[[Values, Report], None]


class Record(Struct, Generic[T], frozen=True):
    """A mapping with known keys."""

    name: str
    fields: Mapping[str, Field[Any]]
    make: Callable[[Values], T]
    rules: tuple[Rule, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Keys that people know from elsewhere, and the ones that are meant."""
    one_of: tuple[tuple[str, ...], ...] = ()
    """Groups of keys, of each of which exactly one stands there."""

    def read(self, node: Node, report: Report) -> T | Invalid:
        """Read a mapping; report unknown, missing and bad keys."""
        if not isinstance(node, strictyaml.Mapping):
            return wrong_kind(node, report, f"a mapping: {self.name}")
        before = report.errors
        values = self._values(node, report)
        for group in self.one_of:
            self._one_of(group, values, report)
        for rule in self.rules:
            rule(values, report)
        bad = report.errors > before or not values.whole
        return INVALID if bad else self.make(values)

    def schema(self) -> dict[str, Any]:
        """Return the schema of the mapping."""
        properties = {name: _described(part) for name, part in self.fields.items()}
        required = [name for name, part in self.fields.items() if part.required]
        return {
            "type": "object",
            "description": self.name,
            "properties": properties,
            "additionalProperties": False,
            **({"required": required} if required else {}),
            **({"allOf": [_exactly_one(group) for group in self.one_of]} if self.one_of else {}),
        }

    def _one_of(self, group: tuple[str, ...], values: Values, report: Report) -> None:
        present = [name for name in group if name in values]
        if len(present) != 1:
            words = " or ".join(f"`{name}`" for name in group)
            number = f"{len(present)} of them" if present else "none"
            message = f"{self.name} has either {words}; here is {number}"
            span = values.key(present[-1]) if present else values.span
            report.error(span, "one-key", message, hint=f"write one: {words}")

    def _values(self, node: strictyaml.Mapping, report: Report) -> Values:
        good: dict[str, Any] = {}
        spans: dict[str, tuple[SourceSpan, SourceSpan]] = {}
        for entry in node.entries:
            part = self.fields.get(entry.key)
            if part is None:
                self._unknown(entry, report)
                continue
            spans[entry.key] = (entry.key_span, entry.value.span)
            value = part.shape.read(entry.value, report.at(entry.key))
            if value is not INVALID:
                good[entry.key] = value
        self._missing(node, report, spans)
        return Values(report=report, span=node.span, _good=good, _spans=spans, _fields=self.fields)

    def _unknown(self, entry: strictyaml.YamlEntry, report: Report) -> None:
        meant = self.aliases.get(entry.key)
        hint = f"did you mean `{meant}`?" if meant else did_you_mean(entry.key, self.fields)
        message = f"`{shown(entry.key)}` is not a key of {self.name}"
        hint = hint or f"known are: {', '.join(self.fields)}"
        report.error(entry.key_span, "unknown-key", message, hint=hint)

    def _missing(
        self, node: strictyaml.Mapping, report: Report, spans: Mapping[str, object]
    ) -> None:
        for name, part in self.fields.items():
            if part.required and name not in spans:
                message = f"{self.name} has no `{name}`"
                hint = f"add `{name}`: {part.description}"
                report.error(node.span, "missing-key", message, hint=hint)


class OneKey(Struct, Generic[T], frozen=True):
    """A mapping with exactly one key, which says what it is: ``{run: ...}``, ``{copy: ...}``."""

    name: str
    options: Mapping[str, Field[Any]]
    make: Callable[..., T]
    """Gets the key, its value and the key's place; by name, what stands beside it."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, Mapping[str, Field[Any]]] = field(default_factory=dict)
    """For an option, further keys that may stand beside it."""

    def read(self, node: Node, report: Report) -> T | Invalid:
        """Read the mapping; report an unknown key, several or none."""
        if not isinstance(node, strictyaml.Mapping):
            return wrong_kind(node, report, f"a mapping: {self.name}, {self._choice}")
        chosen = [entry for entry in node.entries if entry.key not in self._all_beside]
        if len(chosen) != 1:
            message = f"{self.name} has {len(chosen)} keys; it must have exactly one"
            report.error(node.span, "one-key", message, hint=f"write {self._choice}")
            return INVALID
        entry = chosen[0]
        part = self.options.get(entry.key)
        if part is None:
            return self._unknown(entry, report)
        value = part.shape.read(entry.value, report.at(entry.key))
        more = self._read_beside(node, entry.key, report)
        if value is INVALID or more is INVALID:
            return INVALID
        return self.make(entry.key, value, report.place(entry.key_span), **more)

    def schema(self) -> dict[str, Any]:
        """Return the schema of the mapping."""
        return {
            "type": "object",
            "description": self.name,
            "properties": {name: _described(part) for name, part in self._properties.items()},
            "additionalProperties": False,
            **self._how_many(),
        }

    @property
    def _all_beside(self) -> frozenset[str]:
        return frozenset(name for fields in self.beside.values() for name in fields)

    @property
    def _properties(self) -> Mapping[str, Field[Any]]:
        beside = {name: part for fields in self.beside.values() for name, part in fields.items()}
        return {**self.options, **beside}

    def _how_many(self) -> dict[str, Any]:
        if not self.beside:
            return {"minProperties": 1, "maxProperties": 1}
        needs = {name: [option] for option, fields in self.beside.items() for name in fields}
        return {**_exactly_one(tuple(self.options)), "dependentRequired": needs}

    def _read_beside(
        self, node: strictyaml.Mapping, option: str, report: Report
    ) -> dict[str, Any] | Invalid:
        known = self.beside.get(option, {})
        good: dict[str, Any] = {}
        for entry in node.entries:
            if entry.key == option:
                continue
            if entry.key not in known:
                message = f"`{shown(entry.key)}` cannot stand beside `{option}`"
                report.error(entry.key_span, "unknown-key", message, hint="take it out")
                return INVALID
            value = known[entry.key].shape.read(entry.value, report.at(entry.key))
            if value is INVALID:
                return INVALID
            good[entry.key] = value
        return good

    @property
    def _choice(self) -> str:
        return "one of " + ", ".join(f"`{name}:`" for name in self.options)

    def _unknown(self, entry: strictyaml.YamlEntry, report: Report) -> Invalid:
        meant = self.aliases.get(entry.key)
        hint = f"did you mean `{meant}`?" if meant else did_you_mean(entry.key, self.options)
        message = f"`{shown(entry.key)}` is not a key of {self.name}"
        report.error(entry.key_span, "unknown-key", message, hint=hint or f"write {self._choice}")
        return INVALID


def _exactly_one(group: tuple[str, ...]) -> dict[str, Any]:
    return {"oneOf": [{"required": [name]} for name in group]}


def _described(part: Field[Any]) -> dict[str, Any]:
    schema = {**part.shape.schema(), "description": part.description}
    if part.default not in (None, (), "") and isinstance(part.default, (str, int, bool)):
        schema["default"] = part.default
    return schema

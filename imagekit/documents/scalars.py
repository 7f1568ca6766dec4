"""Shapes of single values, lists and free mappings; ``imagekit.documents.shape`` explains them."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar, assert_never

from msgspec import Struct

from imagekit.documents import strictyaml
from imagekit.documents.report import Report, SourceSpan, did_you_mean, shown
from imagekit.documents.shape import INVALID, MAX_ITEMS, Invalid, Shape, wrong_kind
from imagekit.documents.strictyaml import Node
from imagekit.errors import InputError

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

ONE_LINE = r"[^\x00-\x1f\x7f]*"
"""Pattern of a text without control characters, so of one line."""
LINES = r"[^\x00-\x08\x0b-\x1f\x7f]*"
"""Pattern of a text of several lines, with tabs."""


class TextRefusedError(InputError):
    """What a Text's ``parse`` raises to give the fault a code of its own."""


class Found(Struct, Generic[T], frozen=True):
    """A value with its place, for rules that speak of one item of a list."""

    value: T
    span: SourceSpan


class Located(Struct, Generic[T], frozen=True):
    """Another shape, whose values keep their places."""

    shape: Shape[T]

    def read(self, node: Node, report: Report) -> Found[T] | Invalid:
        """Read by the other shape."""
        value = self.shape.read(node, report)
        return INVALID if value is INVALID else Found(value, node.span)

    def schema(self) -> dict[str, Any]:
        """Return the other shape's schema."""
        return self.shape.schema()


def _same(text: str) -> Any:
    return text


class Text(Struct, Generic[T], frozen=True):
    """A text that matches the pattern as a whole, then goes through ``parse``.

    ``name`` says in messages what it is: ``a tag``. ``parse`` raises InputError. ``code`` is the
    second half of the code of what ``parse`` refuses.
    """

    name: str
    pattern: str = ONE_LINE
    hint: str = ""
    parse: Callable[[str], T] = _same
    code: str = "bad-value"
    min_length: int = 1
    max_length: int = 4096
    examples: tuple[str, ...] = ()

    def read(self, node: Node, report: Report) -> T | Invalid:
        """Read a text."""
        if not isinstance(node, strictyaml.Scalar) or not isinstance(node.value, str):
            return wrong_kind(node, report, f"text: {self.name}", text=True)
        fault = self._fault(node.value)
        if fault:
            message = f"`{report.path}` is {fault}"
            report.error(node.span, "not-matching", message, hint=self._remedy())
            return INVALID
        try:
            return self.parse(node.value)
        except InputError as error:
            code = error.code if isinstance(error, TextRefusedError) else self.code
            report.error(node.span, code, error.message, hint=error.hint or self._remedy())
            return INVALID

    def schema(self) -> dict[str, Any]:
        """Return the schema of the text."""
        schema: dict[str, Any] = {
            "type": "string",
            "description": self.name,
            "minLength": self.min_length,
            "maxLength": self.max_length,
            # The last part keeps regular expressions whose $ matches before a final line end out.
            "pattern": f"^(?:{self.pattern})$(?!\\n)",
        }
        if self.examples:
            schema["examples"] = list(self.examples)
        return schema

    def matches(self, text: str) -> bool:
        """Return whether the text has the right length and characters."""
        return not self._fault(text)

    def _fault(self, text: str) -> str:
        if len(text) < self.min_length:
            return "empty" if not text else f"shorter than {self.min_length} characters"
        if len(text) > self.max_length:
            return f"longer than {self.max_length} characters"
        return "" if re.fullmatch(self.pattern, text) else f"'{shown(text)}', not {self.name}"

    def _remedy(self) -> str:
        if self.hint:
            return self.hint
        return f"for example: {self.examples[0]}" if self.examples else ""


def plain(
    name: str,
    *,
    pattern: str = ONE_LINE,
    min_length: int = 1,
    max_length: int = 4096,
    examples: tuple[str, ...] = (),
) -> Text[str]:
    """Return the shape of a text that is taken as it stands."""
    # NOTE: not Text[str](...): typing sets __orig_class__ on the instance, which is frozen.
    return Text(
        name, pattern=pattern, min_length=min_length, max_length=max_length, examples=examples
    )


class Integer(Struct, frozen=True):
    """A whole number between two limits."""

    name: str
    minimum: int
    maximum: int

    def read(self, node: Node, report: Report) -> int | Invalid:
        """Read a number."""
        value = node.value if isinstance(node, strictyaml.Scalar) else None
        if isinstance(value, bool) or not isinstance(value, int):
            return wrong_kind(node, report, f"a whole number: {self.name}")
        if not self.minimum <= value <= self.maximum:
            message = f"`{report.path}` must be from {self.minimum} to {self.maximum}"
            report.error(node.span, "out-of-range", message)
            return INVALID
        return value

    def schema(self) -> dict[str, Any]:
        """Return the schema of the number."""
        return {
            "type": "integer",
            "description": self.name,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }


class Boolean(Struct, frozen=True):
    """``true`` or ``false``."""

    name: str

    def read(self, node: Node, report: Report) -> bool | Invalid:
        """Read a truth value."""
        if isinstance(node, strictyaml.Scalar) and isinstance(node.value, bool):
            return node.value
        return wrong_kind(node, report, f"true or false: {self.name}")

    def schema(self) -> dict[str, Any]:
        """Return the schema of the truth value."""
        return {"type": "boolean", "description": self.name}


class Choice(Struct, frozen=True):
    """One of a few words, or a single number such as a schema's version."""

    name: str
    options: tuple[str, ...] | tuple[int, ...]
    hint: str = ""
    """The remedy where another word stands there, unless it is one of these misspelt."""

    def read(self, node: Node, report: Report) -> Any | Invalid:
        """Read the word."""
        words = ", ".join(str(option) for option in self.options)
        wanted = type(self.options[0])
        value = node.value if isinstance(node, strictyaml.Scalar) else None
        if type(value) is not wanted:
            return wrong_kind(node, report, f"one of: {words}", text=wanted is str)
        if value in self.options:
            return value
        message = f"`{report.path}` is '{shown(str(value))}'; it must be one of: {words}"
        hint = did_you_mean(str(value), (str(option) for option in self.options)) or self.hint
        report.error(node.span, "not-matching", message, hint=hint)
        return INVALID

    def schema(self) -> dict[str, Any]:
        """Return the schema of the word."""
        kind = "string" if isinstance(self.options[0], str) else "integer"
        return {"type": kind, "description": self.name, "enum": list(self.options)}


class ListOf(Struct, Generic[T], frozen=True):
    """A list of one shape; read as a tuple."""

    item: Shape[T]
    min_items: int = 0
    max_items: int = MAX_ITEMS

    def read(self, node: Node, report: Report) -> tuple[T, ...] | Invalid:
        """Read every item, and report the faults of all."""
        if not isinstance(node, strictyaml.Sequence):
            return wrong_kind(node, report, "a list")
        count = len(node.items)
        if not self.min_items <= count <= self.max_items:
            message = f"`{report.path}` has {count} items"
            hint = f"it may have {self.min_items} to {self.max_items}"
            report.error(node.span, "out-of-range", message, hint=hint)
            return INVALID
        read = [self.item.read(part, report.at(n)) for n, part in enumerate(node.items)]
        good = tuple(value for value in read if value is not INVALID)
        return good if len(good) == count else INVALID

    def schema(self) -> dict[str, Any]:
        """Return the schema of the list."""
        return {
            "type": "array",
            "items": self.item.schema(),
            "minItems": self.min_items,
            "maxItems": self.max_items,
        }


class MapOf(Struct, Generic[K, V], frozen=True):
    """A mapping with keys that the user chooses; read as an immutable mapping."""

    key: Text[K]
    value: Shape[V]
    max_items: int = MAX_ITEMS

    def read(self, node: Node, report: Report) -> Mapping[K, V] | Invalid:
        """Read every key and value, and report the faults of all."""
        if not isinstance(node, strictyaml.Mapping):
            return wrong_kind(node, report, "a mapping")
        if len(node.entries) > self.max_items:
            message = f"`{report.path}` has {len(node.entries)} keys"
            report.error(node.span, "out-of-range", message, hint=f"at most {self.max_items}")
            return INVALID
        read: dict[K, V] = {}
        for entry in node.entries:
            text = strictyaml.Scalar(
                value=entry.key, text=entry.key, plain=False, span=entry.key_span
            )
            part = report.at(entry.key)
            key = self.key.read(text, part)
            value = self.value.read(entry.value, part)
            if key is not INVALID and value is not INVALID:
                read[key] = value
        return MappingProxyType(read) if len(read) == len(node.entries) else INVALID

    def schema(self) -> dict[str, Any]:
        """Return the schema of the mapping."""
        return {
            "type": "object",
            "propertyNames": self.key.schema(),
            "additionalProperties": self.value.schema(),
            "maxProperties": self.max_items,
        }


class ByKind(Struct, Generic[T], frozen=True):
    """One shape for a number, others for another single value, a list, a mapping."""

    name: str
    number: Shape[T] | None = None
    scalar: Shape[T] | None = None
    sequence: Shape[T] | None = None
    mapping: Shape[T] | None = None

    def read(self, node: Node, report: Report) -> T | Invalid:
        """Read the node by the shape for its kind."""
        shape = self._shape(node)
        return wrong_kind(node, report, self.name) if shape is None else shape.read(node, report)

    def schema(self) -> dict[str, Any]:
        """Return the schema: any of the shapes."""
        shapes = [self.number, self.scalar, self.sequence, self.mapping]
        return {
            "description": self.name,
            "anyOf": [shape.schema() for shape in shapes if shape is not None],
        }

    def _shape(self, node: Node) -> Shape[T] | None:
        match node:
            case strictyaml.Scalar():
                number = isinstance(node.value, int) and not isinstance(node.value, bool)
                return self.number if number and self.number is not None else self.scalar
            case strictyaml.Sequence():
                return self.sequence
            case strictyaml.Mapping():
                return self.mapping
            case strictyaml.Broken():
                return None
        assert_never(node)

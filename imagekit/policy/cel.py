"""Expressions in CEL, by Google's own runtime: checked when a policy is read, bounded in use.

The runtime ends a comprehension after 10,000 steps in all, nests no deeper than 32, and matches
regular expressions by RE2. What it is given is bounded here, since it is untrusted: a text with
NUL would be cut short, an integer of 4,300 digits and a list nested 10,000 deep end the process.

https://github.com/google/cel-spec
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from imagekit.documents.report import shown
from imagekit.errors import DocumentError, PolicyError

MAX_NODES = 5000
"""Most values in all that an expression is given: to compare a list of them with itself for each
of its items takes three seconds."""
MAX_TEXT = 256 << 10
"""Most characters in all that an expression is given."""
MAX_DEPTH = 64
VARIABLES: Mapping[str, str] = {
    "reference": "string",
    "repository": "string",
    "tag": "string",
    "digest": "string",
    "platform": "string",
    "config": "map",
    "manifest": "map",
    "annotations": "map",
    "attestations": "lists",
    "now": "timestamp",
}
"""The variables of an expression; ``docs/policy.md`` explains each."""
_INTEGERS = (-(2**63), 2**64 - 1)
_PLACE = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*)")
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def compiled(text: str) -> str:
    """Return an expression as it stands, once it compiles.

    Raises:
        PolicyError: it does not, with the place in it; or it is certainly no truth value.
    """
    try:
        # langdef.md, Dynamic Values: the type of what stands in a document is known in use only.
        kind = _program(text).return_type().name()
    except RuntimeError as error:
        raise PolicyError(
            f"this is no expression: {_explained(str(error))}",
            hint=f"the variables are: {', '.join(VARIABLES)}; the language is CEL: "
            "https://github.com/google/cel-spec/blob/master/doc/langdef.md",
        ) from error
    if kind not in {"BOOL", "DYN"}:
        raise PolicyError(
            f"this expression is never true or false, but always of type {kind.lower()}",
            hint="compare it with something: config.config.User != ''",
        )
    return text


def evaluate(text: str, variables: Mapping[str, object]) -> bool:
    """Return the result of an expression.

    Args:
        text: the expression.
        variables: a value for each of ``VARIABLES``; only those that the text names are looked at.

    Raises:
        DocumentError: the result is no truth value, with the reason.
    """
    used = words(text)
    named = {name: value for name, value in variables.items() if name in used}
    _check(named)
    try:
        answer = _program(text).eval(data=named)
        kind, value = answer.type().name(), answer.value()
    except (RuntimeError, MemoryError, ValueError, TypeError) as error:
        raise _failed(_explained(str(error))) from error
    if value is True or value is False:
        return bool(value)
    if kind == "ERROR":
        raise _failed(_explained(str(value)))
    raise _failed(f"its result is of type {kind.lower()} and not true or false")


def words(text: str) -> frozenset[str]:
    """Return the words of an expression; it can name no other variable."""
    return frozenset(_WORD.findall(text))


@lru_cache(maxsize=512)
def _program(text: str) -> Any:
    return _environment().compile(text)


@lru_cache(maxsize=1)
def _environment() -> Any:
    from cel_expr_python import cel  # few policies have expressions

    map_type = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    types = {
        "string": cel.Type.STRING,
        "map": map_type,
        "lists": cel.Type.Map(cel.Type.STRING, cel.Type.List(map_type)),
        "timestamp": cel.Type.TIMESTAMP,
    }
    return cel.NewEnv(variables={name: types[kind] for name, kind in VARIABLES.items()})


def _check(named: Mapping[str, object]) -> None:
    """Refuse what the runtime cannot be given, or what would take it too long."""
    nodes, characters = 0, 0
    left: list[tuple[object, int]] = [(named, 0)]
    while left:
        value, depth = left.pop()
        nodes += 1
        inner: Iterable[object] = ()
        if isinstance(value, Mapping):
            inner = (*value.keys(), *value.values())
        elif isinstance(value, list | tuple):
            inner = value
        else:
            characters += _characters(value)
        if depth > MAX_DEPTH or nodes + len(left) > MAX_NODES or characters > MAX_TEXT:
            raise _failed(
                f"what it is about is too large: more than {MAX_NODES} values, {MAX_TEXT} "
                f"characters or {MAX_DEPTH} levels"
            )
        left += [(member, depth + 1) for member in inner]


def _characters(value: object) -> int:
    if isinstance(value, str):
        if "\0" in value:
            raise _failed("what it is about holds a NUL character")
        return len(value)
    if value is None or isinstance(value, bool | float | datetime):
        return 1
    if isinstance(value, int) and _INTEGERS[0] <= value <= _INTEGERS[1]:
        return 1
    raise _failed("what it is about holds a number beyond 64 bits")


def _failed(why: str) -> DocumentError:
    return DocumentError(why, code="EXPRESSION_ERROR")


def _explained(message: str) -> str:
    """Return the runtime's message for a person: the first fault, and its place."""
    place = _PLACE.search(message)
    if place is None:
        return shown(_STATUS.sub("", message.partition("\n")[0]))
    line, column, fault = place.groups()
    where = f" (line {line}, column {column})" if not line.startswith("-") else ""
    return f"{shown(_STATUS.sub('', fault))}{where}"

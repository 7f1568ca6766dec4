"""Frozen values as JSON and back, by their own type hints.

They are what the worker and its parent send each other.
Both ends are this same package, so the form needs no version; it is strict all the same.
"""

import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, cast

from msgspec import Struct

from imagekit.errors import DocumentError

_KIND = "kind"
_T = TypeVar("_T")


def to_document(value: object) -> Any:
    """Return a value of structs, tuples, mappings, enums and paths as JSON's types."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [to_document(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_document(item) for key, item in value.items()}
    if isinstance(value, Struct):
        names = value.__struct_fields__
        document = {name: to_document(getattr(value, name)) for name in names}
        return {_KIND: type(value).__name__} | document
    return value


def from_document(kind: type[_T], document: object) -> _T:
    """Return the value of that type which the document holds.

    Raises:
        DocumentError: the document does not fit the type.
    """
    return cast("_T", _read(kind, document))


def _read(hint: Any, document: Any) -> Any:  # noqa: PLR0911 - one line a kind of type
    origin = typing.get_origin(hint)
    if origin in {types.UnionType, typing.Union}:
        return _read(_member(hint, document), document)
    if origin is typing.Literal:
        return _checked(document, document in typing.get_args(hint), hint)
    if origin is tuple:
        return _read_tuple(hint, document)
    if origin is not None and issubclass(origin, Mapping):
        _checked(document, isinstance(document, dict), hint)
        return {key: _read(typing.get_args(hint)[1], item) for key, item in document.items()}
    if hint is type(None):
        return _checked(document, document is None, hint)
    if issubclass(hint, Struct):
        return _read_struct(hint, document)
    if hint is float:
        return _read_float(document)
    if issubclass(hint, Enum):
        return hint(_checked(document, document in [member.value for member in hint], hint))
    if issubclass(hint, Path):
        return hint(_checked(document, isinstance(document, str), hint))
    return _checked(document, type(document) is hint, hint)


def _read_float(document: Any) -> float:
    """Return a finite number: JSON knows no other, and its integers have no end."""
    _checked(document, type(document) in {int, float}, float)
    try:
        value = float(document)
    except OverflowError as error:
        raise DocumentError("a number is too large to be read", code="BAD_DOCUMENT") from error
    return cast("float", _checked(value, math.isfinite(value), float))


def _read_tuple(hint: Any, document: Any) -> tuple[Any, ...]:
    _checked(document, isinstance(document, list), hint)
    arguments = typing.get_args(hint)
    if arguments[-1] is Ellipsis:
        return tuple(_read(arguments[0], item) for item in document)
    _checked(document, len(document) == len(arguments), hint)
    return tuple(_read(kind, item) for kind, item in zip(arguments, document, strict=True))


def _read_struct(hint: type[Struct], document: Any) -> Any:
    _checked(document, isinstance(document, dict) and document.get(_KIND) == hint.__name__, hint)
    hints = typing.get_type_hints(hint)
    names = hint.__struct_fields__
    _checked(document, set(document) == {*names, _KIND}, hint)
    return hint(**{name: _read(hints[name], document[name]) for name in names})


def _member(hint: Any, document: Any) -> Any:
    """Return the member of a union that the document is of."""
    members = typing.get_args(hint)
    if document is None and type(None) in members:
        return type(None)
    for member in members:
        if isinstance(document, dict) and document.get(_KIND) == getattr(member, "__name__", ""):
            return member
    for member in members:
        if (typing.get_origin(member) is tuple) == isinstance(document, list) and not (
            (isinstance(member, type) and issubclass(member, Struct)) or member is type(None)
        ):
            return member
    raise DocumentError(f"no member of {hint} fits", code="BAD_DOCUMENT")


def _checked(document: Any, good: bool, hint: object) -> Any:  # noqa: FBT001 - the claim itself
    if not good:
        raise DocumentError(f"{str(document)[:100]!r} is not {hint}", code="BAD_DOCUMENT")
    return document

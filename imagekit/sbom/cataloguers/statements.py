"""What cataloguers of several formats share: names that are whole, JSON of any shape, persons."""

import re
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from imagekit.build.catalogued import shown
from imagekit.sbom.contents import License, Supplier
from imagekit.sbom.overlay import Root
from imagekit.sbom.text import clean

MAX_WORD = 200
"""Longest name or version: a part of one would be another one."""
_PERSON = re.compile(r"\s*([^<(]*?)\s*(?:<([^<>]*)>)?\s*(?:\(.*)?", re.DOTALL)
_Shape = TypeVar("_Shape", bound=Struct)


def word(value: object) -> str:
    """Return a name or version as it is stated; empty where it is none, or longer than any."""
    if not isinstance(value, str) or len(value) > MAX_WORD:
        return ""
    text = value.strip()
    # A package URL has no name that is made of slashes only.
    return text if text.isprintable() and text.strip("/") else ""


def read_json(raw: bytes, shape: type[_Shape], *, path: str, root: Root) -> _Shape | None:
    """Return what a JSON document states; None, and a note of the root, for what is none."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        note_invalid(path, root)
        return None


def note_invalid(path: str, root: Root) -> None:
    """Add a note on a file that states no package."""
    root.notes.add(f"{shown(path)} states no valid name and version")


def licence(value: Any) -> tuple[License, ...]:
    """Return a licence that is stated in words or as an SPDX expression."""
    text = clean(value, MAX_WORD) if isinstance(value, str) else ""
    return (License(stated=text, spdx=text),) if text else ()


def person(value: Any) -> Supplier | None:
    """Return who is stated as ``Name <email> (url)``, or as an object with name and email."""
    if isinstance(value, dict):
        name = word(value.get("name"))
        return Supplier(name=name, email=word(value.get("email"))) if name else None
    match = _PERSON.fullmatch(value[:1000]) if isinstance(value, str) else None
    name = clean(match[1], MAX_WORD) if match else ""
    return Supplier(name=name, email=word(match[2]) if match else "") if name else None


def json_text(value: object) -> str:
    """Return a text that JSON states; empty for anything else."""
    return clean(value) if isinstance(value, str) else ""

"""How a setting is read: from ``imagekit.toml``, and from a variable, by the same shapes."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from imagekit.documents import stricttoml
from imagekit.documents.digits import decimal
from imagekit.documents.report import Report, SourceSpan
from imagekit.documents.scalars import Boolean, Choice, Integer, ListOf, Text, plain
from imagekit.documents.shape import INVALID, Record, Shape, Values, item
from imagekit.documents.strictyaml import Node, Scalar, Sequence
from imagekit.errors import InputError, UsageError
from imagekit.oci.hostname import canonical_host, realm_host
from imagekit.paths import expanded
from imagekit.settings.keys import BY_NAME, KEYS

_MAX_LISTED = 64
MAX_JOBS = 256
_MAX_DIGITS = 6
_URI = re.compile(r"[a-z0-9]+:")
"""What a key's URI and ``oci:FOLDER`` begin with, and no path that a file is named by."""


class Entry(Struct, frozen=True, kw_only=True):
    """One setting as a source has it."""

    value: Any
    line: int = 0


Entries = Mapping[str, Entry]


class _Kind(Struct, frozen=True, kw_only=True):
    """How the value of a setting is written."""

    shape: Shape[Any]
    parted_by: str = ""
    """What stands between several in a variable; empty where there is one."""
    below: Callable[[Any, Path], Any] = lambda value, _: value
    """Resolves what is relative to a folder."""


def _path(text: str, folder: Path) -> Path:
    return folder / expanded(text, os.environ)


def _paths(texts: tuple[str, ...], folder: Path) -> tuple[Path, ...]:
    return tuple(_path(text, folder) for text in texts)


def _key(text: str, folder: Path) -> Path:
    # The options take keys as paths, too, and know by the scheme which are URIs.
    return Path(text) if _URI.match(text) else _path(text, folder)


def _destination(text: str, folder: Path) -> str:
    """Resolve the path of ``oci:PATH`` or another KIND:PATH; a registry has none."""
    kind, colon, path = text.partition(":")
    if colon and kind in {"oci", "bundle", "squashfs", "sif", "podman-store"}:
        return f"{kind}:{_path(path, folder)}"
    return text


def _stage(text: str, folder: Path) -> str:
    resolved = _destination(text, folder)
    return resolved if resolved != text or _URI.match(text) else str(_path(text, folder))


_FILE = _Kind(shape=plain("a path, relative to this file"), below=_path)
_HOST: Text[str] = Text(
    "the host of a registry, with a port or without",
    parse=canonical_host,
    code="bad-host",
    max_length=255,
    examples=("registry.example.org:5000",),
)
_REALM: Text[str] = Text(
    "a host, with a port or without",
    parse=realm_host,
    code="bad-host",
    max_length=255,
    examples=("auth.example.org",),
)
_PARTY: Final = _Kind(shape=plain("NAME <EMAIL or URL>"))
KINDS: Final[Mapping[str, _Kind]] = {
    "policy": _FILE,
    "policy-key": _Kind(
        shape=ListOf(plain("a path, relative to this file"), min_items=1, max_items=_MAX_LISTED),
        parted_by=os.pathsep,
        below=_paths,
    ),
    "policy-authority": _FILE,
    "state": _FILE,
    "key": _Kind(shape=plain("a path, relative to this file, or a key's URI"), below=_key),
    "keyless": _Kind(shape=Boolean("whether it signs as an identity")),
    "trust-config": _FILE,
    "password-file": _FILE,
    "to": _Kind(shape=plain("HOST[:PORT]/PREFIX or oci:FOLDER"), below=_destination),
    "as": _Kind(shape=plain("HOST/PREFIX")),
    "stage-to": _Kind(shape=plain("[KIND:]PATH"), below=_stage),
    "builder": _Kind(shape=plain("a URI")),
    "sbom-author": _PARTY,
    "sbom-manufacturer": _PARTY,
    "consumers": _FILE,
    "recipes": _FILE,
    "mirrors": _Kind(
        shape=ListOf(plain("NAME=URL", pattern=r"[a-z-]+=[!-~]+"), max_items=_MAX_LISTED),
        parted_by=",",
    ),
    "isolation": _Kind(shape=Choice("the isolation", ("auto", "oci", "chroot"))),
    "locked": _Kind(shape=Boolean("whether a recipe.lock has to be there")),
    "cache-from": _Kind(shape=plain("HOST[:PORT]/REPOSITORY")),
    "jobs": _Kind(shape=Integer("how many", minimum=1, maximum=MAX_JOBS)),
    "engine": _Kind(shape=Choice("the engine", ("podman", "docker", "apptainer"))),
    "plain-http": _Kind(shape=ListOf(_HOST, max_items=_MAX_LISTED), parted_by=","),
    "ca-file": _FILE,
    "realms": _Kind(shape=ListOf(_REALM, max_items=_MAX_LISTED), parted_by=","),
}


def _entries(values: Values) -> Entries:
    return {
        name: Entry(value=values[name], line=values.key(name).line)
        for name in KINDS
        if name in values
    }


SETTINGS: Final[Record[Entries]] = Record(
    "imagekit's configuration",
    {key.name: item(KINDS[key.name].shape, key.text) for key in KEYS},
    make=_entries,
    aliases={
        "registry": "to",
        "destination": "to",
        "realm": "realms",
        "policy_key": "policy-key",
        "plain_http": "plain-http",
        "ca_file": "ca-file",
        "cacert": "ca-file",
        "signing-key": "key",
    },
)


def read_settings(raw: bytes, file: Path) -> Entries:
    """Read an ``imagekit.toml``; paths in it are relative to its folder.

    Raises:
        InputError: it is malformed; every fault at once, with its place.
    """
    report = Report(str(file), "config")
    entries = SETTINGS.read(stricttoml.compose(raw, report), report)
    report.check(InputError, what="the configuration")
    if entries is INVALID:
        raise InputError(f"{file} cannot be accepted", code="config/invalid")
    return {
        name: Entry(value=KINDS[name].below(entry.value, file.parent), line=entry.line)
        for name, entry in entries.items()
    }


def read_variable(name: str, text: str) -> Any:
    """Read the variable of a setting; its paths are relative to the working folder.

    Raises:
        InputError: it is malformed.
        UsageError: it is set, and names none of what it lists.
    """
    variable, kind = BY_NAME[name].variable, KINDS[name]
    report = Report(variable, "config", path=variable)
    node = _node(text, kind)
    if name == "policy-key" and not getattr(node, "items", ()):
        # To take it for none would obey a policy that nobody signed.
        raise UsageError(f"{variable} is set and names no file", hint="unset it, or name one")
    value = kind.shape.read(node, report)
    if value is INVALID:
        fault = report.diagnostics[0]
        said = fault.message if variable in fault.message else f"{variable}: {fault.message}"
        raise InputError(said, hint=fault.hint, code=fault.code)
    return kind.below(value, Path())


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of ``imagekit.toml``, as TOML maps to JSON."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "imagekit.toml",
        **SETTINGS.schema(),
    }


def _node(text: str, kind: _Kind) -> Node:
    span = SourceSpan()
    if kind.parted_by:
        parts = text.split(kind.parted_by)
        if kind.parted_by == ",":
            parts = [part.strip() for part in parts]
        items = tuple(
            Scalar(value=part, text=part, plain=False, span=span) for part in parts if part
        )
        return Sequence(items=items, span=span)
    value: bool | int | str = text
    if isinstance(kind.shape, Boolean):
        words: dict[str, bool] = {"true": True, "false": False}
        value = words.get(text, text)
    elif isinstance(kind.shape, Integer):
        number = decimal(text, most=_MAX_DIGITS)
        value = text if number is None else number
    return Scalar(value=value, text=text, plain=False, span=span)

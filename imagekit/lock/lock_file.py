"""The document of a lock: canonical JSON, one package a line, made to be reviewed in a diff.

What is read was written by anybody: keys, digests, names and paths are checked before any of them
is used, and what is not understood is refused. The types below are the document's form; the JSON
Schema is made of them too, so that the two cannot drift.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from imagekit.documents import strictjson
from imagekit.errors import DocumentError, InputError
from imagekit.inputs import read_regular
from imagekit.lock.lock import (
    FILE,
    FORMAT,
    Lock,
    LockedArchive,
    LockedDeb,
    LockedFile,
    LockedInstall,
    LockedPlatform,
    LockedTree,
    LockedWheel,
)
from imagekit.oci.digest import Digest
from imagekit.recipe.values import url

MAX_BYTES = 64 << 20
"""How long a lock may be."""
MAX_PACKAGES = 50_000
"""How many packages it may list, of all platforms and stages together."""
_MOST = 1000
_SEPARATOR = ",\n"
_CODE = "lock/invalid"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_HINT = "write it anew (imagekit lock RECIPE), or take it from version control"

_Sha256 = Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
_AnyDigest = Annotated[str, Meta(pattern="^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$")]
# Debian Policy, sections 5.6.7, 5.6.12 and 5.6.8.
_Name = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9+.-]*$", max_length=200)]
_Version = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9.+:~-]*$", max_length=200)]
_Architecture = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]*$", max_length=40)]
_Archive = Annotated[
    str, Meta(pattern="^([a-z0-9][a-z0-9-]*|[a-z][a-z0-9+.-]*://[!-~]+)$", max_length=2000)
]
_Path = Annotated[str, Meta(min_length=1, max_length=1000)]
_File = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl$", max_length=300)]
_Size = Annotated[int, Meta(ge=0, le=1 << 40)]
_Text = Annotated[str, Meta(max_length=4000)]
# A pin names the digest of every wheel that there is of a version.
_Asked = Annotated[str, Meta(min_length=1, max_length=60_000)]
_Date = Annotated[int, Meta(ge=0, le=253402300799)]


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the document."""


class _Deb(_Part, frozen=True, kw_only=True):
    name: _Name
    version: _Version
    architecture: _Architecture
    sha256: _Sha256
    size: _Size
    path: _Path
    archive: _Archive
    priority: Annotated[str, Meta(pattern="^[a-z]+$", max_length=20)]
    automatic: bool


class _Wheel(_Part, frozen=True, kw_only=True):
    name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)]
    version: Annotated[str, Meta(pattern="^[A-Za-z0-9.+!_-]+$", max_length=200)]
    file: _File
    sha256: _Sha256
    size: _Size


class _Fetched(_Part, frozen=True, kw_only=True):
    url: _Text
    digest: _AnyDigest


class _Release(_Part, frozen=True, kw_only=True):
    name: _Archive
    suite: Annotated[str, Meta(min_length=1, max_length=300)]
    release: _Sha256


class _Install(_Part, frozen=True, kw_only=True):
    manager: Literal["apt", "pip"]
    asked: Annotated[tuple[_Asked, ...], Meta(max_length=MAX_PACKAGES)]
    debs: Annotated[tuple[_Deb, ...], Meta(max_length=MAX_PACKAGES)] = ()
    wheels: Annotated[tuple[_Wheel, ...], Meta(max_length=MAX_PACKAGES)] = ()


class _Tree(_Part, frozen=True, kw_only=True):
    base: _Text
    image: _AnyDigest | None = None
    lock: _Sha256 | None = None
    bootstrap: Annotated[tuple[_Deb, ...], Meta(max_length=MAX_PACKAGES)] = ()
    installs: Annotated[tuple[_Install, ...], Meta(max_length=_MOST)] = ()
    files: Annotated[tuple[_Fetched, ...], Meta(max_length=_MOST)] = ()


class _Platform(_Part, frozen=True, kw_only=True):
    image: _Tree
    archives: Annotated[tuple[_Release, ...], Meta(max_length=_MOST)] = ()
    stages: Annotated[dict[str, _Tree], Meta(max_length=_MOST)] = {}


class _Document(_Part, frozen=True, kw_only=True):
    """What a recipe's packages were resolved to; imagekit lock writes it."""

    format: Literal[1]
    recipe: Annotated[str, Meta(min_length=1, max_length=300)]
    source_date: _Date
    compressor: Annotated[str, Meta(min_length=1, max_length=200)]
    layers: Annotated[int, Meta(ge=0, le=1 << 31)]
    platforms: Annotated[dict[str, _Platform], Meta(min_length=1, max_length=_MOST)]


_VALUES: Mapping[type, type] = {
    _Deb: LockedDeb,
    _Wheel: LockedWheel,
    _Fetched: LockedFile,
    _Release: LockedArchive,
    _Install: LockedInstall,
    _Tree: LockedTree,
    _Platform: LockedPlatform,
}
_DIGESTS = frozenset({"sha256", "digest", "release", "image", "lock"})


def lock_path(folder: Path) -> Path:
    """Return where the lock of the recipe in a folder lies."""
    return folder / FILE


def read_lock(folder: Path) -> Lock | None:
    """Return the lock of the recipe in a folder; None where it has none.

    Raises:
        DocumentError: it is no lock that this version knows.
        InputError: it cannot be read.
    """
    path = lock_path(folder)
    try:
        raw = read_regular(path, limit=MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", hint=_HINT, code="lock/unreadable"
        ) from error
    return parse_lock(raw, what=str(path))


def parse_lock(raw: bytes, *, what: str = FILE) -> Lock:
    """Read a lock.

    Args:
        raw: the document's bytes.
        what: what it is, for messages.

    Raises:
        DocumentError: it is none, or one that this version does not know.
    """
    if len(raw) > MAX_BYTES:
        raise _fault(f"{what} is longer than {MAX_BYTES} bytes")
    value = strictjson.loads_object(raw, what=what)
    if value.get("format") != FORMAT:
        raise _fault(
            f"{what} has the format {str(value.get('format'))[:40]!r}; this version knows {FORMAT}"
        )
    for place, text in _texts(value, ""):
        if not text.isprintable():
            raise _fault(f"{what}: {place} holds a control character: {text[:80]!r}")
    try:
        document = msgspec.convert(value, _Document)
    except msgspec.ValidationError as error:
        raise _fault(f"{what}: {error}") from error
    platforms = {name: _value(part) for name, part in document.platforms.items()}
    for name, part in platforms.items():
        _check_platform(part, f"{what}: platforms.{name}")
    lock = Lock(
        recipe=document.recipe,
        source_date=document.source_date,
        compressor=document.compressor,
        layers=document.layers,
        platforms=platforms,
    )
    if (packages := count_packages(lock)) > MAX_PACKAGES:
        raise _fault(f"{what} lists {packages} packages; at most {MAX_PACKAGES} are read")
    return lock


def lock_bytes(lock: Lock) -> bytes:
    """Return the document of a lock: the same lock has the same bytes."""
    document = {"format": FORMAT, **_plain(lock)}
    return ("".join(_lines(document, "")) + "\n").encode()


def lock_digest(lock: Lock) -> Digest:
    """Return the digest of a lock: that of its document, however a file of it is indented."""
    return Digest.of(lock_bytes(lock))


def lock_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``recipe.lock`` (draft 2020-12)."""
    (schema,), parts = msgspec.json.schema_components([_Document], ref_template="#/$defs/{name}")
    named = {"$schema": _DIALECT, "title": "A lock of imagekit", **schema, "$defs": parts}
    schema_of: dict[str, Any] = json.loads(json.dumps(named).replace("/$defs/_", "/$defs/"))
    schema_of["$defs"] = {name.removeprefix("_"): part for name, part in schema_of["$defs"].items()}
    return schema_of


def count_packages(lock: Lock) -> int:
    """Return how many packages a lock lists, of all its platforms and stages."""
    return sum(
        len(tree.bootstrap) + sum(len(entry.debs) + len(entry.wheels) for entry in tree.installs)
        for platform in lock.platforms.values()
        for tree in (platform.image, *platform.stages.values())
    )


def _value(part: Any) -> Any:
    """Return the value of a part of the document that has the right form."""
    kind = _VALUES.get(type(part))
    if kind is None:
        return part
    found: dict[str, Any] = {}
    for name in part.__struct_fields__:
        match getattr(part, name):
            case tuple() as many:
                found[name] = tuple(_value(entry) for entry in many)
            case dict() as named:
                found[name] = {key: _value(entry) for key, entry in named.items()}
            case str() as text if name in _DIGESTS:
                found[name] = Digest.parse(text)
            case other:
                found[name] = _value(other)
    return kind(**found)


def _check_platform(platform: LockedPlatform, where: str) -> None:
    for archive in platform.archives:
        _check_archive(archive.name, where)
    trees = {"image": platform.image, **{f"stages.{n}": t for n, t in platform.stages.items()}}
    for name, tree in trees.items():
        _check_debs(tree.bootstrap, f"{where}.{name}.bootstrap")
        for number, entry in enumerate(tree.installs):
            _check_debs(entry.debs, f"{where}.{name}.installs[{number}]")
        for file in tree.files:
            _check_url(file.url, f"{where}.{name}.files")


def _check_debs(debs: tuple[LockedDeb, ...], where: str) -> None:
    seen: set[tuple[str, str]] = set()
    for deb in debs:
        if (deb.name, deb.architecture) in seen:
            raise _fault(f"{where} has {deb.name}:{deb.architecture} twice")
        seen.add((deb.name, deb.architecture))
        if not is_below(deb.path):
            raise _fault(f"{where}: {deb.name} has the path {deb.path[:200]!r}, which leads out")
        _check_archive(deb.archive, f"{where}: {deb.name}")


def is_below(path: str) -> bool:
    """Return whether a path stays below the folder that it is joined to."""
    parts = path.split("/")
    return path.isprintable() and "\\" not in path and not {"", ".", ".."}.intersection(parts)


def _check_archive(name: str, where: str) -> None:
    if "://" in name:
        _check_url(name, where)


def _check_url(text: str, where: str) -> None:
    try:
        url(text)
    except InputError as error:
        # NOTE: the address itself is not shown, as what it holds may be a password.
        raise _fault(f"{where}: {error.message}") from error
    if not text.startswith(("http://", "https://")) or " " in text:
        raise _fault(f"{where} has an address that is none of http or https")


def _fault(message: str) -> DocumentError:
    return DocumentError(message, hint=_HINT, code=_CODE)


def _texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Yield every text and key of a JSON value with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _texts(entry, f"{place}[{number}]")
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield place, key
            yield from _texts(entry, f"{place}.{key}" if place else key)


def _plain(value: Any) -> Any:
    """Return a value as JSON's types, without what is empty."""
    if isinstance(value, Digest):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, Struct):
        found = {name: getattr(value, name) for name in value.__struct_fields__}
        return {k: _plain(v) for k, v in found.items() if v not in (None, (), {}) or k == "asked"}
    return value


def _lines(value: Any, indent: str) -> Iterator[str]:
    """Yield the pieces of a JSON text: what holds other lists or objects takes several lines."""
    inner = indent + " "
    if isinstance(value, dict) and any(isinstance(part, dict | list) for part in value.values()):
        yield "{\n"
        for number, key in enumerate(sorted(value)):
            yield f"{_SEPARATOR if number else ''}{inner}{_scalar(key)}: "
            yield from _lines(value[key], inner)
        yield f"\n{indent}}}"
    elif isinstance(value, list) and value:
        yield "[\n"
        for number, entry in enumerate(value):
            yield f"{_SEPARATOR if number else ''}{inner}"
            yield from _lines(entry, inner)
        yield f"\n{indent}]"
    else:
        yield _scalar(value)


def _scalar(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)

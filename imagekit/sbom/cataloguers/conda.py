"""Packages of conda, from the records of an environment (conda docs, "conda-meta")."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from imagekit.sbom.bounds import Bounds
from imagekit.sbom.cataloguers.catalogue_rule import MIB, CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.statements import (
    json_text,
    licence,
    note_invalid,
    read_json,
    word,
)
from imagekit.sbom.contents import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url

_FOLDER = "conda-meta"
_SHA256 = 64


class _Record(Struct, frozen=True, omit_defaults=True):
    """What is kept of a record: without the digests and sizes of its files."""

    name: Any = None
    version: Any = None
    build: Any = None
    channel: Any = None
    subdir: Any = None
    license: Any = None
    url: Any = None
    sha256: Any = None
    depends: list[Any] = []
    files: list[Any] = []


def _extract(file: BinaryIO, size: int) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.decode(file.read(size), type=_Record))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return b""


_RULE = CatalogueRule(32 * MIB, "skip", extract=_extract)


class CondaPackage(Package, frozen=True, kw_only=True):
    """One package of an environment; its variant is its build."""

    record: _Record


class CondaCataloguer(Cataloguer[CondaPackage]):
    """Reads conda-meta/NAME-VERSION-BUILD.json of every environment."""

    title = "conda packages"
    suffixes = frozenset({".json"})
    is_system = True

    def rule(self, path: str) -> CatalogueRule | None:
        return _RULE if path.split("/")[-2:-1] == [_FOLDER] else None

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[CondaPackage]:
        record = read_json(raw, _Record, path=path, root=root)
        if record is None:
            return
        name, version = word(record.name), word(record.version)
        if not name or not version:
            note_invalid(path, root)
            return
        build = word(record.build)
        yield CondaPackage(name=name, version=version, variant=build, path=path, record=record)

    def component(self, package: CondaPackage, context: Context) -> Component:
        record = package.record
        url, channel = json_text(record.url), json_text(record.channel)
        # purl-spec, type conda: the channel is its last part, the subdir is another qualifier.
        purl = package_url(
            "conda",
            package.name,
            package.version,
            build=package.variant,
            channel=channel.rstrip("/").removesuffix(f"/{record.subdir}").rpartition("/")[2],
            subdir=word(record.subdir),
            type="conda" if url.endswith(".conda") else "tar.bz2" if url else "",
        )
        digest = word(record.sha256)
        return Component(
            ref=purl,
            kind=Kind.CONDA,
            name=package.name,
            version=package.version,
            purl=purl,
            licenses=licence(record.license),
            download=url if url.startswith("https://") else "",
            hashes=(("sha256", digest),) if _is_sha256(digest) else (),
        )

    def files(self, package: CondaPackage, root: Root) -> Iterator[str]:
        folder, _, _ = package.path.rpartition(f"{_FOLDER}/")
        yield package.path
        for name in package.record.files:
            if isinstance(name, str):
                yield f"{folder}{name}"

    def needs(self, package: CondaPackage, bounds: Bounds) -> Iterator[tuple[str, ...]]:
        for needed in package.record.depends:
            if not bounds.relations.take():
                return
            # A match specification: the name, then perhaps a version and a build.
            if isinstance(needed, str) and (words := needed.split(None, 1)):
                yield (words[0],)


def _is_sha256(text: str) -> bool:
    return len(text) == _SHA256 and set(text) <= frozenset("0123456789abcdef")

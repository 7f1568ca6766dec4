"""Packages of Node.js that are installed: each has its package.json (npm docs, package.json).

A lock file is a claim about what would be installed, and is not read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from imagekit.sbom.bounds import Bounds
from imagekit.sbom.cataloguers.catalogue_rule import TEXT, CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.statements import (
    json_text,
    licence,
    note_invalid,
    person,
    read_json,
    word,
)
from imagekit.sbom.contents import Component, Kind, License
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url

_PLACE = re.compile(r"(?:.*/)?node_modules/(?:@[^/]+/)?[^@./][^/]*/package\.json")
_NAME = re.compile(r"(?:@[A-Za-z0-9._~-]+/)?[A-Za-z0-9._~-]+")


class _Manifest(Struct, frozen=True, rename={"optional": "optionalDependencies"}):
    name: Any = None
    version: Any = None
    description: Any = None
    homepage: Any = None
    license: Any = None
    licenses: Any = None
    author: Any = None
    dependencies: Any = None
    optional: Any = None


class NpmPackage(Package, frozen=True, kw_only=True):
    """One package of a node_modules folder."""

    manifest: _Manifest


class NpmCataloguer(Cataloguer[NpmPackage]):
    """Reads node_modules/NAME/package.json, wherever it lies."""

    title = "npm packages"
    names = frozenset({"package.json"})

    def rule(self, path: str) -> CatalogueRule | None:
        return TEXT if _PLACE.fullmatch(path) else None

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[NpmPackage]:
        manifest = read_json(raw, _Manifest, path=path, root=root)
        if manifest is None:
            return
        name, version = word(manifest.name), word(manifest.version)
        if not _NAME.fullmatch(name) or not version:
            note_invalid(path, root)
            return
        yield NpmPackage(name=name, version=version, path=path, manifest=manifest)

    def component(self, package: NpmPackage, context: Context) -> Component:
        scope, _, name = package.name.rpartition("/")
        purl = package_url("npm", name, package.version, namespace=scope)
        manifest = package.manifest
        return Component(
            ref=purl,
            kind=Kind.NPM,
            name=package.name,
            version=package.version,
            purl=purl,
            description=json_text(manifest.description),
            licenses=_licences(manifest),
            supplier=person(manifest.author),
            homepage=json_text(manifest.homepage),
        )

    def files(self, package: NpmPackage, root: Root) -> Iterator[str]:
        yield package.path.removesuffix("package.json")

    def needs(self, package: NpmPackage, bounds: Bounds) -> Iterator[tuple[str, ...]]:
        for needed in (package.manifest.dependencies, package.manifest.optional):
            for name in needed if isinstance(needed, Mapping) else ():
                if not bounds.relations.take():
                    return
                yield (name,)


def _licences(manifest: _Manifest) -> tuple[License, ...]:
    """Return what ``license`` says, or the older ``licenses``: names, or objects with a type."""
    old = manifest.licenses if isinstance(manifest.licenses, list) else ()
    stated = (manifest.license, *old)
    texts = (value.get("type") if isinstance(value, dict) else value for value in stated)
    return tuple(sorted({known for text in texts for known in licence(text)}))

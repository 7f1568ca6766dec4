"""Crates that Rust programs were built of, where they were built by cargo-auditable.

It leaves them as JSON, compressed with zlib (cargo-auditable, PARSING.md).
"""

import zlib
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from imagekit.sbom.bounds import Bounds
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.statements import note_invalid, read_json, word
from imagekit.sbom.contents import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url

_SECTION = ".dep-v0"
_MAX_JSON = 1 << 20


class _Crate(Struct, frozen=True):
    name: Any = None
    version: Any = None
    source: Any = None
    kind: Any = None
    dependencies: Any = None


class _Crates(Struct, frozen=True):
    packages: list[_Crate] = []


class RustCrate(Package, frozen=True, kw_only=True):
    """One crate of one program; its variant is its place in the program's list."""

    source: str
    needed: tuple[int, ...]


class RustCataloguer(Cataloguer[RustCrate]):
    """Reads the list that cargo-auditable left in programs and libraries."""

    title = "Rust crates"
    sections = frozenset({_SECTION})

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[RustCrate]:
        inflating = zlib.decompressobj()
        try:
            text = inflating.decompress(raw, _MAX_JSON)
        except zlib.error:
            text = b""
        if not root.bounds.crates.take(len(text)):
            return
        crates = read_json(text, _Crates, path=path, root=root)
        for number, crate in enumerate(crates.packages if crates else ()):
            name, version = word(crate.name), word(crate.version)
            needed = crate.dependencies if isinstance(crate.dependencies, list) else ()
            if not name or not version:
                # Who wrote one such wrote thousands: each would cost as much as a good one.
                note_invalid(path, root)
                return
            if crate.kind != "build":
                yield RustCrate(
                    name=name,
                    version=version,
                    variant=str(number),
                    path=path,
                    source=word(crate.source),
                    needed=tuple(index for index in needed if isinstance(index, int)),
                )

    def component(self, package: RustCrate, context: Context) -> Component:
        purl = package_url("cargo", package.name, package.version)
        return Component(
            ref=purl,
            kind=Kind.RUST,
            name=package.name,
            version=package.version,
            purl=purl,
            properties=(
                ("imagekit:path", f"/{package.path}"),
                *((("imagekit:cargo:source", package.source),) if package.source else ()),
            ),
        )

    def provides(self, package: RustCrate, bounds: Bounds) -> Iterator[str]:
        yield f"{package.path}#{package.variant}"

    def needs(self, package: RustCrate, bounds: Bounds) -> Iterator[tuple[str, ...]]:
        for number in package.needed:
            if not bounds.relations.take():
                return
            yield (f"{package.path}#{number}",)

"""Packages of Spack, from the specification in each prefix and the database of the installation."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from imagekit.sbom.bounds import Bounds
from imagekit.sbom.cataloguers.catalogue_rule import LIST, CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.statements import note_invalid, read_json, word
from imagekit.sbom.contents import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url

_SPEC, _INDEX = ".spack/spec.json", ".spack-db/index.json"


class _Node(Struct, frozen=True):
    name: Any = None
    version: Any = None
    hash: Any = None
    external: Any = None
    dependencies: Any = None


class _Nodes(Struct, frozen=True):
    nodes: list[_Node] = []


class _SpecFile(Struct, frozen=True):
    spec: _Nodes = _Nodes()


class _Install(Struct, frozen=True):
    spec: _Node = _Node()
    path: Any = None
    installed: Any = None


class _Installs(Struct, frozen=True):
    installs: dict[str, _Install] = {}


class _IndexFile(Struct, frozen=True):
    database: _Installs = _Installs()


class SpackPackage(Package, frozen=True, kw_only=True):
    """One installed specification; its variant is its hash."""

    prefix: str
    needed: tuple[str, ...]
    """Hashes of what it depends on."""

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it the same package, in its prefix and in the database."""
        return (self.name, self.version, self.variant)


class SpackCataloguer(Cataloguer[SpackPackage]):
    """Reads PREFIX/.spack/spec.json, and .spack-db/index.json for what has none."""

    title = "Spack packages"
    names = frozenset({"spec.json", "index.json"})
    is_system = True

    def rule(self, path: str) -> CatalogueRule | None:
        return LIST if path.endswith((f"/{_SPEC}", f"/{_INDEX}")) else None

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[SpackPackage]:
        if path.endswith(_INDEX):
            index = read_json(raw, _IndexFile, path=path, root=root)
            for install in index.database.installs.values() if index else ():
                if install.installed is True and isinstance(install.path, str):
                    yield from _package(install.spec, root, path=path, prefix=install.path)
            return
        spec = read_json(raw, _SpecFile, path=path, root=root)
        if spec is not None and spec.spec.nodes:
            # Concrete specifications begin with the package itself; what it needs follows.
            prefix = path.removesuffix(_SPEC)
            yield from _package(spec.spec.nodes[0], root, path=path, prefix=prefix)

    def component(self, package: SpackPackage, context: Context) -> Component:
        purl = package_url("generic", package.name, package.version)
        return Component(
            ref=f"spack:{package.name}@{package.version}/{package.variant}",
            kind=Kind.SPACK,
            name=package.name,
            version=package.version,
            purl=purl,
            properties=(
                ("imagekit:spack:hash", package.variant),
                ("imagekit:path", f"/{package.prefix.strip('/')}"),
            ),
        )

    def files(self, package: SpackPackage, root: Root) -> Iterator[str]:
        if package.prefix.strip("/"):
            yield f"{package.prefix.rstrip('/')}/"

    def provides(self, package: SpackPackage, bounds: Bounds) -> Iterator[str]:
        yield package.variant

    def needs(self, package: SpackPackage, bounds: Bounds) -> Iterator[tuple[str, ...]]:
        for hash_ in package.needed:
            if not bounds.relations.take():
                return
            yield (hash_,)


def _package(node: _Node, root: Root, *, path: str, prefix: str) -> Iterator[SpackPackage]:
    """Yield the package; one that Spack only uses and did not install is another manager's."""
    name, version, hash_ = word(node.name), word(node.version), word(node.hash)
    if not (name and version and hash_):
        note_invalid(path, root)
    elif not node.external:
        stated = node.dependencies if isinstance(node.dependencies, list) else ()
        needed = (word(entry.get("hash")) for entry in stated if isinstance(entry, dict))
        yield SpackPackage(
            name=name,
            version=version,
            variant=hash_,
            path=path,
            prefix=prefix,
            needed=tuple(filter(None, needed)),
        )

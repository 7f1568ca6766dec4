"""Environment modules: what Lmod and Environment Modules offer by name and version (modulefile(4)).

A module file states no package: it is listed as what users load, without a package URL, so that
nothing is matched twice with what its software is known by.
"""

import re
from collections.abc import Iterator

from imagekit.sbom.cataloguers.catalogue_rule import TEXT, CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.statements import word
from imagekit.sbom.contents import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.text import clean, decoded

_PLACE = re.compile(r"(?:.*/)?(?:modulefiles/(?:[^/]+/){0,3}?|modules/all/)([^/.]+)/([^/]+)")
_TCL = b"#%Module"
_LUA = re.compile(
    rb"^\s*(?:help|whatis|prepend_path|setenv|pushenv|family|load|depends_on)\b", re.MULTILINE
)
_WHATIS = re.compile(r"(?:whatis\s*\(?\s*\[?=*\[?|module-whatis\s+)[\"'{]?(.{1,300})")


class ModuleFile(Package, frozen=True, kw_only=True):
    """One module."""

    text: str


class ModuleFileCataloguer(Cataloguer[ModuleFile]):
    """Reads modulefiles/NAME/VERSION, in Tcl and, with .lua, for Lmod."""

    title = "environment modules"
    suffixes = frozenset({".lua"})
    folders = frozenset({"modulefiles", "all", "Core"})

    def rule(self, path: str) -> CatalogueRule | None:
        return TEXT if _PLACE.fullmatch(path) else None

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[ModuleFile]:
        place = _PLACE.fullmatch(path)
        is_module = _LUA.search(raw) if path.endswith(".lua") else raw.startswith(_TCL)
        if place is None or not is_module:
            return
        name, version = word(place[1]), word(place[2].removesuffix(".lua"))
        # .version and .modulerc say which version is the default.
        if name and version and not version.startswith("."):
            yield ModuleFile(name=name, version=version, path=path, text=decoded(raw))

    def component(self, package: ModuleFile, context: Context) -> Component:
        whatis = _WHATIS.search(package.text)
        description = whatis[1].rstrip("\"'}]) ") if whatis else ""
        return Component(
            ref=f"module:{package.name}@{package.version}",
            kind=Kind.MODULE,
            name=package.name,
            version=package.version,
            description=clean(description.partition("Description:")[2] or description),
            properties=(("imagekit:path", f"/{package.path}"),),
        )

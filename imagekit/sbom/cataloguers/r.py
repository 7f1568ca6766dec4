"""Packages of R that are installed (Writing R Extensions, "The DESCRIPTION file")."""

import re
from collections.abc import Iterator, Mapping

from imagekit.sbom.bounds import Bounds
from imagekit.sbom.cataloguers.catalogue_rule import METADATA, CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.statements import note_invalid, person, word
from imagekit.sbom.contents import Component, Kind, License
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url
from imagekit.sbom.text import clean, decoded, fields

_LIBRARIES = frozenset({"library", "site-library"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.]*")
_FIELDS = {
    name.lower(): name
    for name in (
        "Package", "Version", "Built", "License", "Title", "URL", "Maintainer",
        "Depends", "Imports", "LinkingTo", "Repository",
    )
}  # fmt: skip
_LICENCES = {
    "GPL-2": "GPL-2.0-only",
    "GPL-3": "GPL-3.0-only",
    "GPL (>= 2)": "GPL-2.0-or-later",
    "GPL (>= 2.0)": "GPL-2.0-or-later",
    "GPL (>= 3)": "GPL-3.0-or-later",
    "LGPL-2.1": "LGPL-2.1-only",
    "LGPL-3": "LGPL-3.0-only",
    "LGPL (>= 2)": "LGPL-2.0-or-later",
    "LGPL (>= 2.1)": "LGPL-2.1-or-later",
    "LGPL (>= 3)": "LGPL-3.0-or-later",
    "AGPL-3": "AGPL-3.0-only",
    "MIT": "MIT",
    "BSD_2_clause": "BSD-2-Clause",
    "BSD_3_clause": "BSD-3-Clause",
    "Apache License 2.0": "Apache-2.0",
    "Apache License (== 2.0)": "Apache-2.0",
    "Artistic-2.0": "Artistic-2.0",
    "MPL-2.0": "MPL-2.0",
    "BSL-1.0": "BSL-1.0",
    "CC0": "CC0-1.0",
    "Unlimited": "",
}
"""R's own names of licences (R_HOME/share/licenses/license.db) that have one meaning in SPDX."""


class RPackage(Package, frozen=True, kw_only=True):
    """One package of a library."""

    stated: Mapping[str, str]


class RCataloguer(Cataloguer[RPackage]):
    """Reads DESCRIPTION of every folder of a library."""

    title = "R packages"
    names = frozenset({"DESCRIPTION"})

    def rule(self, path: str) -> CatalogueRule | None:
        *_, library, _, _ = ("", "", *path.split("/"))
        return METADATA if library in _LIBRARIES else None

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[RPackage]:
        stated = dict(fields(decoded(raw), _FIELDS))
        # Only what is installed was built: sources and the folder of translations were not.
        if not stated.get("Built"):
            return
        name, version = word(stated.get("Package")), word(stated.get("Version"))
        if not _NAME.fullmatch(name) or not version:
            note_invalid(path, root)
            return
        yield RPackage(name=name, version=version, path=path, stated=stated)

    def component(self, package: RPackage, context: Context) -> Component:
        purl = package_url("cran", package.name, package.version)
        stated = package.stated
        return Component(
            ref=purl,
            kind=Kind.R,
            name=package.name,
            version=package.version,
            purl=purl,
            description=clean(stated.get("Title", "")),
            licenses=_licences(stated.get("License", "")),
            supplier=person(stated.get("Maintainer")),
            homepage=clean(stated.get("URL", "")).partition(",")[0],
        )

    def files(self, package: RPackage, root: Root) -> Iterator[str]:
        yield package.path.removesuffix("DESCRIPTION")

    def needs(self, package: RPackage, bounds: Bounds) -> Iterator[tuple[str, ...]]:
        for field in ("Depends", "Imports", "LinkingTo"):
            for relation in package.stated.get(field, "").split(","):
                if not bounds.relations.take():
                    return
                if match := _NAME.match(relation.strip()):
                    yield (match.group(),)


def _licences(text: str) -> tuple[License, ...]:
    """Return the licences: ``|`` separates alternatives; ``+ file LICENSE`` adds the names only."""
    stated = clean(text, 300)
    if not stated:
        return ()
    names = [part.partition("+")[0].strip() for part in stated.split("|")]
    known = [_LICENCES.get(name, "") for name in names if name != "file LICENSE"]
    return (License(stated=stated, spdx=" OR ".join(known) if known and all(known) else ""),)

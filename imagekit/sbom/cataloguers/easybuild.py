"""Software that EasyBuild installed, from the easyconfig that it leaves beside it.

An easyconfig is a program: what it states as plain texts is found by patterns, and nothing is
evaluated. What else lies beside it has paths of the host that built it, and is not read.
"""

import re
from collections.abc import Iterator, Mapping

from imagekit.sbom.cataloguers.catalogue_rule import METADATA, CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.statements import note_invalid, word
from imagekit.sbom.contents import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url
from imagekit.sbom.text import clean, decoded

_PLACE = re.compile(r"(.*/)easybuild/[^/]+\.eb")
_STATED = re.compile(
    r"^(name|version|versionsuffix|homepage)\s*=\s*(['\"])(.{0,1000}?)\2", re.MULTILINE
)
_TOOLCHAIN = re.compile(
    r"^toolchain\s*=\s*\{\s*['\"]name['\"]\s*:\s*['\"](\w{1,100})['\"]\s*,"
    r"\s*['\"]version['\"]\s*:\s*['\"]([\w.-]{0,100})['\"]",
    re.MULTILINE,
)


class EasyBuildSoftware(Package, frozen=True, kw_only=True):
    """One installation; its variant is its toolchain, and the suffix of its version."""

    stated: Mapping[str, str]


class EasyBuildCataloguer(Cataloguer[EasyBuildSoftware]):
    """Reads software/NAME/VERSION/easybuild/NAME-VERSION.eb."""

    title = "installations of EasyBuild"
    suffixes = frozenset({".eb"})
    is_system = True

    def rule(self, path: str) -> CatalogueRule | None:
        return METADATA if _PLACE.fullmatch(path) else None

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[EasyBuildSoftware]:
        text = decoded(raw)
        stated: dict[str, str] = {}
        for key, _, value in _STATED.findall(text):
            stated.setdefault(key, value)
        name, version = word(stated.get("name")), word(stated.get("version"))
        # A text with a placeholder is filled in by EasyBuild only.
        if not name or not version or "%" in name + version:
            note_invalid(path, root)
            return
        toolchain = _TOOLCHAIN.search(text)
        parts = (*(toolchain.groups() if toolchain else ()), word(stated.get("versionsuffix")))
        variant = "-".join(part.strip("-") for part in parts if part)
        yield EasyBuildSoftware(
            name=name, version=version, variant=variant, path=path, stated=stated
        )

    def component(self, package: EasyBuildSoftware, context: Context) -> Component:
        purl = package_url("generic", package.name, package.version)
        toolchain = (("imagekit:easybuild:toolchain", package.variant),) if package.variant else ()
        return Component(
            ref=f"easybuild:{package.name}@{package.version}/{package.variant}",
            kind=Kind.EASYBUILD,
            name=package.name,
            version=package.version,
            purl=purl,
            homepage=clean(package.stated.get("homepage", "")),
            properties=toolchain,
        )

    def files(self, package: EasyBuildSoftware, root: Root) -> Iterator[str]:
        place = _PLACE.fullmatch(package.path)
        if place is not None:
            yield place[1]

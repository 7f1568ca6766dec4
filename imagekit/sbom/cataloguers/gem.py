"""Ruby gems that are installed (RubyGems Guides, "Specification Reference").

A specification is a program: what it states is found by patterns, and nothing is evaluated.
"""

import re
from collections.abc import Iterator

from imagekit.sbom.bounds import Bounds
from imagekit.sbom.cataloguers.catalogue_rule import METADATA, CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.statements import MAX_WORD, licence, note_invalid, word
from imagekit.sbom.contents import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url
from imagekit.sbom.text import clean, decoded

_PLACE = re.compile(r"(.*/|)specifications/(?:default/)?([^/]+)\.gemspec")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# RubyGems writes one statement a line, and freezes its texts.
_STATED = re.compile(
    r"^\s*s\.(name|version|platform|homepage|summary)\s*=\s*(?:\S*\()?(\"[^\"\n]{1,1000}\"|%q<[^>\n]*>)",
    re.MULTILINE,
)
_LICENCES = re.compile(r"^\s*s\.licenses?\s*=\s*\[?([^\]\n]{1,1000})", re.MULTILINE)
_NEEDED = re.compile(
    r"^\s*s\.add_(?:runtime_)?dependency\((?:%q<|\")([A-Za-z0-9._-]{1,200})", re.MULTILINE
)
_TEXT = re.compile(r'"([^"\n]*)"')


class GemPackage(Package, frozen=True, kw_only=True):
    """One gem; its variant is its platform, where that is not Ruby itself."""

    text: str
    stem: str
    """The specification's name without its suffix: what the folder of its files is called."""


class GemCataloguer(Cataloguer[GemPackage]):
    """Reads specifications/NAME-VERSION.gemspec of every folder of gems."""

    title = "Ruby gems"
    suffixes = frozenset({".gemspec"})

    def rule(self, path: str) -> CatalogueRule | None:
        return METADATA if _PLACE.fullmatch(path) else None

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[GemPackage]:
        text = decoded(raw)
        stated = _stated(text)
        name, version = word(stated.get("name")), word(stated.get("version"))
        place = _PLACE.fullmatch(path)
        if not _NAME.fullmatch(name) or not version or place is None:
            note_invalid(path, root)
            return
        platform = word(stated.get("platform"))
        yield GemPackage(
            name=name, version=version, variant=platform, path=path, text=text, stem=place[2]
        )

    def component(self, package: GemPackage, context: Context) -> Component:
        stated = _stated(package.text)
        purl = package_url("gem", package.name, package.version, platform=package.variant)
        licences = _LICENCES.search(package.text)
        named = _TEXT.findall(licences[1]) if licences else []
        return Component(
            ref=purl,
            kind=Kind.GEM,
            name=package.name,
            version=package.version,
            purl=purl,
            description=clean(stated.get("summary", "")),
            licenses=tuple(sorted({known for text in named for known in licence(text)})),
            homepage=clean(stated.get("homepage", "")),
        )

    def files(self, package: GemPackage, root: Root) -> Iterator[str]:
        place = _PLACE.fullmatch(package.path)
        yield package.path
        if place is not None:
            yield f"{place[1]}gems/{package.stem}/"

    def needs(self, package: GemPackage, bounds: Bounds) -> Iterator[tuple[str, ...]]:
        for name in _NEEDED.findall(package.text):
            if not bounds.relations.take():
                return
            yield (name,)


def _stated(text: str) -> dict[str, str]:
    stated: dict[str, str] = {}
    for key, value in _STATED.findall(text):
        stated.setdefault(key, value.strip('"').removeprefix("%q<").rstrip(">")[: MAX_WORD * 5])
    return stated

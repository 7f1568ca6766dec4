"""Alpine's packages, from apk's database of what is installed (apk-tools, apk-installed(5))."""

from collections.abc import Iterator, Mapping

from imagekit.sbom.bounds import Bounds
from imagekit.sbom.cataloguers.catalogue_rule import MIB, CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.statements import licence, note_invalid, person, word
from imagekit.sbom.contents import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url
from imagekit.sbom.text import clean, decoded

_FILES = frozenset({"lib/apk/db/installed", "usr/lib/apk/db/installed"})
_DATABASE = CatalogueRule(128 * MIB, "cut", border=b"\n\n")
_FIELDS = frozenset("PVATULomDp")
_OPERATORS = "<>=~"


class ApkPackage(Package, frozen=True, kw_only=True):
    """One package; its variant is its architecture."""

    stated: Mapping[str, str]
    """The fields of one line, by their letters."""
    owned: tuple[str, ...]

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it the same package in two layers."""
        return (self.name, self.version, self.variant)


class ApkCataloguer(Cataloguer[ApkPackage]):
    """Reads apk's database, in its old and its new place."""

    title = "Alpine packages"
    names = frozenset({"installed"})
    own_folders = frozenset({"lib/apk/db/", "usr/lib/apk/db/"})
    is_system = True
    is_database = True

    def rule(self, path: str) -> CatalogueRule | None:
        return _DATABASE if path in _FILES else None

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[ApkPackage]:
        for paragraph in decoded(raw).split("\n\n"):
            if not root.bounds.paragraphs.take():
                return
            stated, owned = _read(paragraph)
            name, version = word(stated.get("P")), word(stated.get("V"))
            if name and version:
                yield ApkPackage(
                    name=name,
                    version=version,
                    variant=word(stated.get("A")),
                    path=path,
                    stated=stated,
                    owned=owned,
                )
            elif paragraph.strip():
                note_invalid(path, root)

    def component(self, package: ApkPackage, context: Context) -> Component:
        stated, origin = package.stated, word(package.stated.get("o"))
        purl = package_url(
            "apk",
            package.name,
            package.version,
            namespace=context.system.id or "alpine",
            arch=package.variant,
            distro=context.system.distro,
            # What advisories name: the source package.
            upstream=origin if origin != package.name else "",
        )
        return Component(
            ref=purl,
            kind=Kind.APK,
            name=package.name,
            version=package.version,
            purl=purl,
            description=clean(stated.get("T", "")),
            licenses=licence(stated.get("L")),
            supplier=person(stated.get("m")),
            homepage=clean(stated.get("U", "")),
            properties=(("imagekit:apk:origin", origin),) if origin else (),
        )

    def files(self, package: ApkPackage, root: Root) -> Iterator[str]:
        return iter(package.owned)

    def provides(self, package: ApkPackage, bounds: Bounds) -> Iterator[str]:
        yield package.name
        yield from _names(package.stated.get("p", ""), bounds)

    def needs(self, package: ApkPackage, bounds: Bounds) -> Iterator[tuple[str, ...]]:
        for name in _names(package.stated.get("D", ""), bounds):
            # A conflict is a dependency with an exclamation mark.
            if not name.startswith("!"):
                yield (name,)


def _read(paragraph: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the fields of a package, and its files: ``R`` is a name in the folder of ``F``."""
    stated: dict[str, str] = {}
    owned: list[str] = []
    folder = ""
    for line in paragraph.split("\n"):
        letter, colon, value = line[:1], line[1:2], line[2:]
        if colon != ":":
            continue
        if letter == "F":
            folder = value
        elif letter == "R":
            owned.append(f"{folder}/{value}")
        elif letter in _FIELDS:
            stated.setdefault(letter, value)
    return stated, tuple(owned)


def _names(text: str, bounds: Bounds) -> Iterator[str]:
    """Yield the names of relations, without their versions: ``so:libz.so.1``, ``musl>=1.2``."""
    for relation in text.split():
        if not bounds.relations.take():
            return
        end = min((at for sign in _OPERATORS if (at := relation.find(sign)) > 0), default=None)
        yield relation[:end]

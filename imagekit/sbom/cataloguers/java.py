"""Java archives, and those within them (JAR File Specification; Maven's pom.properties).

What an archive is called in Maven stands in its pom.properties; a shaded one has those of others as
well. Then its file name counts, and then its manifest, whose words are meant for people.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import msgspec

from imagekit.build.catalogued import shown
from imagekit.sbom.cataloguers.catalogue_rule import CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.java_archive import Archives, StatedArchive, archives
from imagekit.sbom.cataloguers.statements import licence, word
from imagekit.sbom.contents import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url
from imagekit.sbom.text import clean

_SUFFIXES = frozenset({".jar", ".war", ".ear", ".hpi", ".jpi"})
_MAX_ARCHIVE = 2 << 30
_FILE_NAME = re.compile(r"(.+?)-(\d[\w.+~-]*)")
_VERSIONS = ("Implementation-Version", "Bundle-Version", "Specification-Version")
_NAMES = ("Implementation-Title", "Bundle-SymbolicName", "Automatic-Module-Name")


def _extract(file: BinaryIO, size: int) -> bytes:
    return msgspec.json.encode(archives(file, size))


_RULE = CatalogueRule(_MAX_ARCHIVE, "skip", extract=_extract)


class JavaArchive(Package, frozen=True, kw_only=True):
    """One archive, or what was put into it; its variant is where it lies in the file."""

    group: str
    manifest: Mapping[str, str]


class JavaCataloguer(Cataloguer[JavaArchive]):
    """Reads .jar, .war and .ear, however deep they lie in each other."""

    title = "Java archives"
    suffixes = _SUFFIXES

    def rule(self, path: str) -> CatalogueRule | None:
        return _RULE

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[JavaArchive]:
        found = msgspec.json.decode(raw, type=Archives)
        for archive in found.archives:
            yield from _packages(archive, path)
        for fault in found.faults:
            root.notes.add(f"{shown(path)} was not read to its end: {clean(fault, 200)}")

    def component(self, package: JavaArchive, context: Context) -> Component:
        purl = ""
        if package.version:
            # purl-spec, type maven: the group is required; many have that of their own name.
            group = package.group or package.name
            purl = package_url("maven", package.name, package.version, namespace=group)
        manifest = package.manifest
        inner = (("imagekit:java:inner", clean(package.variant)),) if package.variant else ()
        return Component(
            ref=purl or f"java:{package.name}",
            kind=Kind.JAVA,
            name=package.name,
            version=package.version,
            purl=purl,
            description=clean(manifest.get("Bundle-Description", "")),
            licenses=licence(manifest.get("Bundle-License")),
            homepage=clean(manifest.get("Bundle-DocURL", "")),
            properties=(("imagekit:path", f"/{package.path}"), *inner),
        )


def _packages(archive: StatedArchive, path: str) -> Iterator[JavaArchive]:
    """Yield the archive, and the others whose pom.properties it has."""
    file = archive.inner or path
    stem = file.rpartition("/")[2].rpartition(".")[0]
    own = _own(archive.poms, stem)
    if own is None:
        group, name, version = _by_name(stem, archive.manifest)
        name = word(name) or clean(file[-200:])
        yield _package(archive, path, (group, name, version), manifest=archive.manifest)
    for pom in archive.poms:
        # What the manifest says, such as the licence, it says of the archive itself.
        manifest = archive.manifest if pom == own else {}
        named = _package(archive, path, pom, manifest=manifest)
        if named.name and named.version:
            yield named


def _package(
    archive: StatedArchive, path: str, names: tuple[str, str, str], *, manifest: Mapping[str, str]
) -> JavaArchive:
    group, name, version = names
    return JavaArchive(
        name=word(name),
        version=word(version),
        variant=archive.inner,
        path=path,
        group=word(group),
        manifest=manifest,
    )


def _own(poms: Sequence[tuple[str, str, str]], stem: str) -> tuple[str, str, str] | None:
    """Return which pom.properties is the archive's own: the only one, or that of its name."""
    match = _FILE_NAME.fullmatch(stem)
    if len(poms) == 1:
        _, artifact, version = poms[0]
        # One that agrees with neither name nor version is that of a library that was taken in.
        strange = match and match[2] != version and artifact not in stem
        return None if strange else poms[0]
    named = (pom for pom in poms if stem in {pom[1], f"{pom[1]}-{pom[2]}"})
    return next(named, None)


def _by_name(stem: str, manifest: Mapping[str, str]) -> tuple[str, str, str]:
    """Return group, name and version as the file name has them, and else the manifest."""
    stated = next((manifest[key] for key in _VERSIONS if manifest.get(key)), "")
    match = _FILE_NAME.fullmatch(stem)
    name, version = match.groups() if match else (stem, stated)
    symbol = next((manifest[key] for key in _NAMES if manifest.get(key)), "").partition(";")[0]
    group = manifest.get("Implementation-Vendor-Id", "")
    # A symbolic name is the group, or the group and the name; what has no dot is neither.
    if not group and "." in symbol:
        group = symbol.removesuffix(f".{name}")
    return group, name, version

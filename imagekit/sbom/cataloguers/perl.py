"""Perl distributions that CPAN's clients installed, from their lists of files (ExtUtils::Packlist).

A list has no version: that stands in the record that cpanm and its like leave in ``.meta``, and
nowhere else that could be read without running Perl. Debian's own Perl packages have neither.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from imagekit.sbom.cataloguers.catalogue_rule import LIST, TEXT, CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.statements import note_invalid, read_json, word
from imagekit.sbom.contents import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url
from imagekit.sbom.text import lines

_LIST = re.compile(r"(?:.*/)?auto/(.+)/\.packlist")
_CORE = re.compile(r"(?:.*/)?([0-9]+(?:\.[0-9]+){1,2})/[^/]+/\.packlist")
_RECORD = re.compile(r"(?:.*/)?\.meta/[^/]+/install\.json")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:-[A-Za-z0-9_]+)*")
_AUTHOR = re.compile(r"[A-Z]/[A-Z]{2}/([A-Z][A-Z0-9-]{1,30})/")


class _Record(Struct, frozen=True):
    name: Any = None
    version: Any = None
    pathname: Any = None


class PerlPackage(Package, frozen=True, kw_only=True):
    """One distribution; its version is empty where only its list of files is there."""

    author: str = ""


class PerlCataloguer(Cataloguer[PerlPackage]):
    """Reads auto/NAME/.packlist, and .meta/NAME-VERSION/install.json for versions."""

    title = "Perl distributions"
    names = frozenset({".packlist", "install.json"})

    def rule(self, path: str) -> CatalogueRule | None:
        if path.endswith("/.packlist"):
            return LIST if _LIST.fullmatch(path) or _CORE.fullmatch(path) else None
        return TEXT if _RECORD.fullmatch(path) else None

    def states(self, path: str) -> bool:
        return path.endswith("/.packlist")

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[PerlPackage]:
        if core := _CORE.fullmatch(path):
            yield PerlPackage(name="perl", version=core[1], path=path)
            return
        place = _LIST.fullmatch(path)
        name = place[1].replace("/", "-") if place else ""
        if not _NAME.fullmatch(name):
            note_invalid(path, root)
            return
        version, author = _records(root).get(name, ("", ""))
        yield PerlPackage(name=name, version=version, path=path, author=author)

    def component(self, package: PerlPackage, context: Context) -> Component:
        purl = ""
        # purl-spec, type cpan: a distribution is named with the identifier of its author.
        if package.author:
            purl = package_url("cpan", package.name, package.version, namespace=package.author)
        return Component(
            ref=purl or f"cpan:{package.name}@{package.version}",
            kind=Kind.PERL,
            name=package.name,
            version=package.version,
            purl=purl,
        )

    def files(self, package: PerlPackage, root: Root) -> Iterator[str]:
        yield package.path
        for line in lines(root.documents[package.path][0]):
            # A path, then perhaps what kind of entry it is: ``type=file``.
            yield line.partition(" type=")[0]


def _records(root: Root) -> Mapping[str, tuple[str, str]]:
    """Return version and author of what has a record, by name."""
    return root.once(("perl records",), lambda: dict(_read_records(root)))


def _read_records(root: Root) -> Iterator[tuple[str, tuple[str, str]]]:
    for path in sorted(path for path in root.documents if _RECORD.fullmatch(path)):
        record = read_json(root.documents[path][0], _Record, path=path, root=root)
        if record is not None and word(record.name):
            author = _AUTHOR.match(word(record.pathname))
            stated = word(record.version), author[1] if author else ""
            yield word(record.name).replace("::", "-"), stated

"""Packages of RPM, from the database of whatever version of it."""

import json
import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from imagekit.build.catalogued import shown
from imagekit.sbom.bounds import MAX_PACKAGES, Bounds
from imagekit.sbom.cataloguers import rpm_header as tags
from imagekit.sbom.cataloguers.catalogue_rule import CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.rpm_databases import headers
from imagekit.sbom.cataloguers.statements import word
from imagekit.sbom.contents import Component, Kind, License, Supplier
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url
from imagekit.sbom.text import clean

_FOLDERS = frozenset({"var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"})
_LOG = "rpmdb.sqlite-wal"
_LOG_HEADER = 32
_NAMES = frozenset({"Packages", "Packages.db", "rpmdb.sqlite", _LOG})
_MAX_DATABASE = 2 << 30
_MAX_DOCUMENT = 64 << 20
_MAX_FILES = 16 << 20
"""Characters of the paths of one package: folders count for each file in them."""
_KEY = "gpg-pubkey"
_PARTS = re.compile(r"( and | or |[()])")
_OPERATORS = {" and ": " AND ", " or ": " OR ", "(": "(", ")": ")"}
_LICENCES = {
    "AGPLv3": "AGPL-3.0-only",
    "AGPLv3+": "AGPL-3.0-or-later",
    "ASL 2.0": "Apache-2.0",
    "Artistic 2.0": "Artistic-2.0",
    "Boost": "BSL-1.0",
    "CC0": "CC0-1.0",
    "GPL+": "GPL-1.0-or-later",
    "GPLv2": "GPL-2.0-only",
    "GPLv2+": "GPL-2.0-or-later",
    "GPLv3": "GPL-3.0-only",
    "GPLv3+": "GPL-3.0-or-later",
    "ISC": "ISC",
    "LGPLv2": "LGPL-2.0-only",
    "LGPLv2.1": "LGPL-2.1-only",
    "LGPLv3": "LGPL-3.0-only",
    "LGPLv3+": "LGPL-3.0-or-later",
    "MPLv1.1": "MPL-1.1",
    "MPLv2.0": "MPL-2.0",
    "OpenSSL": "OpenSSL",
    "Unlicense": "Unlicense",
    "zlib": "Zlib",
}
"""Fedora's older short names that have one meaning in SPDX: ``BSD`` and others have several."""


class _Header(Struct, frozen=True, omit_defaults=True):
    """What is kept of a header; lists are texts, separated by zero bytes, to hold little memory."""

    name: str
    version: str
    architecture: str = ""
    epoch: int = 0
    summary: str = ""
    vendor: str = ""
    license: str = ""
    url: str = ""
    source: str = ""
    provides: str = ""
    requires: str = ""
    files: str = ""


def _extract(file: BinaryIO, size: int) -> bytes:
    """Return one line of JSON for each package, and the last one for what could not be read."""
    document, packages, fault = BytesIO(), 0, ""
    try:
        for blob in headers(file, size):
            header = _kept(blob)
            if header is not None and header.name != _KEY:
                document.write(msgspec.json.encode(header) + b"\n")
                packages += 1
            if document.tell() > _MAX_DOCUMENT or packages > MAX_PACKAGES:
                fault = "larger than is read"
                break
    except (ValueError, UnicodeError, msgspec.MsgspecError) as error:
        fault = str(error)
    document.write(json.dumps(fault).encode())
    return document.getvalue()


def _extract_log(_: BinaryIO, size: int) -> bytes:
    """Return that there are changes in SQLite's write-ahead log, if any are."""
    return b'"whose last changes are in this log"' if size > _LOG_HEADER else b'""'


_RULE = CatalogueRule(_MAX_DATABASE, "skip", extract=_extract)
_LOG_RULE = CatalogueRule(_MAX_DATABASE, "skip", extract=_extract_log)


class RpmPackage(Package, frozen=True, kw_only=True):
    """One package; its variant is its architecture."""

    header: _Header

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it the same package in two layers."""
        return (self.name, self.version, self.variant)


class RpmCataloguer(Cataloguer[RpmPackage]):
    """Reads the database of RPM: of SQLite, ndb or Berkeley DB, in its three places."""

    title = "RPM packages"
    names = _NAMES
    own_folders = frozenset(f"{folder}/" for folder in _FOLDERS)
    is_system = True
    is_database = True

    def rule(self, path: str) -> CatalogueRule | None:
        folder, _, name = path.rpartition("/")
        if folder not in _FOLDERS:
            return None
        return _LOG_RULE if name == _LOG else _RULE

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[RpmPackage]:
        last = b""
        for line in BytesIO(raw):
            last = line
            if not line.endswith(b"\n"):
                break
            header = msgspec.json.decode(line, type=_Header)
            yield RpmPackage(
                name=header.name,
                version=f"{header.epoch}:{header.version}" if header.epoch else header.version,
                variant=header.architecture,
                path=path,
                header=header,
            )
        fault = json.loads(last or b'"not read"')
        if fault:
            root.notes.add(f"{shown(path)} was not read to its end: a database {clean(fault, 100)}")

    def component(self, package: RpmPackage, context: Context) -> Component:
        header = package.header
        purl = _purl(header, context)
        vendor = clean(header.vendor, 200)
        return Component(
            ref=purl,
            kind=Kind.RPM,
            name=package.name,
            version=package.version,
            purl=purl,
            description=clean(header.summary),
            licenses=_licences(header.license),
            supplier=Supplier(name=vendor) if vendor else None,
            homepage=clean(header.url),
            properties=(("imagekit:rpm:source", header.source),) if header.source else (),
        )

    def files(self, package: RpmPackage, root: Root) -> Iterator[str]:
        return iter(package.header.files.split("\0"))

    def provides(self, package: RpmPackage, bounds: Bounds) -> Iterator[str]:
        yield package.name
        yield from _bounded(package.header.provides, bounds)

    def needs(self, package: RpmPackage, bounds: Bounds) -> Iterator[tuple[str, ...]]:
        for name in _bounded(package.header.requires, bounds):
            yield (name,)


def _bounded(names: str, bounds: Bounds) -> Iterator[str]:
    for name in names.split("\0"):
        if not bounds.relations.take():
            return
        yield name


def _kept(blob: bytes) -> _Header | None:
    """Return what is kept of a header; None for one without a valid name and version."""
    stated = tags.header_tags(blob)
    name, version, release = (
        word(stated.get(tag)) for tag in (tags.NAME, tags.VERSION, tags.RELEASE)
    )
    if not name or not version:
        return None
    return _Header(
        name=name,
        version=f"{version}-{release}" if release else version,
        architecture=word(stated.get(tags.ARCHITECTURE)),
        epoch=(*stated.get(tags.EPOCH, ()), 0)[0],
        summary=clean(stated.get(tags.SUMMARY, ""), 300),
        vendor=clean(stated.get(tags.VENDOR, ""), 200),
        license=clean(stated.get(tags.LICENSE, ""), 1000),
        url=clean(stated.get(tags.URL, ""), 1000),
        source=word(stated.get(tags.SOURCE)),
        provides=_names(stated.get(tags.PROVIDES, ())),
        requires=_names(stated.get(tags.REQUIRES, ())),
        files="\0".join(_files(stated)).encode("utf-8", "replace").decode(),
    )


def _names(stated: list[str]) -> str:
    """Return names, each once; what RPM itself provides is no package's."""
    names = dict.fromkeys(name for name in stated if not name.startswith("rpmlib("))
    return "\0".join(names).encode("utf-8", "replace").decode()


def _files(stated: Mapping[int, Any]) -> Iterator[str]:
    """Yield the paths: folders and names apart, or whole as RPM wrote them until version 4."""
    folders, left = stated.get(tags.FOLDERS, ()), _MAX_FILES
    for index, name in zip(
        stated.get(tags.FOLDER_INDEXES, ()), stated.get(tags.BASE_NAMES, ()), strict=False
    ):
        if index < len(folders):
            left -= len(folders[index]) + len(name)
            if left < 0:
                raise ValueError("with a package whose paths are too long together")
            yield f"{folders[index]}{name}"
    yield from stated.get(tags.OLD_FILES, ())


def _purl(header: _Header, context: Context) -> str:
    # purl-spec, type rpm: the namespace is the vendor's name, the epoch is a qualifier.
    return package_url(
        "rpm",
        header.name,
        header.version,
        namespace=context.system.id,
        arch=header.architecture,
        epoch=str(header.epoch or ""),
        upstream=header.source,
        distro=context.system.distro,
    )


def _licences(stated: str) -> tuple[License, ...]:
    """Return the licence: an SPDX expression, or Fedora's older names and their operators."""
    if not stated:
        return ()
    parts = (_OPERATORS.get(part, part.strip()) for part in _PARTS.split(stated))
    return (License(stated=stated, spdx="".join(_LICENCES.get(part, part) for part in parts)),)

"""Debian packages, from dpkg's database (dpkg(1), deb-control(5)) or its status.d fragments."""

import hashlib
from collections.abc import Iterator, Mapping

from imagekit.build.catalogued import shown
from imagekit.sbom.bounds import Bounds
from imagekit.sbom.cataloguers.catalogue_rule import LIST, METADATA, MIB, TEXT, CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.contents import Component, Kind, License, Supplier
from imagekit.sbom.licences import of_copyright
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url
from imagekit.sbom.system import System
from imagekit.sbom.text import clean, decoded, fields, lines

_DPKG = "var/lib/dpkg"
_INFO = f"{_DPKG}/info/"
_STATUS = f"{_DPKG}/status"
_STATUS_D = f"{_DPKG}/status.d/"
_DOC = "usr/share/doc/"
_WHOLE_STATUS = CatalogueRule(128 * MIB, "cut", border=b"\n\n")

_MAX_STANZA = 1 << 20
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+-.")
_MAX_NAME = 200
_VIRTUAL = "virtual "
_WITHOUT_FILES = frozenset({"not-installed", "config-files"})
_FIELDS = {
    name.lower(): name
    for name in (
        "Package", "Status", "Version", "Architecture", "Source", "Maintainer",
        "Depends", "Pre-Depends", "Provides", "Homepage", "Description",
    )
}  # fmt: skip


class DebianPackage(Package, frozen=True, kw_only=True):
    """One package that is unpacked in the image; its variant is its architecture."""

    stanza: Mapping[str, str]

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it the same package in two layers."""
        return (self.name, self.version, self.variant)

    @property
    def source(self) -> tuple[str, str]:
        """Name and version of the source package (deb-control(5): ``Source: NAME (VERSION)``)."""
        # Debian Policy, section 5.6.1: a version is there only where it is another than the
        # package's.
        name, _, version = self.stanza.get("Source", "").partition(" ")
        return clean(name) or self.name, clean(version.strip(" ()")) or self.version


class DpkgCataloguer(Cataloguer[DebianPackage]):
    """Reads /var/lib/dpkg/status, and the fragments of status.d that images without dpkg have."""

    title = "Debian packages"
    names = frozenset({"status", "copyright"})
    suffixes = frozenset({".list", ".md5sums"})
    folders = frozenset({"status.d"})
    own_folders = frozenset({f"{_DPKG}/"})
    is_system = True
    is_database = True

    def rule(self, path: str) -> CatalogueRule | None:
        if path == _STATUS:
            return _WHOLE_STATUS
        if path.startswith(_INFO):
            return LIST if path.endswith((".list", ".md5sums")) else None
        if path.startswith(_STATUS_D):
            return LIST if path.endswith(".md5sums") else METADATA
        return TEXT if _is_copyright(path) else None

    def states(self, path: str) -> bool:
        return _is_status(path)

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[DebianPackage]:
        for paragraph in _paragraphs(decoded(raw)):
            if not root.bounds.paragraphs.take():
                return
            if len(paragraph) > _MAX_STANZA:
                root.notes.add(f"{shown(path)} has an entry of {len(paragraph)} characters")
                continue
            stanza = dict(fields(paragraph, _FIELDS))
            # dpkg(1): the state is the last of three words; fragments have no such field.
            status = stanza.get("Status", "install ok installed").split()
            if not stanza or (status and status[-1] in _WITHOUT_FILES):
                continue
            name, stated = stanza.get("Package", ""), stanza.get("Version", "")
            version = clean(stated)
            # A part of a version would be another version.
            valid = version and len(stated) <= _MAX_NAME and 0 < len(name) <= _MAX_NAME
            # Debian Policy, section 5.6.7, says of which characters a name is.
            if not valid or not _NAME.issuperset(name):
                root.notes.add(f"{shown(path)} has an entry without a valid name and version")
                continue
            architecture = clean(stanza.get("Architecture", ""), 40)
            yield DebianPackage(
                name=name, version=version, variant=architecture, stanza=stanza, path=path
            )

    def component(self, package: DebianPackage, context: Context) -> Component:
        purl = _purl(package, context.system)
        return Component(
            ref=purl,
            kind=Kind.DEBIAN,
            name=package.name,
            version=package.version,
            purl=purl,
            description=clean(package.stanza.get("Description", "").partition("\n")[0]),
            licenses=_licenses(package, context.root),
            supplier=_supplier(package.stanza.get("Maintainer", "")),
            homepage=clean(package.stanza.get("Homepage", "")),
            properties=_properties(package, context.root),
        )

    def files(self, package: DebianPackage, root: Root) -> Iterator[str]:
        for suffix in (".list", ".md5sums"):
            place = _info(package, root, suffix)
            if place is not None:
                for line in lines(root.documents[place][0]):
                    yield line.partition("  ")[2] if suffix == ".md5sums" else line
                return

    def provides(self, package: DebianPackage, bounds: Bounds) -> Iterator[str]:
        yield package.name
        yield f"{package.name}:{package.variant}"
        # Debian Policy, section 7.5: a virtual package is provided by its name, a version may
        # follow, and alternatives are not allowed.
        for names in _relations(package, "Provides", bounds):
            yield f"{_VIRTUAL}{names[0]}"

    def needs(self, package: DebianPackage, bounds: Bounds) -> Iterator[tuple[str, ...]]:
        # Debian Policy, section 7.2: what must be there for the package to work, and no more
        # (Recommends, Suggests).
        for field in ("Pre-Depends", "Depends"):
            for alternatives in _relations(package, field, bounds):
                yield tuple(
                    wanted
                    for name in alternatives
                    for wanted in (
                        f"{name}:{package.variant}", f"{name}:all", name, f"{_VIRTUAL}{name}",
                    )
                )  # fmt: skip

    def led_away(self, root: Root) -> Iterator[str]:
        if root.resolve(_STATUS) != _STATUS and _STATUS not in root.links:
            yield "its dpkg database lies behind a symbolic link and is not catalogued"


def _is_copyright(path: str) -> bool:
    beside = path.count("/") == _DOC.count("/") + 1
    return beside and path.startswith(_DOC) and path.endswith("/copyright")


def _is_status(path: str) -> bool:
    fragment = path.startswith(_STATUS_D) and not path.endswith(".md5sums")
    return path == _STATUS or fragment


def _paragraphs(text: str) -> Iterator[str]:
    # Paragraphs are separated by empty lines (deb822(5)); dpkg writes no others in between.
    start = 0
    while start < len(text):
        end = text.find("\n\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end].lstrip("\n")
        start = end + 2


def _purl(package: DebianPackage, system: System) -> str:
    upstream = ""
    if package.source != (package.name, package.version):
        # What scanners match: Debian's security tracker knows source packages only.
        name, version = package.source
        upstream = name if version == package.version else f"{name}@{version}"
    # purl-spec, type deb: the namespace is the vendor; ``arch`` and ``distro`` are its qualifiers.
    return package_url(
        "deb",
        package.name,
        package.version,
        namespace=system.id or "debian",
        arch=package.variant,
        distro=system.distro,
        upstream=upstream,
    )


def _supplier(maintainer: str) -> Supplier | None:
    name, _, email = clean(maintainer).partition("<")
    name = name.strip().strip('"')
    return Supplier(name=name, email=email.rstrip("> ")) if name else None


def _info(package: DebianPackage, root: Root, suffix: str) -> str | None:
    candidates = (
        f"{_INFO}{package.name}{suffix}",
        f"{_INFO}{package.name}:{package.variant}{suffix}",
        # Beside a fragment of status.d, whose name may be the package's in base64.
        f"{package.path}{suffix}",
        f"{_STATUS_D}{package.name}{suffix}",
    )
    places = (root.place(path) for path in candidates)
    return next((place for place in places if place is not None), None)


def _licenses(package: DebianPackage, root: Root) -> tuple[License, ...]:
    """Return the licences of its copyright file; several packages may share one by links."""
    place = root.place(f"{_DOC}{package.name}/copyright")
    if place is None:
        return ()
    return root.once(("copyright", place), lambda: of_copyright(root.documents[place][0]))


def _properties(package: DebianPackage, root: Root) -> tuple[tuple[str, str], ...]:
    name, version = package.source
    properties = [("imagekit:dpkg:source", f"{name}@{version}")]
    place = _info(package, root, ".md5sums")
    if place is not None:
        files, digest = root.once(("md5sums", place), lambda: _counted(root.documents[place][0]))
        properties += [
            ("imagekit:dpkg:md5sums:files", files),
            ("imagekit:dpkg:md5sums:sha256", digest),
        ]
    return tuple(properties)


def _counted(raw: bytes) -> tuple[str, str]:
    """Return the length of a list of digests, and the list's own digest."""
    return str(raw.count(b"\n")), hashlib.sha256(raw).hexdigest()


def _relations(package: DebianPackage, field: str, bounds: Bounds) -> Iterator[tuple[str, ...]]:
    """Yield the alternatives of each relation, versions and architectures left out."""
    # Debian Policy, section 7.1: commas separate relations, bars alternatives; versions stand
    # in parentheses, architectures in brackets or behind a colon. Versions are left to dpkg,
    # which installed the package.
    for relation in package.stanza.get(field, "").split(","):
        parts = relation.split("|")
        if not bounds.relations.take(len(parts)):
            return
        names = (part.split("(")[0].split("[")[0].split(":")[0].strip() for part in parts)
        alternatives = tuple(name for name in names if name)
        if alternatives:
            yield alternatives

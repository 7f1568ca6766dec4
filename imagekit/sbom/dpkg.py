"""Debian packages, from dpkg's database (dpkg(1), deb-control(5)) or its status.d fragments."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from msgspec import Struct
from packageurl import PackageURL

from imagekit.build.catalogued import (
    DOC,
    DPKG_INFO,
    DPKG_STATUS,
    DPKG_STATUS_D,
    Notes,
    shown,
)
from imagekit.sbom.bounds import Bounds
from imagekit.sbom.contents import Component, Kind, License, Supplier
from imagekit.sbom.licences import of_copyright
from imagekit.sbom.overlay import Resolver, Root
from imagekit.sbom.system import System
from imagekit.sbom.text import clean, decoded, fields, lines

_MAX_STANZA = 1 << 20
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+-.")
_MAX_NAME = 200
_WITHOUT_FILES = frozenset({"not-installed", "config-files"})
_FIELDS = {
    name.lower(): name
    for name in (
        "Package", "Status", "Version", "Architecture", "Source", "Maintainer",
        "Depends", "Pre-Depends", "Provides", "Homepage", "Description",
    )
}  # fmt: skip
Key = tuple[str, str, str]


class DebianPackage(Struct, frozen=True):
    """One package that is unpacked in the image."""

    name: str
    version: str
    architecture: str
    stanza: Mapping[str, str]
    place: str
    """The file of the database that has it."""

    @property
    def key(self) -> Key:
        """What makes it the same package in two layers."""
        return (self.name, self.version, self.architecture)

    @property
    def source(self) -> tuple[str, str]:
        """Name and version of the source package (deb-control(5): ``Source: NAME (VERSION)``)."""
        # Debian Policy, section 5.6.1: a version is there only where it is another than the
        # package's.
        name, _, version = self.stanza.get("Source", "").partition(" ")
        return clean(name) or self.name, clean(version.strip(" ()")) or self.version


class Debian(Struct, frozen=True):
    """All Debian packages of an image."""

    packages: tuple[DebianPackage, ...]
    notes: tuple[str, ...]
    first_layer: Mapping[Key, int]


def debian(root: Root) -> Debian:
    """Return the packages that are there, and in which layer each came."""
    notes = Notes()
    packages: dict[Key, DebianPackage] = {}
    first: dict[Key, int] = {}
    for path in sorted(filter(_is_status, root.documents)):
        raw, number = root.documents[path]
        for package in _packages(raw, path, bounds=root.bounds, notes=notes):
            if package.key in packages or root.bounds.packages.take():
                packages[package.key] = package
                first[package.key] = number
    for path in _led_away(root):
        notes.add(f"{shown(path)} is a link to an entry that is not catalogued")
    for number, layer in enumerate(root.layers):
        for path, raw in layer.documents.items():
            # What is there in the end was read above.
            if _is_status(path) and root.documents.get(path) != (raw, number):
                for package in _packages(raw, path, bounds=root.bounds, notes=notes):
                    if package.key in packages:
                        first[package.key] = min(first[package.key], number)
    return Debian(tuple(packages[key] for key in sorted(packages)), notes.all(), first)


def components(catalogued: Debian, root: Root, system: System) -> tuple[Component, ...]:
    """Return the packages as components, with what each depends on."""
    refs = {package.key: _purl(package, system) for package in catalogued.packages}
    graph = _Graph(catalogued.packages, root.bounds)
    texts = _Texts(root)
    result = []
    for package in catalogued.packages:
        layer = root.layers[catalogued.first_layer[package.key]]
        result.append(
            Component(
                ref=refs[package.key],
                kind=Kind.DEBIAN,
                name=package.name,
                version=package.version,
                purl=refs[package.key],
                description=clean(package.stanza.get("Description", "").partition("\n")[0]),
                licenses=texts.licenses(package),
                supplier=_supplier(package.stanza.get("Maintainer", "")),
                homepage=clean(package.stanza.get("Homepage", "")),
                properties=_properties(package, texts),
                depends=_depends(package, graph, refs=refs, bounds=root.bounds),
                origin=layer.origin,
                layer=layer.layer,
            )
        )
    return tuple(result)


def owners(
    catalogued: Debian, root: Root, resolver: Resolver, *, wanted: Collection[str]
) -> dict[str, Key]:
    """Return which package owns a file, of those that are wanted, by where it really lies."""
    owned: dict[str, Key] = {}
    for package in catalogued.packages if wanted else ():
        for suffix in (".list", ".md5sums"):
            place = _info(package, root, suffix)
            if place is None:
                continue
            for line in lines(root.documents[place][0]):
                if not root.bounds.lines.take():
                    break
                path = line.partition("  ")[2] if suffix == ".md5sums" else line
                real = resolver.place(path.strip("/"))
                if real in wanted:
                    owned[real] = package.key
            break
    return owned


def _led_away(root: Root) -> list[str]:
    """Return the links among the entries of status.d that lead to something else."""
    links = sorted(filter(_is_status, root.links))
    return [p for p in links if p != DPKG_STATUS and not _is_status(root.resolve(p))]


def _is_status(path: str) -> bool:
    fragment = path.startswith(DPKG_STATUS_D) and not path.endswith(".md5sums")
    return path == DPKG_STATUS or fragment


def _packages(raw: bytes, path: str, *, bounds: Bounds, notes: Notes) -> Iterator[DebianPackage]:
    for paragraph in _paragraphs(decoded(raw)):
        if not bounds.paragraphs.take():
            return
        if len(paragraph) > _MAX_STANZA:
            notes.add(f"{shown(path)} has an entry of {len(paragraph)} characters")
            continue
        stanza = dict(fields(paragraph, _FIELDS))
        # dpkg(1): the state is the last of three words. Fragments of status.d have no such field.
        status = stanza.get("Status", "install ok installed").split()
        if not stanza or (status and status[-1] in _WITHOUT_FILES):
            continue
        name, stated = stanza.get("Package", ""), stanza.get("Version", "")
        version = clean(stated)
        # A part of a version would be another version.
        valid = version and len(stated) <= _MAX_NAME and 0 < len(name) <= _MAX_NAME
        # Debian Policy, section 5.6.7, says of which characters a name is.
        if not valid or not _NAME.issuperset(name):
            notes.add(f"{shown(path)} has an entry without a valid name and version")
            continue
        architecture = clean(stanza.get("Architecture", ""), 40)
        yield DebianPackage(name, version, architecture, stanza, path)


def _paragraphs(text: str) -> Iterator[str]:
    # Paragraphs are separated by empty lines (deb822(5)); dpkg writes no others in between.
    start = 0
    while start < len(text):
        end = text.find("\n\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end].lstrip("\n")
        start = end + 2


def _purl(package: DebianPackage, system: System) -> str:
    qualifiers = {"arch": package.architecture, "distro": system.distro}
    if package.source != (package.name, package.version):
        # What scanners match: Debian's security tracker knows source packages only.
        name, version = package.source
        qualifiers["upstream"] = name if version == package.version else f"{name}@{version}"
    # purl-spec, type deb: the namespace is the vendor; ``arch`` and ``distro`` are its qualifiers.
    return PackageURL(
        type="deb",
        namespace=system.id or "debian",
        name=package.name,
        version=package.version,
        qualifiers={key: value for key, value in qualifiers.items() if value},
    ).to_string()


def _supplier(maintainer: str) -> Supplier | None:
    name, _, email = clean(maintainer).partition("<")
    name = name.strip().strip('"')
    return Supplier(name=name, email=email.rstrip("> ")) if name else None


def _info(package: DebianPackage, root: Root, suffix: str) -> str | None:
    candidates = (
        f"{DPKG_INFO}{package.name}{suffix}",
        f"{DPKG_INFO}{package.name}:{package.architecture}{suffix}",
        # Beside a fragment of status.d, whose name may be the package's in base64.
        f"{package.place}{suffix}",
        f"{DPKG_STATUS_D}{package.name}{suffix}",
    )
    places = (root.place(path) for path in candidates)
    return next((place for place in places if place is not None), None)


class _Texts:
    """What the files of packages say; files that several share by links are read once."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._licenses: dict[str | None, tuple[License, ...]] = {None: ()}
        self._sums: dict[str, tuple[int, str]] = {}

    def licenses(self, package: DebianPackage) -> tuple[License, ...]:
        """Return the licences of its copyright file."""
        place = self._root.place(f"{DOC}{package.name}/copyright")
        if place is not None and place not in self._licenses:
            stated = of_copyright(self._root.documents[place][0])
            self._licenses[place] = self._root.bounds.licensed(stated)
        return self._licenses[place]

    def sums(self, package: DebianPackage) -> tuple[int, str] | None:
        """Return the length of its list of digests, and the list's own digest."""
        place = _info(package, self._root, ".md5sums")
        if place is None:
            return None
        if place not in self._sums:
            raw = self._root.documents[place][0]
            self._sums[place] = (raw.count(b"\n"), hashlib.sha256(raw).hexdigest())
        return self._sums[place]


def _properties(package: DebianPackage, texts: _Texts) -> tuple[tuple[str, str], ...]:
    name, version = package.source
    properties = [("imagekit:dpkg:source", f"{name}@{version}")]
    sums = texts.sums(package)
    if sums is not None:
        properties += [
            ("imagekit:dpkg:md5sums:files", str(sums[0])),
            ("imagekit:dpkg:md5sums:sha256", sums[1]),
        ]
    return tuple(properties)


def _depends(
    package: DebianPackage, graph: "_Graph", *, refs: Mapping[Key, str], bounds: Bounds
) -> tuple[str, ...]:
    needed = (refs[dependency.key] for dependency in graph.needs(package))
    return tuple(sorted(bounds.depending(refs[package.key], needed)))


class _Graph:
    """Which installed packages satisfy a relation: by name, else by what they provide."""

    def __init__(self, packages: tuple[DebianPackage, ...], bounds: Bounds) -> None:
        self._bounds = bounds
        self._named: dict[str, list[DebianPackage]] = defaultdict(list)
        self._of: dict[tuple[str, str], list[DebianPackage]] = defaultdict(list)
        self._provided: dict[str, list[DebianPackage]] = defaultdict(list)
        for package in packages:
            self._named[package.name].append(package)
            self._of[package.name, package.architecture].append(package)
            # Debian Policy, section 7.5: a virtual package is provided by its name, a version may
            # follow, and alternatives are not allowed.
            for names in self._relations(package, "Provides"):
                self._provided[names[0]].append(package)

    def needs(self, package: DebianPackage) -> Iterator[DebianPackage]:
        """Yield what it needs: of alternatives the first that is there."""
        # Debian Policy, section 7.2: what must be there for the package to work, and no more
        # (Recommends, Suggests).
        for field in ("Pre-Depends", "Depends"):
            for alternatives in self._relations(package, field):
                there = (self._there(name, package.architecture) for name in alternatives)
                yield from chain(*next((installed for installed in there if any(installed)), ()))

    def _there(self, name: str, architecture: str) -> tuple[list[DebianPackage], ...]:
        """Return what fits as it is kept: many may need what many provide."""
        same = (
            self._of.get((name, architecture), []),
            self._of.get((name, "all"), []) if architecture != "all" else [],
        )
        return same if any(same) else (self._named.get(name) or self._provided.get(name, []),)

    def _relations(self, package: DebianPackage, field: str) -> Iterator[tuple[str, ...]]:
        """Yield the alternatives of each relation, versions and architectures left out."""
        # Debian Policy, section 7.1: commas separate relations, bars alternatives; versions stand
        # in parentheses, architectures in brackets or behind a colon. Versions are left to dpkg,
        # which installed the package.
        text = package.stanza.get(field, "")
        for relation in text.split(","):
            parts = relation.split("|")
            if not self._bounds.relations.take(len(parts)):
                return
            names = (part.split("(")[0].split("[")[0].split(":")[0].strip() for part in parts)
            alternatives = tuple(name for name in names if name)
            if alternatives:
                yield alternatives

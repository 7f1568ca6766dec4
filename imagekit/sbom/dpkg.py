"""Debian packages, from dpkg's database (dpkg(1), deb-control(5)) or its status.d fragments."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packageurl import PackageURL

from imagekit.errors import DocumentError
from imagekit.formats.catalogued import DOC, DPKG_INFO, DPKG_STATUS, DPKG_STATUS_D
from imagekit.model.sbom import Component, Kind, License, Supplier
from imagekit.sbom.licences import of_copyright
from imagekit.sbom.overlay import Resolver, Root
from imagekit.sbom.system import System
from imagekit.sbom.text import clean, decoded, fields

MAX_PACKAGES = 20_000
_MAX_RELATIONS = 2000
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


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """One package that is unpacked in the image."""

    name: str
    version: str
    architecture: str
    stanza: Mapping[str, str]

    @property
    def key(self) -> Key:
        """What makes it the same package in two layers."""
        return (self.name, self.version, self.architecture)

    @property
    def source(self) -> tuple[str, str]:
        """Name and version of the source package (deb-control(5): ``Source: NAME (VERSION)``)."""
        name, _, rest = self.stanza.get("Source", "").partition(" ")
        return clean(name) or self.name, clean(rest.strip(" ()")) or self.version


@dataclass(frozen=True, slots=True)
class Debian:
    """All Debian packages of an image."""

    packages: tuple[DebianPackage, ...]
    notes: tuple[str, ...]
    first_layer: Mapping[Key, int]


def debian(root: Root) -> Debian:
    """Return the packages that are there, and in which layer each came.

    Raises:
        DocumentError: a database holds more packages than any distribution has.
    """
    first: dict[Key, int] = {}
    notes: dict[str, None] = {}
    present: dict[str, tuple[DebianPackage, ...]] = {}
    for number, layer in enumerate(root.layers):
        for path, raw in layer.documents.items():
            if not _is_status(path):
                continue
            packages = tuple(_packages(decoded(raw), path, notes))
            if root.documents.get(path, (b"", -1))[1] == number:
                present[path] = packages
            for package in packages:
                first.setdefault(package.key, number)
    found = {p.key: p for path in sorted(present) for p in present[path]}
    _check_count(len(found))
    return Debian(tuple(found[key] for key in sorted(found)), tuple(notes), first)


def components(found: Debian, root: Root, system: System) -> tuple[Component, ...]:
    """Return the packages as components, with what each depends on."""
    refs = {package.key: _purl(package, system) for package in found.packages}
    graph = _Graph(found.packages)
    result = []
    for package in found.packages:
        layer = root.layers[found.first_layer[package.key]]
        needed = (refs[key] for key in graph.needs(package))
        result.append(
            Component(
                ref=refs[package.key],
                kind=Kind.DEBIAN,
                name=package.name,
                version=package.version,
                purl=refs[package.key],
                description=clean(package.stanza.get("Description", "").partition("\n")[0]),
                licenses=_licenses(package, root),
                supplier=_supplier(package.stanza.get("Maintainer", "")),
                homepage=clean(package.stanza.get("Homepage", "")),
                properties=_properties(package, root),
                depends=tuple(sorted(set(needed) - {refs[package.key]})),
                origin=layer.origin,
                layer=layer.layer,
            )
        )
    return tuple(result)


def owners(found: Debian, root: Root, resolver: Resolver) -> dict[str, Key]:
    """Return which package owns a file, by the path at which it really lies."""
    owned: dict[str, Key] = {}
    for package in found.packages:
        for suffix in (".list", ".md5sums"):
            raw = _info(package, root, suffix)
            if raw is None:
                continue
            for line in decoded(raw).split("\n"):
                path = line.partition("  ")[2] if suffix == ".md5sums" else line
                if path:
                    owned[resolver.place(path.strip("/"))] = package.key
            break
    return owned


def _is_status(path: str) -> bool:
    fragment = path.startswith(DPKG_STATUS_D) and not path.endswith(".md5sums")
    return path == DPKG_STATUS or fragment


def _packages(text: str, path: str, notes: dict[str, None]) -> Iterator[DebianPackage]:
    count = 0
    for paragraph in _paragraphs(text):
        stanza = dict(fields(paragraph, _FIELDS))
        if not stanza:
            continue
        count += 1
        _check_count(count)
        status = stanza.get("Status", "install ok installed").split()
        if status and status[-1] in _WITHOUT_FILES:
            continue
        name, version = stanza.get("Package", ""), clean(stanza.get("Version", ""), _MAX_NAME)
        if not name or not version or len(name) > _MAX_NAME or not _NAME.issuperset(name):
            notes[f"/{clean(path)} has an entry without a valid name and version"] = None
            continue
        architecture = clean(stanza.get("Architecture", ""), 40)
        yield DebianPackage(name, version, architecture, stanza)


def _paragraphs(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end].lstrip("\n")
        start = end + 2


def _check_count(count: int) -> None:
    if count > MAX_PACKAGES:
        raise DocumentError(
            f"the image claims more than {MAX_PACKAGES} Debian packages",
            hint="no honest image has that; find out who built it",
            code="BAD_LAYER",
        )


def _purl(package: DebianPackage, system: System) -> str:
    qualifiers = {"arch": package.architecture, "distro": system.distro}
    if package.source != (package.name, package.version):
        # What scanners match: Debian's security tracker knows source packages only.
        name, version = package.source
        qualifiers["upstream"] = name if version == package.version else f"{name}@{version}"
    return PackageURL(
        type="deb",
        namespace=system.id or "debian",
        name=package.name,
        version=package.version,
        qualifiers={key: value for key, value in qualifiers.items() if value},
    ).to_string()


def _licenses(package: DebianPackage, root: Root) -> tuple[License, ...]:
    raw = root.read(f"{DOC}{package.name}/copyright")
    return () if raw is None else of_copyright(raw)


def _supplier(maintainer: str) -> Supplier | None:
    name, _, rest = clean(maintainer).partition("<")
    name = name.strip().strip('"')
    return Supplier(name=name, email=rest.rstrip("> ")) if name else None


def _info(package: DebianPackage, root: Root, suffix: str) -> bytes | None:
    candidates = (
        f"{DPKG_INFO}{package.name}{suffix}",
        f"{DPKG_INFO}{package.name}:{package.architecture}{suffix}",
        f"{DPKG_STATUS_D}{package.name}{suffix}",
    )
    found = (root.read(path) for path in candidates)
    return next((raw for raw in found if raw is not None), None)


def _properties(package: DebianPackage, root: Root) -> tuple[tuple[str, str], ...]:
    name, version = package.source
    properties = [("imagekit:dpkg:source", f"{name}@{version}")]
    sums = _info(package, root, ".md5sums")
    if sums is not None:
        properties += [
            ("imagekit:dpkg:md5sums:files", str(sums.count(b"\n"))),
            ("imagekit:dpkg:md5sums:sha256", hashlib.sha256(sums).hexdigest()),
        ]
    return tuple(properties)


class _Graph:
    """Which installed packages satisfy a relation: by name, else by what they provide."""

    def __init__(self, packages: tuple[DebianPackage, ...]) -> None:
        self._named: dict[str, list[DebianPackage]] = defaultdict(list)
        self._provided: dict[str, list[DebianPackage]] = defaultdict(list)
        for package in packages:
            self._named[package.name].append(package)
            for alternatives in _relations(package.stanza.get("Provides", "")):
                for name in alternatives:
                    self._provided[name].append(package)

    def needs(self, package: DebianPackage) -> Iterator[Key]:
        """Yield what it needs: of alternatives the first that is there."""
        for field in ("Pre-Depends", "Depends"):
            for alternatives in _relations(package.stanza.get(field, "")):
                there = (self._there(name, package.architecture) for name in alternatives)
                yield from next((keys for keys in there if keys), ())

    def _there(self, name: str, architecture: str) -> list[Key]:
        named = self._named.get(name, [])
        same = [p.key for p in named if p.architecture in {architecture, "all"}]
        if same or named:
            return same or [p.key for p in named]
        return [p.key for p in self._provided.get(name, [])]


def _relations(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the alternatives of each relation, versions and architectures left out."""
    for relation in text.split(",", _MAX_RELATIONS)[:_MAX_RELATIONS]:
        names = (part.split("(")[0].split("[")[0].split(":")[0] for part in relation.split("|"))
        alternatives = tuple(found for name in names if (found := name.strip()))
        if alternatives:
            yield alternatives

"""The packages of an image, of all cataloguers: read, connected, and who owns which file."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.catalogued import shown
from imagekit.sbom.cataloguers.all_cataloguers import (
    CATALOGUERS,
    OWN_FOLDERS,
    AnyCataloguer,
    cataloguer_of,
)
from imagekit.sbom.cataloguers.cataloguer import Context, Package
from imagekit.sbom.contents import Component
from imagekit.sbom.overlay import Resolver, Root
from imagekit.sbom.text import clean, decoded

_Key = tuple[int, tuple[str, ...]]


class InstalledPackage(Struct, frozen=True, kw_only=True):
    """A package, who found it, and the layer that it came in."""

    package: Package
    cataloguer: AnyCataloguer
    layer: int


def packages(root: Root) -> tuple[InstalledPackage, ...]:
    """Return the packages that are there; what cannot be read becomes a note of the root."""
    there: dict[_Key, InstalledPackage] = {}
    for cataloguer, path, raw, number in _stating(root):
        allowance = root.bounds.packages_of(cataloguer.title)
        for package in cataloguer.packages(path, raw, root):
            key = (id(cataloguer), package.identity)
            if key in there or allowance.take():
                there[key] = InstalledPackage(package=package, cataloguer=cataloguer, layer=number)
    first = _first_layers(root, there)
    for note in _led_away(root):
        root.notes.add(note)
    order = {id(cataloguer): number for number, cataloguer in enumerate(CATALOGUERS)}
    keys = sorted(there, key=lambda key: (order[key[0]], key[1]))
    return tuple(replace(there[key], layer=first.get(key, there[key].layer)) for key in keys)


def components(
    found: tuple[InstalledPackage, ...], context: Context, owners: "Owners"
) -> Iterator[Component]:
    """Yield the packages as components, with what each depends on.

    Args:
        found: the packages.
        context: the image.
        owners: who owns the files of the image.
    """
    bounds = context.root.bounds
    refs = _refs(found, context)
    graph = _graph(found, refs, context)
    for number, (entry, component) in enumerate(zip(found, refs.described, strict=True)):
        ref, layer = refs.refs[number], context.root.layers[entry.layer]
        needed = (target for group in graph(entry) for target in group)
        properties = component.properties
        owner = None if entry.cataloguer.is_system else owners.system_owner(entry.package.path)
        if owner is not None and entry.cataloguer.is_secondary:
            continue
        if owner is not None:
            properties = (*properties, ("imagekit:part-of", refs.refs[owner]))
        yield replace(
            component,
            ref=ref,
            licenses=bounds.licensed(component.licenses),
            properties=properties,
            depends=tuple(sorted(bounds.depending(ref, needed))),
            origin=layer.origin,
            layer=layer.layer,
        )


class Owners:
    """Which package owns a file, of those that are wanted, by where it really lies.

    Args:
        found: the packages.
        root: the image.
        wanted: the paths that will be asked about.
    """

    def __init__(
        self, found: tuple[InstalledPackage, ...], root: Root, wanted: Collection[str]
    ) -> None:
        self._system: dict[str, int] = {}
        self._other: dict[str, int] = {}
        self._folders: dict[str, int] = {}
        self._known: dict[str, int | None] = {}
        resolver = Resolver(root)
        for number, entry in enumerate(found) if wanted else ():
            files = self._system if entry.cataloguer.is_system else self._other
            for path in entry.cataloguer.files(entry.package, root):
                if not root.bounds.lines.take():
                    break
                real = resolver.place(path.strip("/"))
                if path.endswith("/") and path.strip("/"):
                    self._folders.setdefault(real, number)
                elif real in wanted:
                    files.setdefault(real, number)

    def system_owner(self, path: str) -> int | None:
        """Return the number of the distribution's package that owns a path."""
        return self._system.get(path)

    def owner(self, path: str) -> int | None:
        """Return the number of the package that owns a path; -1 for a package manager's own."""
        if path.startswith(OWN_FOLDERS):
            return -1
        number = self._system.get(path)
        if number is None:
            number = self._other.get(path)
        return self._above(path.rpartition("/")[0]) if number is None else number

    def _above(self, folder: str) -> int | None:
        if not self._folders or not folder:
            return None
        if folder not in self._known:
            number = self._folders.get(folder)
            above = self._above(folder.rpartition("/")[0]) if number is None else number
            self._known[folder] = above
        return self._known[folder]


class _Refs(Struct, frozen=True):
    refs: tuple[str, ...]
    described: tuple[Component, ...]


def _stating(root: Root) -> Iterator[tuple[AnyCataloguer, str, bytes, int]]:
    """Yield who reads each file that states packages, the file, and the number of its layer."""
    for path in sorted(root.documents):
        cataloguer = cataloguer_of(path)
        if cataloguer is not None and cataloguer.states(path):
            raw, number = root.documents[path]
            yield cataloguer, path, raw, number
    for path in sorted(root.sections):
        sections, number = root.sections[path]
        for cataloguer in CATALOGUERS:
            for name in sorted(cataloguer.sections & sections.keys()):
                yield cataloguer, path, sections[name], number


def _led_away(root: Root) -> Iterator[str]:
    """Yield notes on links whose targets nobody reads, in the places of files that are read."""
    for path in sorted(root.links):
        cataloguer = cataloguer_of(path)
        if cataloguer is not None and cataloguer.states(path):
            target = root.resolve(path)
            if cataloguer_of(target) is not cataloguer or not cataloguer.states(target):
                yield f"{shown(path)} is a link to a file that is not catalogued"
    for cataloguer in CATALOGUERS:
        yield from cataloguer.led_away(root)


def _first_layers(root: Root, there: Mapping[_Key, InstalledPackage]) -> dict[_Key, int]:
    """Return in which layer packages came whose database is written anew in every layer."""
    first: dict[_Key, int] = {}
    for number, layer in enumerate(root.layers):
        for path, raw in layer.documents.items():
            cataloguer = cataloguer_of(path)
            # What is there in the end was read already.
            if (
                cataloguer is None
                or not cataloguer.is_database
                or not cataloguer.states(path)
                or root.documents.get(path) == (raw, number)
            ):
                continue
            for package in cataloguer.packages(path, raw, root):
                key = (id(cataloguer), package.identity)
                if key in there:
                    first[key] = min(first.get(key, there[key].layer), number)
    return first


def _refs(found: tuple[InstalledPackage, ...], context: Context) -> _Refs:
    """Describe each package and give it a ref; the same may be there twice, at two places."""
    refs, described, taken = [], [], set[str]()
    for entry in found:
        component = entry.cataloguer.component(entry.package, context)
        ref = component.ref
        if ref in taken:
            place = entry.package.path.encode("utf-8", "surrogateescape")
            ref = f"{ref}#{clean(decoded(place))}"
        taken.add(ref)
        refs.append(ref)
        described.append(component)
    return _Refs(tuple(refs), tuple(described))


def _graph(
    found: tuple[InstalledPackage, ...], refs: _Refs, context: Context
) -> Callable[[InstalledPackage], Iterator[list[str]]]:
    """Return a function that yields the refs of what a package needs, need by need."""
    bounds = context.root.bounds
    providers: dict[tuple[int, str], list[str]] = defaultdict(list)
    for entry, ref in zip(found, refs.refs, strict=True):
        for name in entry.cataloguer.provides(entry.package, bounds):
            providers[id(entry.cataloguer), name].append(ref)

    def needed(entry: InstalledPackage) -> Iterator[list[str]]:
        for names in entry.cataloguer.needs(entry.package, bounds):
            there = (providers.get((id(entry.cataloguer), name), []) for name in names)
            yield next(filter(None, there), [])

    return needed

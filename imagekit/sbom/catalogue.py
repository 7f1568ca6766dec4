"""From the files of an image's layers to its SBOM: the whole of it, without I/O."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from imagekit.build.catalogued import (
    DPKG_INFO,
    DPKG_STATUS,
    Notes,
    foreign_database,
    shown,
)
from imagekit.documents.quantity import count
from imagekit.recipe.recipe import Recipe
from imagekit.sbom import dpkg, python, system, unmanaged
from imagekit.sbom.contents import Component, LayerFiles, Sbom, Subject
from imagekit.sbom.overlay import Resolver, Root, lay_over
from imagekit.sbom.programs import programs


def owned_files(files: LayerFiles) -> Callable[[str], bool]:
    """Return a function that returns whether a package owns the file at a path of a folder."""
    root = lay_over((files,))
    resolver = Resolver(root)
    owner = dpkg.owners(dpkg.debian(root), root, resolver, wanted=root.files)
    recorded = python.owned(python.packages(root)[0], root, resolver, wanted=root.files)
    return lambda path: path in owner or path in recorded or path.startswith(DPKG_INFO)


def catalogue(
    layers: Sequence[LayerFiles], *, subject: Subject, made_by: Recipe | None = None
) -> Sbom:
    """Return what an image is made of.

    Args:
        layers: its layers, the lowest first; a folder is one layer.
        subject: what the image is.
        made_by: the recipe that built it, if that is at hand.
    """
    root = lay_over(layers)
    resolver = Resolver(root)
    os = system.system(root)
    debian = dpkg.debian(root)
    pythons, python_notes = python.packages(root)
    sources = unmanaged.sources(made_by, python.normal)
    packages = dpkg.components(debian, root, os)
    by_key = dict(zip((p.key for p in debian.packages), packages, strict=True))
    # A link in the place of a database is one, whatever its target is called.
    places = (*root.documents, *root.links)
    foreign = {path: kind for path in places if (kind := foreign_database(path))}
    # Thousands of paths: not looked at where nothing could be owned.
    wanted = {*root.files, *foreign, *(p.path for p in pythons)}
    owner = dpkg.owners(debian, root, resolver, wanted=wanted)
    distributions = python.components(
        pythons,
        root,
        debian_owner={p.path: by_key[owner[p.path]].ref for p in pythons if p.path in owner},
        archive_hashes=sources.archive_hashes,
    )
    fetched = unmanaged.fetched_components(sources)
    recorded = python.owned(pythons, root, resolver, wanted=root.files.keys() | foreign.keys())
    unowned_programs, program_notes = unmanaged.program_components(
        root,
        owned=lambda path: path in owner or path in recorded,
        fetched=frozenset(value for component in fetched for _, value in component.hashes),
    )
    unowned = {p: kind for p, kind in foreign.items() if p not in owner and p not in recorded}
    all_components = (*system.component(os), *packages, *distributions, *fetched, *unowned_programs)
    components = tuple(root.bounds.listed(_distinct(all_components)))
    notes = Notes()
    for note in (
        *_not_catalogued(root, unowned),
        *root.bounds.notes(),
        *program_notes,
        *debian.notes,
        *python_notes,
        *(note for layer in layers for note in layer.notes),
    ):
        notes.add(note)
    return Sbom(
        subject=subject, components=components, notes=notes.all(), programs=programs(root.elf)
    )


def _not_catalogued(root: Root, foreign: Mapping[str, str]) -> list[str]:
    kinds: dict[str, list[str]] = {}
    for path, kind in sorted(foreign.items()):
        kinds.setdefault(kind, []).append(path)
    notes = [
        f"the packages of its {kind} database are not catalogued: "
        f"{count(len(paths), 'file')}, such as {shown(paths[0])}"
        for kind, paths in sorted(kinds.items())
    ]
    if root.resolve(DPKG_STATUS) != DPKG_STATUS:
        notes.append("its dpkg database lies behind a symbolic link and is not catalogued")
    return notes


def _distinct(components: Sequence[Component]) -> Iterator[Component]:
    """Give every component a ref of its own, even where a hostile image has equal names."""
    taken: set[str] = set()
    seen: dict[str, int] = {}
    for component in components:
        ref = component.ref
        while ref in taken:
            seen[component.ref] = seen.get(component.ref, 1) + 1
            ref = f"{component.ref}~{seen[component.ref]}"
        taken.add(ref)
        yield component if ref == component.ref else replace(component, ref=ref)

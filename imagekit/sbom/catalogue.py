"""From the files of an image's layers to its SBOM: the whole of it, without I/O."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from imagekit.build.catalogued import Notes, shown
from imagekit.documents.quantity import count
from imagekit.recipe.recipe import Recipe
from imagekit.sbom import system, unmanaged
from imagekit.sbom.cataloguers.cataloguer import Context
from imagekit.sbom.cataloguers.python import normal
from imagekit.sbom.contents import Component, LayerFiles, Sbom, Subject
from imagekit.sbom.foreign import foreign_database
from imagekit.sbom.overlay import lay_over
from imagekit.sbom.packages import Owners, components, packages
from imagekit.sbom.programs import programs
from imagekit.sbom.unowned import unowned_files


def owned_files(files: LayerFiles) -> Callable[[str], bool]:
    """Return a function that returns whether a package owns the file at a path of a folder."""
    root = lay_over((files,))
    owners = Owners(packages(root), root, wanted=root.files)
    return lambda path: owners.owner(path) is not None


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
    os = system.system(root)
    sources = unmanaged.sources(made_by, normal)
    found = packages(root)
    # A link in the place of a database is one, whatever its target is called.
    places = {*root.documents, *root.files, *root.links}
    foreign = {path: kind for path in places if (kind := foreign_database(path))}
    owners = Owners(found, root, wanted=places)
    context = Context(root=root, system=os, archive_hashes=sources.archive_hashes)
    packaged = tuple(components(found, context, owners))
    fetched = unmanaged.fetched_components(sources)
    unowned_programs, program_notes = unmanaged.program_components(
        root,
        owned=lambda path: owners.owner(path) is not None,
        fetched=frozenset(value for component in fetched for _, value in component.hashes),
    )
    unowned = {path: kind for path, kind in foreign.items() if owners.owner(path) is None}
    own = {component.name.lstrip("/") for component in unowned_programs}
    rest = unowned_files(root, owned=lambda path: owners.owner(path) is not None, listed=own)
    every = (*system.component(os), *packaged, *fetched, *unowned_programs)
    listed = tuple(root.bounds.listed(_distinct(every)))
    notes = Notes()
    for note in (
        *_not_catalogued(unowned),
        *root.bounds.notes(),
        *program_notes,
        *root.notes.all(),
        *(note for layer in layers for note in layer.notes),
    ):
        notes.add(note)
    return Sbom(
        subject=subject,
        components=listed,
        notes=notes.all(),
        unowned=rest,
        programs=programs(root.elf),
    )


def _not_catalogued(foreign: Mapping[str, str]) -> list[str]:
    kinds: dict[str, list[str]] = {}
    for path, kind in sorted(foreign.items()):
        kinds.setdefault(kind, []).append(path)
    return [
        f"the packages of its {kind} database are not catalogued: "
        f"{count(len(paths), 'file')}, such as {shown(paths[0])}"
        for kind, paths in sorted(kinds.items())
    ]


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

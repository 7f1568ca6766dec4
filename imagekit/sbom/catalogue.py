"""From the files of an image's layers to its SBOM: the whole of it, without I/O."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from imagekit.formats.catalogued import DPKG_INFO, DPKG_STATUS, OTHER_DATABASES
from imagekit.model.recipe import Recipe
from imagekit.model.sbom import Component, LayerFiles, Sbom, Subject
from imagekit.sbom import dpkg, python, recipe, system
from imagekit.sbom.overlay import Resolver, Root, lay_over


def owned_files(files: LayerFiles) -> Callable[[str], bool]:
    """Return what tells whether a package owns the file at a path of a folder."""
    root = lay_over((files,))
    resolver = Resolver(root)
    owner = dpkg.owners(dpkg.debian(root), root, resolver)
    recorded = python.owned(python.packages(root)[0], root, resolver)
    return lambda path: path in owner or path in recorded or path.startswith(DPKG_INFO)


def catalogue(
    layers: Sequence[LayerFiles], *, subject: Subject, made_by: Recipe | None = None
) -> Sbom:
    """Return what an image is made of.

    Args:
        layers: its layers, the lowest first; a folder is one layer.
        subject: what the image is.
        made_by: the recipe that built it, if that is at hand.

    Raises:
        DocumentError: a package database claims more than any honest one does.
    """
    root = lay_over(layers)
    resolver = Resolver(root)
    os = system.system(root)
    debian = dpkg.debian(root)
    pythons, python_notes = python.packages(root)
    sources = recipe.sources(made_by, python.normal)
    packages = dpkg.components(debian, root, os)
    by_key = dict(zip((p.key for p in debian.packages), packages, strict=True))
    # Thousands of paths: not looked at where nothing could be owned.
    wanted = bool(root.files or pythons)
    owner = dpkg.owners(debian, root, resolver) if wanted else {}
    distributions = python.components(
        pythons,
        root,
        debian_owner={p.path: by_key[owner[p.path]].ref for p in pythons if p.path in owner},
        archive_hashes=sources.archive_hashes,
    )
    fetched = recipe.fetched_components(sources)
    recorded = python.owned(pythons, root, resolver)
    programs, program_notes = recipe.program_components(
        root,
        owned=lambda path: path in owner or path in recorded,
        fetched=frozenset(value for one in fetched for _, value in one.hashes),
    )
    notes = (
        *(note for layer in layers for note in layer.notes),
        *debian.notes,
        *python_notes,
        *program_notes,
        *_not_catalogued(root),
    )
    found = (*system.component(os, root), *packages, *distributions, *fetched, *programs)
    return Sbom(subject=subject, components=_distinct(found), notes=tuple(dict.fromkeys(notes)))


def _not_catalogued(root: Root) -> list[str]:
    present = {kind for path, kind in OTHER_DATABASES.items() if path in root.documents}
    notes = [f"the packages of its {kind} database are not catalogued" for kind in sorted(present)]
    status = root.resolve(DPKG_STATUS)
    if status != DPKG_STATUS:
        notes.append("its dpkg database lies behind a symbolic link and is not catalogued")
    return notes


def _distinct(components: Sequence[Component]) -> tuple[Component, ...]:
    """Give every component a ref of its own, whatever names a hostile image has made equal."""
    seen: dict[str, int] = {}
    result = []
    for component in components:
        count = seen[component.ref] = seen.get(component.ref, 0) + 1
        result.append(
            component if count == 1 else replace(component, ref=f"{component.ref}~{count}")
        )
    return tuple(result)

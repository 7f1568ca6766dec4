"""What no package manager knows: files that a recipe fetched, and programs that nothing owns."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from imagekit.build.image import Origin
from imagekit.recipe.recipe import FetchStep, Recipe
from imagekit.sbom.contents import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url
from imagekit.sbom.text import clean, decoded

MAX_PROGRAMS = 5_000


class Sources(Struct, frozen=True, kw_only=True):
    """What a recipe brought in by itself."""

    fetched: tuple[tuple[str, FetchStep], ...] = ()
    """What was fetched, each behind the name of the stage that did; empty for the image itself."""
    archive_hashes: Mapping[tuple[str, str], str]
    """SHA-256 of Python archives by normal name and version."""


def sources(recipe: Recipe | None, normal: Callable[[str], str]) -> Sources:
    """Return what the recipe fetches.

    Args:
        recipe: the recipe; None for an image that something else built.
        normal: brings a Python package's name into the form that is compared.
    """
    if recipe is None:
        return Sources(archive_hashes={})
    hashes: dict[tuple[str, str], str] = {}
    of_stages = [packages for stage in recipe.stages for packages in stage.packages]
    for packages in (*recipe.packages, *of_stages):
        if packages.manager == "pip":
            for line in packages.install:
                hashes.update(_pinned(line, normal))
    steps = [("", step) for step in recipe.steps]
    # What a program was compiled of is looked for when a fault in it becomes known.
    steps += [(stage.name, step) for stage in recipe.stages for step in stage.steps]
    fetched = tuple((name, step) for name, step in steps if isinstance(step, FetchStep))
    return Sources(fetched=fetched, archive_hashes=hashes)


def fetched_components(sources: Sources) -> tuple[Component, ...]:
    """Return the fetched files as components, each once."""
    unique = {
        (step.url, step.sha256, step.to, stage): _fetched(step, stage)
        for stage, step in sources.fetched
    }
    return tuple(unique[key] for key in sorted(unique))


def program_components(
    root: Root, *, owned: Callable[[str], bool], fetched: frozenset[str]
) -> tuple[tuple[Component, ...], tuple[str, ...]]:
    """Return executables and libraries that no package owns, and a note where they are too many.

    Args:
        root: the image.
        owned: returns whether a package owns the file at a path.
        fetched: SHA-256 of what is listed as fetched already.
    """
    programs = [
        path
        for path, (file, _) in root.files.items()
        if file.is_program and file.sha256 and file.sha256 not in fetched and not owned(path)
    ]
    programs.sort()
    more = len(programs) - MAX_PROGRAMS
    notes = (f"{more} more programs that no package owns are not listed",) if more > 0 else ()
    return tuple(_program(path, root) for path in programs[:MAX_PROGRAMS]), notes


def _program(path: str, root: Root) -> Component:
    file, number = root.files[path]
    layer = root.layers[number]
    shown = "/" + clean(decoded(path.encode("utf-8", "surrogateescape")))
    return Component(
        ref=f"file:{shown}#{file.sha256[:16]}",
        kind=Kind.PROGRAM,
        name=shown,
        hashes=(("sha256", file.sha256),),
        properties=(
            ("imagekit:format", "elf" if file.elf else "executable"),
            ("imagekit:size", str(file.size)),
        ),
        origin=layer.origin,
        layer=layer.layer,
    )


def _fetched(step: FetchStep, stage: str) -> Component:
    name = clean(step.url.partition("?")[0].rstrip("/").rpartition("/")[2], 200) or "download"
    purl = package_url("generic", name, checksum=str(step.sha256), download_url=step.url)
    return Component(
        ref=f"fetched:{step.url}#{stage and f'{stage}:'}{step.to}",
        kind=Kind.FETCHED,
        name=name,
        purl=purl,
        download=step.url,
        hashes=(("sha256", step.sha256.hex),),
        properties=(
            ("imagekit:fetched-to", step.to),
            ("imagekit:extracted", "true" if step.extract else "false"),
            *((("imagekit:stage", stage),) if stage else ()),
        ),
        origin=Origin.RECIPE,
    )


def _pinned(line: str, normal: Callable[[str], str]) -> dict[tuple[str, str], str]:
    """Return the archive's digest where the recipe allows exactly one archive."""
    words = line.split()
    hashes = [word.removeprefix("--hash=sha256:") for word in words if word.startswith("--hash=")]
    name, equals, version = words[0].partition("==") if words else ("", "", "")
    if not equals or len(hashes) != 1:
        return {}
    return {(normal(name.partition("[")[0]), version): hashes[0]}

"""Which recipes were changed since a revision, and why: safe where that is not sure.

A recipe is changed where anything differs in its folder, in what its links lead to, or in files
that say how folders are read (``imagekit.toml``, ``.gitattributes``, ``.gitmodules``) in a folder
above it; and where one is that it stands on. Its lock lies in its folder.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from imagekit.graph.recipe_graph import RecipeGraph
from imagekit.lock.lock import FILE
from imagekit.process import Runner
from imagekit.recipe.changed_paths import ChangedPaths, changed_paths
from imagekit.recipe.recipe import Recipe, is_excluded

_SHARED = frozenset({"imagekit.toml", ".gitattributes", ".gitmodules"})


def changed_since(
    recipes: RecipeGraph, revision: str, owners: Collection[int], *, runner: Runner | None = None
) -> Mapping[Path, str]:
    """Return the recipes that may differ from a revision, of all, each with the reason.

    Args:
        recipes: the recipes.
        revision: as git names commits.
        owners: the users whose repositories are asked.
        runner: runs git.

    Raises:
        RecipeError: a recipe is in no repository, the repository is somebody else's, or has no
            such revision.
        ToolTimeoutError: git did not answer.
    """
    known: list[ChangedPaths] = []
    why: dict[Path, str] = {}
    for key, recipe in recipes.recipes.items():
        changed = next((paths for paths in known if _is_of(key.parent, paths)), None)
        if changed is None:
            changed = changed_paths(key.parent, revision, owners, runner=runner or Runner())
            known.append(changed)
        reason = changed.unsure or _reason(key, recipe, changed)
        if reason:
            why[key] = reason
    for level in recipes.whole.levels():
        for key in level:
            below = next((need for need in recipes.whole.needs[key] if need in why), None)
            if key not in why and below is not None:
                why[key] = f"it stands on {recipes.recipes[below].name}"
    return why


def _is_of(folder: Path, changed: ChangedPaths) -> bool:
    """Return whether a folder lies in a repository, and in no other one inside of that."""
    inner = (place for place in (folder, *folder.parents) if os.path.lexists(place / ".git"))
    return next(inner, None) == changed.top


def _reason(key: Path, recipe: Recipe, changed: ChangedPaths) -> str:
    """Return why a recipe may differ; nothing where it does not."""
    folder = key.parent
    places = {folder, *_ways(recipe.file.parent), *_led_to(folder)}
    for path in sorted(changed.paths):
        if path.name in _SHARED and folder.is_relative_to(path.parent):
            return f"{_shown(path, changed)} differs"
        # A lock is no part of the recipe, and decides what is built of it.
        if path == folder / FILE or any(_touches(path, place) for place in places):
            return f"{_shown(path, changed)} differs"
    return ""


def _touches(path: Path, place: Path) -> bool:
    """Return whether what lies at a path, or below it, belongs to a place."""
    if place.is_relative_to(path):
        return True
    # What takes no part in a recipe is no part of its digest either.
    return path.is_relative_to(place) and not any(
        is_excluded(name) for name in path.relative_to(place).parts
    )


def _led_to(folder: Path) -> frozenset[Path]:
    """Return what the links in a recipe's folder lead to."""
    return frozenset(
        Path(place, name).resolve()
        for place, folders, files in _walk(folder)
        for name in (*folders, *files)
        if Path(place, name).is_symlink()
    )


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield folders with what lies in them and takes part in a recipe; it was read before."""
    for place, folders, files in os.walk(folder):
        folders[:] = _included(folders)
        yield place, folders, _included(files)


def _ways(folder: Path) -> Iterator[Path]:
    """Yield the links that the path of a folder goes through."""
    path = folder.absolute()
    for place in (path, *path.parents):
        if place.is_symlink():
            yield place.parent.resolve() / place.name


def _included(names: Iterable[str]) -> list[str]:
    return [name for name in names if not is_excluded(name)]


def _shown(path: Path, changed: ChangedPaths) -> str:
    return path.relative_to(changed.top).as_posix()

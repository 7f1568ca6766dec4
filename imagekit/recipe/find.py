"""Finds recipes in folders, by their names."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from imagekit.documents import strictyaml
from imagekit.documents.report import did_you_mean
from imagekit.errors import RecipeError
from imagekit.recipe.parse import FILE_NAME, recipe_file
from imagekit.recipe.recipe import is_excluded

MAX_DEPTH = 8
MAX_FOLDERS = 20_000


def discover(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return every recipe.yaml that the paths name or hold, in order, each once.

    A path is a recipe.yaml, a recipe's folder, or a folder of recipes, which may be nested; links
    to folders are not followed.

    Raises:
        RecipeError: a path holds none, or too much to look through.
    """
    recipes: dict[Path, None] = {}
    for path in paths:
        files = sorted(below(path)) if path.is_dir() else [recipe_file(path)]
        if not files:
            hint = f"a recipe is a folder with a {FILE_NAME}"
            raise RecipeError(f"{path} holds no recipe", hint=hint, code="recipe/not-found")
        recipes |= dict.fromkeys(files)
    return tuple(recipes)


def choose(names: Mapping[str, Sequence[Path]], name: str) -> Path:
    """Return the recipe.yaml of the recipe called ``name``.

    Args:
        names: every recipe.yaml of a tree, by what it calls itself.
        name: the one that is wanted.

    Raises:
        RecipeError: there is none, or several are called so.
    """
    files = names.get(name, ())
    if len(files) == 1:
        return files[0]
    if files:
        message = f"two recipes are called {name}: {files[0]} and {files[1]}"
        raise RecipeError(message, hint="rename one", code="recipe/same-name")
    known = sorted(other for other in names if other)
    hint = did_you_mean(name, known) or (f"known are: {', '.join(known[:12])}" if known else "")
    raise RecipeError(f"there is no recipe called {name}", hint=hint, code="recipe/unknown-base")


def name_of(node: strictyaml.Node) -> str:
    """Return the name in a recipe, without judging it; empty where there is none to read."""
    entries = node.entries if isinstance(node, strictyaml.Mapping) else ()
    for entry in entries:
        if entry.key == "name" and isinstance(entry.value, strictyaml.Scalar):
            return entry.value.text
    return ""


def below(root: Path) -> Iterator[Path]:
    """Yield every recipe.yaml at or below the folder.

    Raises:
        RecipeError: a folder cannot be read, or there are too many.
    """
    stack = [(root, 0)]
    seen = 0
    while stack:
        folder, depth = stack.pop()
        seen += 1
        if seen > MAX_FOLDERS:
            message = f"{root} holds more than {MAX_FOLDERS} folders"
            raise RecipeError(message, hint="name the recipes' own folder", code="recipe/too-large")
        try:
            with os.scandir(folder) as entries:
                rows = [entry for entry in entries if not is_excluded(entry.name)]
        except OSError as error:
            message = f"cannot read {folder}: {error.strerror}"
            raise RecipeError(message, code="recipe/unreadable") from error
        if any(entry.name == FILE_NAME for entry in rows):
            yield folder / FILE_NAME
        if depth < MAX_DEPTH:
            inner = [entry.name for entry in rows if entry.is_dir(follow_symlinks=False)]
            stack += [(folder / name, depth + 1) for name in inner]

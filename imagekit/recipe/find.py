"""Finds recipes in folders, and the recipes that a recipe stands on.

A *tree of recipes* is where ``base: {recipe: NAME}`` is looked for: the folder above the recipe,
else the one above that, and so on, up to a folder called ``recipes`` or the root of a repository.
The nearest folder that holds a recipe of that name decides.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagekit.errors import Diagnostic, RecipeError
from imagekit.formats import strictyaml
from imagekit.formats.report import Report, did_you_mean
from imagekit.model.place import Place
from imagekit.model.recipe import Recipe, is_excluded
from imagekit.recipe.parse import FILE_NAME, load, read_file, recipe_file

MAX_DEPTH = 8
MAX_FOLDERS = 20_000
_MAX_CLIMB = 5


def discover(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return every recipe.yaml that the paths name or hold, in order, each once.

    A path is a recipe.yaml, a recipe's folder, or a folder of recipes, which may be nested; links
    to folders are not followed.

    Raises:
        RecipeError: a path holds none, or too much to look through.
    """
    found: dict[Path, None] = {}
    for path in paths:
        files = sorted(_below(path)) if path.is_dir() else [recipe_file(path)]
        if not files:
            hint = f"a recipe is a folder with a {FILE_NAME}"
            raise RecipeError(f"{path} holds no recipe", hint=hint, code="recipe/not-found")
        found |= dict.fromkeys(files)
    return tuple(found)


def find_by_name(root: Path, name: str) -> Path:
    """Return the recipe.yaml of the recipe called ``name`` in a folder of recipes.

    Raises:
        RecipeError: there is none, or several are called so.
    """
    files = sorted(_below(root))
    names = {file: name_of(file) for file in files}
    found = [file for file in files if names[file] == name]
    if len(found) == 1:
        return found[0]
    if found:
        message = f"two recipes are called {name}: {found[0]} and {found[1]}"
        raise RecipeError(message, hint="rename one", code="recipe/same-name")
    known = sorted({other for other in names.values() if other})
    hint = did_you_mean(name, known) or (f"known are: {', '.join(known[:12])}" if known else "")
    raise RecipeError(f"there is no recipe called {name}", hint=hint, code="recipe/unknown-base")


def name_of(file: Path) -> str:
    """Return what a recipe calls itself, without judging it; empty where that cannot be told."""
    try:
        node = strictyaml.compose(read_file(file), Report(str(file), "recipe"))
    except RecipeError:
        return ""
    entries = node.entries if isinstance(node, strictyaml.Mapping) else ()
    for entry in entries:
        if entry.key == "name" and isinstance(entry.value, strictyaml.Scalar):
            return entry.value.text
    return ""


def with_bases(recipe: Recipe) -> tuple[Recipe, ...]:
    """Return the recipe behind all the recipes that it stands on, in the order to build them.

    Raises:
        RecipeError: a base is missing, faulty, or stands on the recipe itself.
    """
    done: dict[Path, Recipe] = {}
    _add(recipe, done, ())
    return tuple(done.values())


def _add(recipe: Recipe, done: dict[Path, Recipe], chain: tuple[Recipe, ...]) -> None:
    here = recipe.file.resolve()
    if here in done:
        return
    chain = (*chain, recipe)
    for need in recipe.needs:
        file = _locate(recipe, need.name, need.place)
        if any(file.resolve() == above.file.resolve() for above in chain):
            circle = " > ".join([*(above.name for above in chain), need.name])
            raise _at(need.place, "base-cycle", f"the recipe stands on itself: {circle}")
        _add(load(file), done, chain)
    done[here] = recipe


def _locate(recipe: Recipe, name: str, place: Place) -> Path:
    """Search the nearest folder above first."""
    fault: RecipeError | None = None
    for root in _roots(recipe.folder):
        try:
            return find_by_name(root, name)
        except RecipeError as error:
            if error.code != "recipe/unknown-base":
                raise _at(place, "bad-base", error.message, hint=error.hint) from error
            fault = error
    hint = fault.hint if fault is not None else ""
    raise _at(place, "unknown-base", f"there is no recipe called {name}", hint=hint) from fault


def _roots(folder: Path) -> Iterator[Path]:
    here = folder.resolve()
    for root in list(here.parents)[:_MAX_CLIMB]:
        yield root
        if root.name == "recipes" or (root / ".git").exists():
            return


def _below(root: Path) -> Iterator[Path]:
    """Yield every recipe.yaml at or below the folder."""
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


def _at(place: Place, code: str, message: str, *, hint: str = "") -> RecipeError:
    """Return an error that points into the recipe."""
    source = ""
    text = read_file(Path(place.file)).decode("utf-8", "replace").split("\n")
    if 0 < place.line <= len(text):
        source = text[place.line - 1].rstrip("\r")
    diagnostic = Diagnostic(
        code=f"recipe/{code}",
        message=message,
        file=place.file,
        line=place.line,
        column=place.column,
        length=max(1, len(source) - place.column + 1),
        source=source,
        hint=hint,
    )
    return RecipeError(message, code=f"recipe/{code}", diagnostics=(diagnostic,))

"""Recipes that build on each other: each is read once, and found in its own tree only.

A *tree of recipes* is where ``base: {recipe: NAME}`` and ``FROM localhost/NAME`` are looked for. It
is said by the user, or it is the nearest folder, from the recipe's own upwards, that holds
``imagekit.toml`` or ``.git`` and belongs to the recipe's owner. There is no other: to put a recipe
near another one must not decide what that is built on.
"""

import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, field

from imagekit.documents.place import SourcePlace
from imagekit.documents.report import Report
from imagekit.errors import RecipeError
from imagekit.owners import trusted_owners
from imagekit.recipe.find import below, choose, name_of
from imagekit.recipe.owner import check_owner
from imagekit.recipe.parse import Composed, compose, judge_composed, recipe_file
from imagekit.recipe.recipe import Recipe, RecipeBase

MARKERS = ("imagekit.toml", ".git")
_KEPT_CODES = frozenset(
    f"recipe/{code}" for code in ("unknown-base", "no-tree", "foreign-file", "writable-file")
)
"""Codes of a base's faults that are reported as they are, at the line that names the base."""


Taken = Callable[[Recipe, RecipeBase], bool]
"""Returns whether a base of a recipe is had elsewhere than by building it."""


def _not_taken(recipe: Recipe, need: RecipeBase) -> bool:
    del recipe, need
    return False


class Recipes(Struct):
    """The recipes of one command; each is read once."""

    root: Path | None = None
    """The tree of recipes, if the user says it."""
    _read: dict[Path, tuple[Recipe | None, Report]] = field(default_factory=dict)
    _composed: dict[Path, Composed] = field(default_factory=dict)
    _names: dict[Path, dict[str, list[Path]]] = field(default_factory=dict)
    _roots: dict[Path, Path] = field(default_factory=dict)
    _checked: set[Path] = field(default_factory=set)

    def load(self, path: Path) -> Recipe:
        """Read a recipe and check it whole.

        Args:
            path: the recipe's folder, or the recipe.yaml in it.

        Raises:
            RecipeError: it cannot be read, or cannot be accepted; all faults at once.
        """
        recipe, report = self.judge(path)
        report.check(RecipeError, what="the recipe")
        if recipe is None:
            raise RecipeError(f"{path} cannot be read", code="recipe/invalid")
        return recipe

    def judge(self, path: Path) -> tuple[Recipe | None, Report]:
        """Read a recipe and return all its faults, instead of raising them.

        Raises:
            RecipeError: there is no recipe, or its file cannot be read.
        """
        file = recipe_file(path)
        key = file.parent.resolve() / file.name
        if key not in self._read:
            self._read[key] = judge_composed(self._compose(file, key))
        return self._read[key]

    def with_bases(self, recipe: Recipe, *, taken: Taken = _not_taken) -> tuple[Recipe, ...]:
        """Return the recipe behind all the recipes that it stands on, in the order to build them.

        Args:
            recipe: the recipe.
            taken: says which bases are had elsewhere; they and what they stand on are left out.

        Raises:
            RecipeError: a base is missing, faulty, or stands on the recipe itself.
        """
        done: dict[Path, Recipe] = {}
        self._add(recipe, done, (), taken=taken)
        return tuple(done.values())

    def base(self, recipe: Recipe, need: RecipeBase) -> Recipe:
        """Return a recipe that another one names.

        Raises:
            RecipeError: there is none, or it is faulty.
        """
        return self.load(self._locate(recipe, need))

    def shown(self, recipe: Recipe) -> str:
        """Return the path of a recipe's file below its tree, or below its own folder."""
        file = recipe.file.parent.resolve() / recipe.file.name
        try:
            root = self.tree(recipe)
        except RecipeError:
            root = file.parent.parent
        top = root if file.is_relative_to(root) else file.parent.parent
        return file.relative_to(top).as_posix()

    def tree(self, recipe: Recipe) -> Path:
        """Return the tree that the recipe's bases are looked for in.

        Raises:
            RecipeError: there is none.
        """
        folder = recipe.folder.resolve()
        if folder not in self._roots:
            self._roots[folder] = self.root.resolve() if self.root else declared(folder)
        return self._roots[folder]

    def _add(
        self, recipe: Recipe, done: dict[Path, Recipe], chain: tuple[Recipe, ...], *, taken: Taken
    ) -> None:
        here = recipe.file.resolve()
        if here in done:
            return
        chain = (*chain, recipe)
        for need in (need for need in recipe.recipes_below if not taken(recipe, need)):
            file = self._locate(recipe, need)
            if any(file.resolve() == above.file.resolve() for above in chain):
                circle = " > ".join([*(above.name for above in chain), need.name])
                raise _at(need.place, "base-cycle", f"the recipe stands on itself: {circle}")
            self._add(self.load(file), done, chain, taken=taken)
        done[here] = recipe

    def _locate(self, recipe: Recipe, need: RecipeBase) -> Path:
        try:
            root = self.tree(recipe)
            file = choose(self._known(root), need.name)
            self._check_folders(root, file.parent)
        except RecipeError as error:
            code = error.code.removeprefix("recipe/") if error.code in _KEPT_CODES else "bad-base"
            raise _at(need.place, code, error.message, hint=error.hint) from error
        return file

    def _known(self, root: Path) -> dict[str, list[Path]]:
        """Return the recipes of a tree by their names."""
        if root not in self._names:
            names: dict[str, list[Path]] = {}
            for file in sorted(below(root)):
                names.setdefault(self._name(file), []).append(file)
            self._names[root] = names
        return self._names[root]

    def _name(self, file: Path) -> str:
        recipe, _ = self._read.get(file, (None, None))
        if recipe is not None:
            return recipe.name
        try:
            return name_of(self._compose(file, file).node)
        except RecipeError:
            return ""

    def _compose(self, file: Path, key: Path) -> Composed:
        """Return the YAML of a file, which is read once, for its name or to be judged."""
        if key not in self._composed:
            self._composed[key] = compose(file)
        return self._composed[key]

    def _check_folders(self, root: Path, folder: Path) -> None:
        """Require that no other user can change a folder from the tree's own to the recipe's."""
        for ancestor in (folder, *folder.parents):
            if ancestor not in self._checked:
                check_owner(ancestor, ancestor.stat())
                self._checked.add(ancestor)
            if ancestor == root:
                return


def with_bases(recipe: Recipe) -> tuple[Recipe, ...]:
    """Return the recipe behind all the recipes that it stands on, in the order to build them.

    Raises:
        RecipeError: a base is missing, faulty, or stands on the recipe itself.
    """
    return Recipes().with_bases(recipe)


def declared(folder: Path) -> Path:
    """Return the nearest folder, from this one upwards, that says that it holds recipes.

    Raises:
        RecipeError: there is none.
    """
    owner = folder.stat().st_uid
    for ancestor in (folder, *folder.parents):
        if ancestor.stat().st_uid == owner and any(_marks(ancestor / name) for name in MARKERS):
            return ancestor
    raise RecipeError(
        f"no folder above {folder} says that it holds recipes",
        hint="put an empty imagekit.toml into the folder of your recipes, or give --recipes FOLDER",
        code="recipe/no-tree",
    )


def _marks(path: Path) -> bool:
    """Return whether a marker is there, and the user's or root's."""
    try:
        return os.lstat(path).st_uid in trusted_owners()
    except OSError:
        return False


def _at(place: SourcePlace, code: str, message: str, *, hint: str = "") -> RecipeError:
    """Return an error that points into the recipe."""
    diagnostic = place.diagnostic(f"recipe/{code}", message, hint=hint)
    return RecipeError(message, code=f"recipe/{code}", diagnostics=(diagnostic,))

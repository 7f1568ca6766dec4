"""The locks of some recipes, and of those that they stand on, which come first."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from imagekit.errors import RecipeError
from imagekit.lock.lock import Lock
from imagekit.lock.lock_file import read_lock
from imagekit.process import Runner
from imagekit.recipe.recipe import Recipe
from imagekit.resolve.apt_roots import AptRoots
from imagekit.resolve.lock_recipe import LockOptions, Newer, RecipeLock, lock_recipe, tree_debs


def lock_recipes(
    recipes: Sequence[Recipe], *, newer: Newer, options: LockOptions
) -> Iterator[RecipeLock]:
    """Yield the lock of each recipe behind those of its bases; nothing is written.

    A base that is not asked for keeps its lock where that still holds, and gets one where it has
    none: what is installed on it depends on what it has.

    Args:
        recipes: the recipes.
        newer: which packages of them may be newer.
        options: how it is done.

    Raises:
        DocumentError: a lock that is there is none.
        RecipeError: a package that is to be newer is in no lock.
        ImagekitError: see ``lock_recipe``.
    """
    done: dict[Path, Lock] = {}
    before = {recipe.file: read_lock(recipe.folder) for recipe in _in_order(recipes, options)}
    asked = {recipe.file: _names(before[recipe.file]) for recipe in recipes}
    _check_known(newer.packages, frozenset().union(*asked.values()))
    with AptRoots(Runner(progress=options.progress), options.mirrors) as roots:
        for recipe in _in_order(recipes, options):
            made = lock_recipe(
                recipe,
                before[recipe.file],
                bases=done,
                newer=Newer(
                    everything=newer.everything and recipe.file in asked,
                    packages=newer.packages & asked.get(recipe.file, frozenset()),
                ),
                options=options,
                roots=roots,
            )
            done[recipe.file] = made.after
            yield made


def _in_order(recipes: Sequence[Recipe], options: LockOptions) -> tuple[Recipe, ...]:
    every = (base for recipe in recipes for base in options.recipes.with_bases(recipe))
    return tuple({recipe.file: recipe for recipe in every}.values())


def _names(lock: Lock | None) -> frozenset[str]:
    """Return the names of the Debian packages of a lock."""
    platforms = () if lock is None else lock.platforms.values()
    trees = (tree for platform in platforms for tree in (platform.image, *platform.stages.values()))
    return frozenset(deb.name for tree in trees for deb in tree_debs(tree))


def _check_known(packages: frozenset[str], known: frozenset[str]) -> None:
    unknown = sorted(packages - known)
    if unknown:
        raise RecipeError(
            f"no lock of these recipes has the package {', '.join(unknown)}",
            hint="name it as apt does; what a recipe asks for newly is locked without --update",
            code="lock/unknown-package",
        )

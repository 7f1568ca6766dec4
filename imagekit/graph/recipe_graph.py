"""Recipes and what they stand on, found in folders."""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from imagekit.errors import RecipeError
from imagekit.graph.graph import Graph, graph_of
from imagekit.recipe.find import discover
from imagekit.recipe.parse import FILE_NAME
from imagekit.recipe.recipe import Recipe
from imagekit.recipe.tree import Recipes


class RecipeGraph(Struct, frozen=True, kw_only=True):
    """Recipes by the resolved paths of their files, and what each stands on."""

    recipes: Mapping[Path, Recipe]
    """Those that were asked for, and all that they stand on."""
    whole: Graph[Path]
    """All of them."""
    graph: Graph[Path]
    """Those that were asked for: what is to be done."""

    def only(self, keys: Collection[Path]) -> "RecipeGraph":
        """Return it with less to be done."""
        graph = self.graph.only([key for key in self.graph.needs if key in keys])
        return RecipeGraph(recipes=self.recipes, whole=self.whole, graph=graph)

    def names(self, keys: Iterable[Path]) -> list[str]:
        """Return what recipes are called."""
        return [self.recipes[key].name for key in keys]


def recipe_graph(paths: Iterable[Path], tree: Recipes, *, with_bases: bool = False) -> RecipeGraph:
    """Return the recipes that paths name or hold, each once, and what they stand on.

    A path is a recipe.yaml, a recipe's folder, or a folder of recipes, which may be nested.

    Args:
        paths: what is asked for.
        tree: the recipes of this command.
        with_bases: whether what they stand on is asked for, too.

    Raises:
        RecipeError: a path holds none, one is faulty or stands on itself, or two have one name.
    """
    asked = [tree.load(file) for path in paths for file in _files(path)]
    needs: dict[Path, tuple[Path, ...]] = {}
    recipes: dict[Path, Recipe] = {}
    for recipe in asked:
        for member in tree.with_bases(recipe):
            recipes.setdefault(_key(member), member)
            below = (tree.base(member, need) for need in member.recipes_below)
            needs.setdefault(_key(member), tuple(map(_key, below)))
    # What was asked for stands in the order in which it was.
    keys = dict.fromkeys((*map(_key, asked), *needs))
    whole = graph_of({key: needs[key] for key in keys}, name=lambda key: recipes[key].name)
    chosen = tuple(keys) if with_bases else tuple(dict.fromkeys(map(_key, asked)))
    _refuse_same_names([recipes[key] for key in chosen])
    return RecipeGraph(recipes=recipes, whole=whole, graph=whole.only(chosen))


def _files(path: Path) -> tuple[Path, ...]:
    """Return the recipes of a path; where it is a recipe itself, what lies in it is not asked for.

    Raises:
        RecipeError: there is none.
    """
    return (path,) if os.path.lexists(path / FILE_NAME) else discover([path])


def _key(recipe: Recipe) -> Path:
    return recipe.file.parent.resolve() / recipe.file.name


def _refuse_same_names(recipes: Iterable[Recipe]) -> None:
    """Refuse two that would be written under one name at once: which came last would be chance."""
    known: dict[str, Recipe] = {}
    for recipe in recipes:
        other = known.setdefault(recipe.name, recipe)
        if other is not recipe:
            raise RecipeError(
                f"two recipes are called {recipe.name}: {other.file} and {recipe.file}",
                hint="rename one, or name them in two commands, one after the other",
                code="recipe/same-name",
            )

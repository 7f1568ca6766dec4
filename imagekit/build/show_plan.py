"""What building a recipe would do, and which layers of it the cache has."""

import os
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.bases import BaseImage
from imagekit.build.build import plan_of, systems_of
from imagekit.build.inputs_digest import Inputs, inputs_of
from imagekit.build.job import BuildPlan, UsedLock
from imagekit.build.tools.storage import Folders
from imagekit.build.use_lock import LockWish, used_lock
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.types import NOTHING
from imagekit.recipe.recipe import Recipe
from imagekit.recipe.tree import Recipes


class Planned(Struct, frozen=True, kw_only=True):
    """A plan, and the keys of the layers that a cache has."""

    plan: BuildPlan
    cached: frozenset[str]
    inputs: Inputs
    """All that decides the image."""
    file: str
    """The path of the recipe's file below the tree of recipes."""


def plan(
    recipe: Recipe,
    recipes: Recipes | None = None,
    *,
    mirrors: Mapping[str, str] = NOTHING,
    lock: LockWish = "auto",
) -> tuple[Planned, ...]:
    """Return the plans of a recipe and of those that it builds on, in the order of building.

    The keys of layers on top of a base are only known when the base is: they count as not cached.

    Args:
        recipe: the recipe.
        recipes: where its bases are looked for.
        mirrors: where distributions are got from, by the names of their archives.
        lock: whether a lock is used where there is one.

    Raises:
        RecipeError: a base is missing, the recipe is for another platform, or its lock is stale.
    """
    recipes = recipes or Recipes()
    folders = Folders.of(os.environ)
    plans = []

    def lock_of(each: Recipe) -> UsedLock | None:
        return used_lock(each, host_platform(), wish=lock, recipes=recipes)

    for entry in recipes.with_bases(recipe):
        systems = systems_of(entry, recipes)
        made = plan_of(
            entry,
            BaseImage(),
            env=os.environ,
            systems=systems,
            mirrors=mirrors,
            lock=lock_of(entry),
        )
        cached = frozenset(
            str(layer.key)
            for layer in (*(own for stage in made.stages for own in stage.layers), *made.layers)
            if not entry.recipes_below
            and (folders.cache / "layers" / f"{layer.key.hex}.json").is_file()
        )
        inputs = inputs_of(entry, made.platform, recipes=recipes, lock_of=lock_of)
        plans.append(
            Planned(
                plan=replace(made, recipe=replace(entry, tags=entry.tags.built(inputs.build))),
                cached=cached,
                inputs=inputs,
                file=recipes.shown(entry),
            )
        )
    return tuple(plans)

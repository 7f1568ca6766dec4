"""Which lock a recipe is built from, and whether it may be.

What must hold:

1. A lock that is there is obeyed whole, or the build ends: that it is stale is never passed over.
2. It says everything that is resolved by a package manager, and the image's time. Only what asks a
   mirror needs one: files and images that a digest names are the same at every time.
"""

from typing import Literal

from imagekit.build.compression import compressor
from imagekit.build.job import UsedLock
from imagekit.errors import RecipeError
from imagekit.lock.lock_file import lock_digest, lock_path, read_lock
from imagekit.lock.staleness import staleness
from imagekit.oci.digest import Digest
from imagekit.oci.types import Platform
from imagekit.progress import Note, Progress, silent
from imagekit.recipe.recipe import BootstrapBase, Recipe
from imagekit.recipe.tree import Recipes

LockWish = Literal["auto", "required", "ignored"]
"""Whether a lock is used where there is one, has to be there, or is passed over."""


def used_lock(
    recipe: Recipe,
    platform: Platform,
    *,
    wish: LockWish,
    recipes: Recipes,
    published: bool = False,
    progress: Progress = silent,
) -> UsedLock | None:
    """Return the lock beside a recipe; None where it is built without.

    Args:
        recipe: the recipe.
        platform: what it is built for.
        wish: whether there has to be one.
        recipes: where the recipes are found that it stands on.
        published: whether bases whose images the lock has are those: then another lock of such a
            base changes nothing.
        progress: told where layers will have other digests than those of the lock's writer.

    Raises:
        RecipeError: it is stale, or has to be there and is not.
        DocumentError: it is no lock that this version knows.
    """
    if wish == "ignored":
        return None
    lock = read_lock(recipe.folder)
    if lock is None:
        if wish == "required" and can_move(recipe):
            raise RecipeError(
                f"{lock_path(recipe.folder)} is not there, and only locked recipes are built here",
                hint=f"imagekit lock {recipe.folder}, and commit what it writes; or leave "
                "--locked out, which holds by itself where CI is set (--unlocked, or "
                "IMAGEKIT_LOCKED=false)",
                code="build/no-lock",
            )
        return None
    locked = lock.platforms.get(str(platform))
    taken = locked.published if published and locked is not None else {}
    bases = {
        need.name: _digest(recipes.base(recipe, need))
        for need in recipe.recipes_below
        if need.name not in taken
    }
    moved = staleness(lock, recipe, (platform,), bases=bases)
    if moved:
        raise RecipeError(
            f"{lock_path(recipe.folder)} is stale: {'; '.join(moved)}",
            hint=f"imagekit lock {recipe.folder}; or build with --unlocked what the mirrors have "
            "now",
            code="build/stale-lock",
        )
    ours = " ".join(compressor(recipe.compression))
    if lock.compressor != ours:
        message = f"the lock was written with {lock.compressor}, and this host has {ours}: the "
        message += "content of layers will be the same, and their digests may differ"
        progress(Note(message=message))
    return UsedLock(
        digest=lock_digest(lock),
        source_date=lock.source_date,
        platform=lock.platforms[str(platform)],
    )


def can_move(recipe: Recipe) -> bool:
    """Return whether building a recipe asks a mirror, which may have other packages tomorrow."""
    bases = [recipe.base, *(stage.base for stage in recipe.stages)]
    entries = [*recipe.packages, *(entry for stage in recipe.stages for entry in stage.packages)]
    return any(isinstance(base, BootstrapBase) for base in bases) or any(
        entry.manager == "apt" for entry in entries
    )


def _digest(recipe: Recipe) -> Digest | None:
    lock = read_lock(recipe.folder)
    return None if lock is None else lock_digest(lock)

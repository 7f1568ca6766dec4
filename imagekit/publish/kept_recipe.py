"""Whether a recipe is kept beside its image, so that anybody can build the image again."""

from imagekit.build.build import BuildOptions, lock_of
from imagekit.build.use_lock import can_move
from imagekit.errors import RecipeError
from imagekit.lock.recipe_archive import NOT_KEPT, RecipeArchive, pack_recipe
from imagekit.progress import Note, Progress
from imagekit.recipe.recipe import Recipe


def kept_recipe(
    recipe: Recipe, build: BuildOptions, *, progress: Progress
) -> tuple[RecipeArchive, bytes] | None:
    """Return a recipe as it is kept beside its image; None where it is not to be.

    Where a mirror decides what a recipe builds, the recipe alone says little: all that asks one
    must be locked, also in the recipes that it stands on.

    Args:
        recipe: the recipe.
        build: how it is built.
        progress: told why it cannot be kept.

    Raises:
        RecipeError: a file cannot be read, or a lock is stale.
    """
    chain = build.recipes.with_bases(recipe)
    if any(can_move(each) and lock_of(each, build) is None for each in chain):
        return None
    try:
        return pack_recipe(recipe, build.recipes)
    except RecipeError as error:
        if error.code != NOT_KEPT:
            raise
        progress(Note(message=error.message))
        return None

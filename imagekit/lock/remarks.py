"""What linting a recipe says of its lock."""

from collections.abc import Mapping

from imagekit.errors import Diagnostic, InputError
from imagekit.lock.lock_file import lock_digest, lock_path, read_lock
from imagekit.lock.staleness import staleness
from imagekit.oci.digest import Digest
from imagekit.recipe.recipe import Recipe
from imagekit.recipe.tree import Recipes


def lock_remarks(recipe: Recipe, recipes: Recipes) -> tuple[Diagnostic, ...]:
    """Return what is wrong with the lock of a recipe; nothing where it has none.

    Args:
        recipe: the recipe.
        recipes: where its bases are found.
    """
    file = str(lock_path(recipe.folder))
    try:
        lock = read_lock(recipe.folder)
        if lock is None:
            return ()
        moved = staleness(lock, recipe, bases=base_locks(recipe, recipes))
    except InputError as error:
        # The faults of a base are reported where that is linted.
        return (
            Diagnostic(
                code=error.code or "lock/invalid", message=error.message, file=file, hint=error.hint
            ),
        )
    return tuple(
        Diagnostic(
            code="lock/stale",
            message=f"the lock is stale: {text}",
            file=file,
            hint=f"imagekit lock {recipe.folder}",
            severity="warning",
        )
        for text in moved
    )


def base_locks(recipe: Recipe, recipes: Recipes) -> Mapping[str, Digest | None]:
    """Return the digests of the locks that the recipes below a recipe have, by their names.

    Raises:
        InputError: a base, or its lock, is missing or faulty.
    """
    found = {need.name: recipes.base(recipe, need) for need in recipe.recipes_below}
    locks = {name: read_lock(base.folder) for name, base in found.items()}
    return {name: None if lock is None else lock_digest(lock) for name, lock in locks.items()}

"""What recipes build on, as commands tell it before they build: it will be signed."""

from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.recipe.recipe import Recipe

if TYPE_CHECKING:
    from imagekit.recipe import Recipes


def bases_of(recipe: Recipe, recipes: "Recipes") -> list[dict[str, str]]:
    """Return the recipes that a recipe builds on, each with its file and its digest.

    Raises:
        RecipeError: one is missing or faulty.
    """
    return [
        {
            "name": base.name,
            "version": base.version,
            "recipe": recipes.shown(base),
            "recipe_digest": str(base.digest),
        }
        for base in recipes.with_bases(recipe)[:-1]
    ]


def tell_bases(bases: list[dict[str, str]], console: Console) -> None:
    """Print which files the bases are made of, before they are built and signed."""
    for base in bases:
        console.note(f"  on {base['name']} {base['version']}: {base['recipe']}")
        console.note(f"     {base['recipe_digest']}")

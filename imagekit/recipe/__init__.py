"""Recipes: reading and judging them, ``imagekit lint``."""

from imagekit.model.recipe import is_excluded
from imagekit.recipe.find import discover, find_by_name, with_bases
from imagekit.recipe.parse import load

__all__ = ["discover", "find_by_name", "is_excluded", "load", "with_bases"]

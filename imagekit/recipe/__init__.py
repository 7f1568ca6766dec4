"""Recipes: reading and judging them, ``imagekit lint``."""

from imagekit.recipe.find import discover
from imagekit.recipe.parse import load
from imagekit.recipe.recipe import is_excluded
from imagekit.recipe.tree import Recipes, with_bases

__all__ = ["Recipes", "discover", "is_excluded", "load", "with_bases"]

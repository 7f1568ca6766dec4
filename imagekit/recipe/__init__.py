"""Recipes: reading and judging them, ``imagekit lint``."""

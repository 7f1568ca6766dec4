"""Whose files a recipe may be made of: the user's own and root's, and nobody else may write them.

A base is built with the user's rights and signed with the user's key. With a file that another user
can change until then, that user decides what is signed.
"""

import os
from pathlib import Path

from imagekit.errors import RecipeError
from imagekit.owners import other_writer


def check_owner(path: Path, status: os.stat_result) -> None:
    """Require a file or folder of a recipe to be the user's or root's, and writable by no other.

    A link is judged by its owner alone: its mode means nothing.

    Raises:
        RecipeError: it belongs to somebody else, or somebody else may write it.
    """
    other = other_writer(path, status)
    if other is not None:
        raise RecipeError(
            other.message,
            hint=other.remedy or "copy the recipe to a folder of your own, when you have read it",
            code="recipe/writable-file" if other.remedy else "recipe/foreign-file",
        )

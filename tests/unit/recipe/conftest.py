"""Recipes in a folder of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

MakeRecipe = Callable[..., Path]

HEAD = "schema: 1\nname: x\nversion: '1.2.3'\n"


@pytest.fixture
def make_recipe(tmp_path: Path) -> MakeRecipe:
    """Write a recipe: the text behind a good head and base, in a folder of its own."""

    def make(
        text: str = "", *, head: str = HEAD, base: str = "base: scratch\n", at: str = "r"
    ) -> Path:
        folder = tmp_path / "recipes" / at
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / "recipes" / "imagekit.toml").touch()
        (folder / "recipe.yaml").write_text(head + base + text, encoding="utf-8")
        return folder

    return make

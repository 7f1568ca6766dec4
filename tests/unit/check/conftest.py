"""Recipes with tests, and an image that stands for what is built of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.build.image import BuiltImage
from imagekit.recipe.recipe import Recipe
from tests.support.built import built_recipe

Tested = Callable[[str], tuple[Recipe, BuiltImage]]


@pytest.fixture
def tested(tmp_path: Path) -> Tested:
    """Make a recipe with these tests."""

    def make(tests: str) -> tuple[Recipe, BuiltImage]:
        return built_recipe(tmp_path, "1.0", more=f"tests:\n{tests}")

    return make

"""A workshop and a recipe for every test of the build."""

from pathlib import Path

import pytest

from imagekit.recipe.recipe import Recipe
from tests.support.folder_container import FakeWorkshop, small_recipe


@pytest.fixture
def workshop(tmp_path: Path) -> FakeWorkshop:
    """A workshop with an empty container."""
    return FakeWorkshop(tmp_path / "workshop")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """A recipe on Debian that does nothing yet."""
    return small_recipe(tmp_path)

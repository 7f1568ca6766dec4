"""Recipes in folders: which are asked for, and what they stand on."""

from pathlib import Path

import pytest

from imagekit.errors import RecipeError
from imagekit.graph.recipe_graph import RecipeGraph, recipe_graph
from imagekit.recipe.tree import Recipes

RECIPE = 'schema: 1\nname: {name}\nversion: "1"\nbase: {base}\n'


def write(root: Path, name: str, base: str = "", *, folder: str = "") -> Path:
    """Write a recipe, on another one where it is named; return its folder."""
    place = root / (folder or name)
    place.mkdir(parents=True)
    below = f"{{recipe: {base}}}" if base else "scratch"
    (place / "recipe.yaml").write_text(RECIPE.format(name=name, base=below))
    return place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree: two on a middle one on a base, and one that stands alone."""
    root = tmp_path / "recipes"
    root.mkdir()
    (root / "imagekit.toml").touch()
    write(root, "app/one", "middle")
    write(root, "app/two", "middle")
    write(root, "base")
    write(root, "lone")
    write(root, "middle", "base")
    return root


def _needs(recipes: RecipeGraph) -> dict[str, list[str]]:
    return {
        recipes.recipes[key].name: recipes.names(below)
        for key, below in recipes.graph.needs.items()
    }


def test_a_folder_holds_all_its_recipes(root: Path) -> None:
    """In the order of their paths, each with what it stands on."""
    recipes = recipe_graph([root], Recipes())

    assert _needs(recipes) == {
        "app/one": ["middle"],
        "app/two": ["middle"],
        "base": [],
        "lone": [],
        "middle": ["base"],
    }
    assert [recipes.names(level) for level in recipes.graph.levels()] == [
        ["base", "lone"],
        ["middle"],
        ["app/one", "app/two"],
    ]


def test_bases_are_done_where_they_are_asked_for(root: Path) -> None:
    """Without that they are known, and nothing is done with them."""
    asked = [root / "app/one", root / "base"]

    assert _needs(recipe_graph(asked, Recipes())) == {"app/one": ["base"], "base": []}
    assert _needs(recipe_graph(asked, Recipes(), with_bases=True)) == {
        "app/one": ["middle"],
        "base": [],
        "middle": ["base"],
    }


def test_a_recipe_is_done_once(root: Path) -> None:
    """However often and under whatever path it is named."""
    (root.parent / "link").symlink_to(root / "base")
    paths = [root / "base", root / "base/recipe.yaml", root.parent / "link", root]

    assert sorted(_needs(recipe_graph(paths, Recipes()))) == [
        "app/one",
        "app/two",
        "base",
        "lone",
        "middle",
    ]


def test_what_lies_in_a_recipe_is_not_asked_for_with_it(root: Path) -> None:
    """As for one that is named alone."""
    write(root, "inner", folder="lone/tests/inner")

    assert list(_needs(recipe_graph([root / "lone"], Recipes()))) == ["lone"]


def test_a_circle_is_refused_with_its_path(root: Path) -> None:
    """Before anything is built."""
    (root / "base/recipe.yaml").write_text(RECIPE.format(name="base", base="{recipe: app/one}"))

    with pytest.raises(RecipeError, match="app/one > middle > base > app/one") as caught:
        recipe_graph([root], Recipes())

    assert caught.value.code == "recipe/base-cycle"


def test_two_of_one_name_are_refused(root: Path) -> None:
    """Which of them its tags would lead to in the end would be chance."""
    write(root, "lone", folder="other")

    with pytest.raises(RecipeError, match="two recipes are called lone") as caught:
        recipe_graph([root], Recipes())

    assert caught.value.code == "recipe/same-name"
    assert list(_needs(recipe_graph([root / "other"], Recipes()))) == ["lone"]


def test_a_folder_without_recipes_is_refused(tmp_path: Path) -> None:
    """It never counts as nothing to do."""
    with pytest.raises(RecipeError, match="holds no recipe"):
        recipe_graph([tmp_path], Recipes())

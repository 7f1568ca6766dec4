"""Trees of recipes: where bases are looked for, and how often each recipe is read."""

from pathlib import Path
from typing import Any

import pytest

from imagekit.recipe import Recipes, load, tree
from imagekit.recipe.lint import lint
from imagekit.recipe.parse import Composed, compose


def recipe(make_recipe: Any, name: str, base: str = "scratch") -> Path:
    """Write a recipe with a name and a base."""
    head = f"schema: 1\nname: {name}\nversion: '1'\n"
    made: Path = make_recipe(head=head, base=f"base: {base}\n", at=name)
    return made


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose YAML is read, as often as it is."""
    read: list[Path] = []

    def noted(file: Path) -> Composed:
        read.append(file.resolve())
        return compose(file)

    monkeypatch.setattr(tree, "compose", noted)
    return read


def test_each_recipe_is_read_once(make_recipe: Any, composed: list[Path]) -> None:
    """Linting many recipes on one base costs as many readings as there are recipes."""
    base = recipe(make_recipe, "base")
    for number in range(9):
        recipe(make_recipe, f"app{number}", "{recipe: base}")

    found = lint([base.parent])

    assert found.errors == 0
    assert len(composed) == len(set(composed)) == 10


def test_a_chain_is_read_once(make_recipe: Any, composed: list[Path]) -> None:
    """Its bases are looked for by their names, and then judged: of one reading."""
    top = recipe(make_recipe, "app0")
    for number in range(1, 10):
        top = recipe(make_recipe, f"app{number}", f"{{recipe: app{number - 1}}}")
    recipes = Recipes()

    found = recipes.with_bases(recipes.load(top))

    assert len(found) == 10
    assert len(composed) == len(set(composed)) == 10


def test_the_tree_can_be_said(make_recipe: Any, tmp_path: Path) -> None:
    """``--recipes`` goes before every marker."""
    folder = recipe(make_recipe, "app", "{recipe: other}")
    other = tmp_path / "elsewhere/other"
    other.mkdir(parents=True)
    (other / "recipe.yaml").write_text("schema: 1\nname: other\nversion: '1'\nbase: scratch\n")
    recipes = Recipes(tmp_path / "elsewhere")

    found = recipes.with_bases(load(folder))

    assert [entry.name for entry in found] == ["other", "app"]
    assert recipes.shown(found[0]) == "other/recipe.yaml"
    assert recipes.shown(found[1]) == "app/recipe.yaml"


def test_the_nearest_marker_is_the_tree(make_recipe: Any, tmp_path: Path) -> None:
    """A repository above a folder with imagekit.toml is not looked at."""
    (tmp_path / ".git").mkdir()
    folder = recipe(make_recipe, "app")

    assert Recipes().tree(load(folder)) == tmp_path / "recipes"


def test_a_recipe_without_bases_needs_no_tree(tmp_path: Path) -> None:
    """Who names no other recipe does not have to say where recipes lie."""
    (tmp_path / "recipe.yaml").write_text("schema: 1\nname: a\nversion: '1'\nbase: scratch\n")
    found = load(tmp_path)

    assert Recipes().with_bases(found) == (found,)
    assert Recipes().shown(found) == f"{tmp_path.name}/recipe.yaml"

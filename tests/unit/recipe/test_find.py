"""Finding recipes, and the recipes that they stand on."""

from pathlib import Path
from typing import Any

import pytest

from imagekit.errors import RecipeError
from imagekit.recipe import discover, find, load, with_bases
from imagekit.recipe.parse import compose


def recipe(make_recipe: Any, name: str, base: str = "scratch", at: str = "") -> Path:
    """Write a recipe with a name and a base."""
    made: Path = make_recipe(
        head=f"schema: 1\nname: {name}\nversion: '1'\n", base=f"base: {base}\n", at=at or name
    )
    return made


def test_refuses_a_circle(make_recipe: Any) -> None:
    """A recipe that stands on itself is shown the whole circle, at the place of its base."""
    recipe(make_recipe, "a", "{recipe: b}")
    recipe(make_recipe, "b", "{recipe: c}")
    folder = recipe(make_recipe, "c", "{recipe: a}")

    with pytest.raises(RecipeError) as caught:
        with_bases(load(folder))

    (fault,) = caught.value.diagnostics
    assert (fault.code, fault.line) == ("recipe/base-cycle", 4)
    assert "c > a > b > c" in fault.message


def test_refuses_an_unknown_base(make_recipe: Any) -> None:
    """A name that no recipe has gets the closest one that there is."""
    recipe(make_recipe, "base/debian")
    folder = recipe(make_recipe, "x", "{recipe: base/debain}")

    with pytest.raises(RecipeError) as caught:
        with_bases(load(folder))

    (fault,) = caught.value.diagnostics
    assert (fault.code, fault.hint) == ("recipe/unknown-base", "did you mean `base/debian`?")
    assert fault.source == "base: {recipe: base/debain}"


def test_refuses_two_of_a_name(make_recipe: Any) -> None:
    """Which of two recipes is meant is never guessed."""
    recipe(make_recipe, "a", at="one")
    recipe(make_recipe, "a", at="two")
    folder = recipe(make_recipe, "x", "{recipe: a}")

    with pytest.raises(RecipeError) as caught:
        with_bases(load(folder))

    assert caught.value.diagnostics[0].message.startswith("two recipes are called a: ")


def test_does_not_leave_the_tree(make_recipe: Any, tmp_path: Path) -> None:
    """A recipe above the folder ``recipes`` is not of the tree."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "recipe.yaml").write_text(
        "schema: 1\nname: outside\nversion: '1'\nbase: scratch\n", encoding="utf-8"
    )
    folder = recipe(make_recipe, "x", "{recipe: outside}")

    with pytest.raises(RecipeError, match="no recipe called outside"):
        with_bases(load(folder))


def test_bases_come_first_each_once(make_recipe: Any) -> None:
    """The order is the one to build in, also for names of a Containerfile."""
    recipe(make_recipe, "base")
    recipe(make_recipe, "a", "{recipe: base}", at="deep/er/a")
    folder = make_recipe("containerfile: C\n", base="", at="x")
    (folder / "C").write_text(
        "FROM localhost/a AS first\nFROM localhost/base\nCOPY --from=first /x /x\n",
        encoding="utf-8",
    )

    assert [found.name for found in with_bases(load(folder))] == ["base", "a", "x"]


def test_discovers_nested_recipes(make_recipe: Any, tmp_path: Path) -> None:
    """Folders of recipes may be nested; links and version control are not entered."""
    recipe(make_recipe, "a")
    recipe(make_recipe, "b", at="a/b")
    recipe(make_recipe, "c", at=".git/c")
    root = tmp_path / "recipes"
    (root / "loop").symlink_to(root)

    found = discover([root, root / "a" / "recipe.yaml"])

    assert [str(file.relative_to(root)) for file in found] == ["a/b/recipe.yaml", "a/recipe.yaml"]
    assert find.name_of(compose(found[0]).node) == "b"


def test_refuses_a_folder_without_recipes(tmp_path: Path) -> None:
    """Finding nothing is an error: a typo must not look like success."""
    with pytest.raises(RecipeError, match="holds no recipe"):
        discover([tmp_path])


def test_bounds_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of very many folders is not looked through."""
    monkeypatch.setattr(find, "MAX_FOLDERS", 1)
    (tmp_path / "a").mkdir()

    with pytest.raises(RecipeError, match="more than 1 folders"):
        discover([tmp_path])

"""What linting a recipe says of its lock."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.lock.asked import asked_image
from imagekit.lock.lock import Lock
from imagekit.lock.lock_file import lock_bytes, lock_digest
from imagekit.lock.remarks import base_locks, lock_remarks
from imagekit.recipe.lint import lint
from imagekit.recipe.recipe import Recipe
from imagekit.recipe.tree import Recipes
from tests.support.locks import lock_of, of_tree

_HEAD = "schema: 1\nname: {name}\nversion: '1'\n"
_TEST = "tests: [{run: 'true'}]\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A recipe on another one."""
    (tmp_path / "imagekit.toml").touch()
    for name, base in {"base": "scratch", "child": "{recipe: base}"}.items():
        (tmp_path / name).mkdir()
        text = f"{_HEAD.format(name=name)}base: {base}\n{_TEST}"
        (tmp_path / name / "recipe.yaml").write_text(text)
    return tmp_path


def _lock(recipe: Recipe, below: Lock | None = None) -> Lock:
    digest = None if below is None else lock_digest(below)
    image = replace(asked_image(recipe), lock=digest)
    return replace(of_tree(image), recipe=recipe.name)


def test_a_recipe_without_a_lock_needs_none(tree: Path) -> None:
    """It is a choice."""
    recipes = Recipes()

    assert lock_remarks(recipes.load(tree / "child"), recipes) == ()
    assert base_locks(recipes.load(tree / "child"), recipes) == {"base": None}


def test_a_stale_lock_is_a_warning_that_says_what_moved(tree: Path) -> None:
    """Also where only the lock of the base moved; linting ends well all the same."""
    recipes = Recipes()
    base, child = recipes.load(tree / "base"), recipes.load(tree / "child")
    (tree / "base/recipe.lock").write_bytes(lock_bytes(_lock(base)))
    (tree / "child/recipe.lock").write_bytes(lock_bytes(_lock(child, _lock(base))))
    assert lint([tree], remarks=lock_remarks).diagnostics == ()
    (tree / "base/recipe.lock").write_bytes(lock_bytes(replace(_lock(base), layers=7)))

    linted = lint([tree], remarks=lock_remarks)
    (warning,) = linted.diagnostics
    assert (linted.errors, warning.code) == (0, "lock/stale")
    assert "the recipe base, which this one stands on" in warning.message
    assert warning.file.endswith("child/recipe.lock")


def test_a_lock_that_is_none_is_an_error(tree: Path) -> None:
    """A build would refuse it."""
    (tree / "child/recipe.lock").write_text("{}")
    recipes = Recipes()

    (error,) = lock_remarks(recipes.load(tree / "child"), recipes)
    assert (error.code, error.severity) == ("lock/invalid", "error")
    assert lint([tree / "child"], remarks=lock_remarks).errors == 1


def test_the_lock_of_another_recipe_is_stale(tree: Path) -> None:
    """It was copied along with a folder."""
    (tree / "base/recipe.lock").write_bytes(lock_bytes(lock_of()))

    found = lint([tree / "base"], remarks=lock_remarks).diagnostics
    assert any("is that of the recipe hello" in each.message for each in found)

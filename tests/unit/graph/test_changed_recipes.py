"""Which recipes changed: their files, what they stand on, and what they share."""

import os
from pathlib import Path

import pytest

from imagekit.errors import RecipeError
from imagekit.graph.changed_recipes import changed_since
from imagekit.graph.recipe_graph import recipe_graph
from imagekit.recipe.tree import Recipes
from tests.support.repositories import commit, git

RECIPE = 'schema: 1\nname: {name}\nversion: "1"\nbase: {base}\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with two recipes on a base and one alone, and a revision ``first``."""
    root = tmp_path / "repository"
    for name, base in (("one", "base"), ("two", "base"), ("base", ""), ("lone", "")):
        (root / "recipes" / name).mkdir(parents=True)
        below = f"{{recipe: {base}}}" if base else "scratch"
        text = RECIPE.format(name=name, base=below)
        (root / "recipes" / name / "recipe.yaml").write_text(text)
    git(root, "init", "-q")
    commit(root, "README", 1_600_000_000)
    git(root, "tag", "first")
    return root


def changed(root: Path, revision: str = "first") -> dict[str, str]:
    """Return the names of changed recipes, and why they are."""
    recipes = recipe_graph([root / "recipes"], Recipes())
    why = changed_since(recipes, revision, {os.geteuid()})
    return {recipes.recipes[key].name: reason for key, reason in why.items()}


def test_files_outside_of_recipes_change_none(root: Path) -> None:
    """Neither a README nor a workflow is part of an image."""
    commit(root, "README", 1_700_000_000)
    commit(root, "recipes/README", 1_700_000_000)

    assert changed(root) == {}


def test_a_file_changes_its_recipe(root: Path) -> None:
    """And no other one; the reason names it."""
    commit(root, "recipes/lone/deep/file", 1_700_000_000)

    assert changed(root) == {"lone": "recipes/lone/deep/file differs"}


def test_a_lock_changes_its_recipe(root: Path) -> None:
    """It lies beside it."""
    commit(root, "recipes/one/recipe.lock", 1_700_000_000)

    assert list(changed(root)) == ["one"]


def test_a_base_changes_what_stands_on_it(root: Path) -> None:
    """The reason names the base."""
    commit(root, "recipes/base/file", 1_700_000_000)

    assert changed(root) == {
        "base": "recipes/base/file differs",
        "one": "it stands on base",
        "two": "it stands on base",
    }


def test_a_base_that_is_not_asked_for_counts(root: Path) -> None:
    """It is built for what stands on it."""
    commit(root, "recipes/base/file", 1_700_000_000)
    recipes = recipe_graph([root / "recipes/one"], Recipes())

    why = changed_since(recipes, "first", {os.geteuid()})

    assert recipes.only(why).names(recipes.only(why).graph.needs) == ["one"]


@pytest.mark.parametrize("name", ["imagekit.toml", ".gitattributes", ".gitmodules"])
def test_what_recipes_share_changes_those_below_it(root: Path, name: str) -> None:
    """At the top all of them, in a recipe's folder that one."""
    commit(root, f"recipes/lone/{name}", 1_700_000_000)
    assert list(changed(root)) == ["lone"]

    commit(root, name, 1_700_000_000)
    assert set(changed(root)) == {"one", "two", "base", "lone"}


def test_what_a_link_leads_to_changes_the_recipe(root: Path) -> None:
    """Whether it can be copied or not: that is for whoever copies."""
    commit(root, "shared/file", 1_600_000_000)
    (root / "recipes/lone/link").symlink_to("../../shared")
    commit(root, "README", 1_600_000_000)
    git(root, "tag", "-f", "first")
    assert changed(root) == {}

    commit(root, "shared/file", 1_700_000_000)

    assert changed(root) == {"lone": "shared/file differs"}


def test_a_recipe_behind_a_link_changes_with_the_link(root: Path) -> None:
    """That leads to another folder now."""
    (root / "recipes/lone").rename(root / "kept")
    (root / "recipes/lone").symlink_to("../kept")
    commit(root, "README", 1_600_000_000)
    git(root, "tag", "-f", "first")
    (root / "recipes/lone").unlink()
    (root / "recipes/lone").symlink_to("../kept/.")

    recipes = recipe_graph([root / "recipes/lone"], Recipes())

    assert list(changed_since(recipes, "first", {os.geteuid()}).values()) == [
        "recipes/lone differs"
    ]


def test_what_takes_no_part_in_a_recipe_changes_none(root: Path) -> None:
    """What an editor left is in no digest."""
    (root / "recipes/lone/file~").touch()

    assert changed(root) == {}


def test_a_submodule_changes_whatever_holds_it_or_lies_in_it(root: Path) -> None:
    """And recipes beside it not."""
    other = root.parent / "other"
    other.mkdir()
    git(other, "init", "-q")
    commit(other, "file", 1_700_000_000)
    git(root, "submodule", "add", "-q", f"file://{other}", "recipes/lone/module")
    git(root, "commit", "-qm", "module")
    git(root, "tag", "-f", "first")

    assert list(changed(root)) == ["lone"]


def test_a_recipe_of_another_repository_is_asked_for_there(root: Path) -> None:
    """Which has no such revision: that is an error and no change."""
    git(root / "recipes/lone", "init", "-q")

    with pytest.raises(RecipeError, match="has no revision 'first'"):
        changed(root)


def test_a_shallow_clone_changes_all(root: Path) -> None:
    """Where it does not have the revision."""
    commit(root, "README", 1_700_000_000)
    clone = root.parent / "clone"
    git(root, "clone", "-q", "--depth", "1", f"file://{root}", str(clone))

    assert set(changed(clone, "HEAD~1")) == {"one", "two", "base", "lone"}
    assert changed(clone, "HEAD") == {}

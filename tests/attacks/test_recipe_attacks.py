"""Attacks by recipes: a stranger's base of the right name, or a file that a stranger may write."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit import owners
from imagekit.errors import RecipeError
from imagekit.recipe import Recipes, load

STRANGER = 12345


@pytest.fixture
def give_away(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return a function that gives a file to a stranger, or makes strangers of all of us."""

    def give(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, STRANGER, -1, follow_symlinks=False)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: STRANGER)

    return give


def write(folder: Path, name: str, *, base: str = "scratch") -> Path:
    """Write a recipe."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(
        f"schema: 1\nname: {name}\nversion: '1'\nbase: {base}\n", encoding="utf-8"
    )
    return folder


def refused(folder: Path, root: Path | None = None) -> str:
    """Return the code that a recipe with its bases is refused with."""
    with pytest.raises(RecipeError) as caught:
        Recipes(root).with_bases(load(folder))
    return caught.value.diagnostics[0].code if caught.value.diagnostics else caught.value.code


def test_a_recipe_beside_is_no_base(tmp_path: Path) -> None:
    """Where nobody says that a folder holds recipes, none is looked for in it."""
    write(tmp_path / "downloads/evil", "base/debian")
    folder = write(tmp_path / "downloads/app", "app", base="{recipe: base/debian}")

    assert refused(folder) == "recipe/no-tree"


def test_a_recipe_outside_of_the_repository_is_no_base(tmp_path: Path) -> None:
    """The nearest repository is the tree, also where the recipe's own folder is it."""
    write(tmp_path / "src/evil", "base/debian")
    (tmp_path / ".git").mkdir()
    folder = write(tmp_path / "src/app", "app", base="{recipe: base/debian}")
    (folder / ".git").mkdir()

    assert refused(folder) == "recipe/unknown-base"


def test_a_strangers_marker_declares_nothing(
    tmp_path: Path, give_away: Callable[[Path], None]
) -> None:
    """Whoever may put a file into a folder above does not choose the tree."""
    write(tmp_path / "evil", "base/debian")
    folder = write(tmp_path / "app", "app", base="{recipe: base/debian}")
    recipe = load(folder)
    (tmp_path / "imagekit.toml").touch()
    give_away(tmp_path / "imagekit.toml")

    with pytest.raises(RecipeError, match="no folder above"):
        Recipes().with_bases(recipe)


@pytest.mark.parametrize("part", ["recipe.yaml", "run.sh", "link", "."])
def test_a_strangers_base_is_refused(
    tmp_path: Path, give_away: Callable[[Path], None], part: str
) -> None:
    """Each file of a base is the user's or root's, links too."""
    (tmp_path / "imagekit.toml").touch()
    base = write(tmp_path / "base", "base/debian")
    (base / "run.sh").touch()
    (base / "link").symlink_to("run.sh")
    folder = write(tmp_path / "app", "app", base="{recipe: base/debian}")
    recipe, tree = load(folder), Recipes(tmp_path)
    give_away(base / part)

    with pytest.raises(RecipeError) as caught:
        tree.with_bases(recipe)

    assert "recipe/foreign-file" in {d.code for d in caught.value.diagnostics}


@pytest.mark.parametrize("part", ["base/recipe.yaml", "base/run.sh", "base", ".", "base/sub"])
def test_what_everybody_may_write_is_refused(tmp_path: Path, part: str) -> None:
    """Files, folders, and the folders between the tree's and the base's."""
    (tmp_path / "tree").mkdir()
    tree = tmp_path / "tree"
    base = write(tree / "base", "base/debian")
    (base / "run.sh").touch()
    (base / "sub").mkdir()
    folder = write(tree / "app", "app", base="{recipe: base/debian}")
    (tree / part).chmod(0o777)

    assert refused(folder, tree) == "recipe/writable-file"


def test_a_shared_group_may_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own group may, as with umask 002 on most distributions; another may not."""
    folder = write(tmp_path / "app", "app")
    (folder / "recipe.yaml").chmod(0o664)

    monkeypatch.setattr(owners, "_is_private", lambda group, user: (group, user) is not None)
    load(folder)
    monkeypatch.setattr(owners, "_is_private", lambda group, user: (group, user) is None)

    assert refused(folder) == "recipe/writable-file"


def test_a_private_group_has_the_users_name_and_no_members() -> None:
    """A group that all users have is not private, though nobody is listed in it."""
    assert owners._is_private(0, 0)
    assert not owners._is_private(4, 0)
    assert not owners._is_private(STRANGER, STRANGER)

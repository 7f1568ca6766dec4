"""Attack 49: a base that nobody chose, by the command line: a stranger's, or one that is hidden."""

import os
from pathlib import Path

import pytest

from tests.support.command import imagekit, recipe

EVIL = "evil.example/x:1"
DIGEST = "sha256:" + "ab" * 32
STRANGER = 12345


@pytest.mark.parametrize("command", ["lint", "plan"])
def test_a_strangers_recipe_high_above_is_no_base(tmp_path: Path, command: str) -> None:
    """Nobody said that the folder five levels up holds recipes, and a stranger owns this one."""
    evil = recipe(tmp_path / "evil", "base/debian", "base: scratch\n")
    if os.geteuid() == 0:
        for path in (evil, evil / "recipe.yaml"):
            os.chown(path, STRANGER, STRANGER)
    app = recipe(tmp_path / "home/user/src/site/app", "app", "base: {recipe: base/debian}\n")

    said = imagekit(tmp_path, command, str(app))

    assert said.returncode == 2, said.stdout
    assert "recipe/no-tree" in said.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_strangers_recipe_in_the_tree_is_no_base(tmp_path: Path) -> None:
    """Neither where the tree is declared."""
    (tmp_path / "imagekit.toml").touch()
    evil = recipe(tmp_path / "evil", "base/debian", "base: scratch\n")
    os.chown(evil / "recipe.yaml", STRANGER, STRANGER)
    app = recipe(tmp_path / "app", "app", "base: {recipe: base/debian}\n")

    said = imagekit(tmp_path, "plan", str(app))

    assert said.returncode == 2, said.stdout
    assert str(evil) in said.stderr


@pytest.mark.parametrize(
    "text",
    [
        f"FROM scratch\nCMD a \\\u2003\nFROM {EVIL}\n",
        f"FROM scratch\nCMD a \\\u00a0\nFROM {EVIL}\n",
        f"\ufeff# escape=`\nFROM scratch\nCMD a \\\nFROM {EVIL}\n",
    ],
    ids=["em space", "no-break space", "escape behind a byte order mark"],
)
def test_a_hidden_from_is_found(tmp_path: Path, text: str) -> None:
    """Buildah builds on the second image; lint has to see it."""
    folder = recipe(tmp_path / "app", "app", "containerfile: Containerfile\n")
    (folder / "Containerfile").write_text(text, encoding="utf-8")

    assert imagekit(tmp_path, "lint", str(folder)).returncode == 2


@pytest.mark.parametrize(
    "text",
    [
        f"ARG REG=r.example\nARG BASE=${{REG}}/b@{DIGEST}\nFROM ${{BASE}}\n",
        f"ARG REG=r.example IMG=b@{DIGEST}\nFROM ${{REG}}/${{IMG}}\n",
        f"ARG BASE\nFROM ${{BASE:-r.example/b@{DIGEST}}}\n",
        f"\ufeffFROM r.example/b@{DIGEST}\n",
        f"# escape=`\nFROM `\n  r.example/b@{DIGEST}\n",
    ],
    ids=["nested", "several", "default", "byte order mark", "backtick"],
)
def test_a_pinned_from_is_not_refused(tmp_path: Path, text: str) -> None:
    """Who is refused for what is right takes the pin out."""
    folder = recipe(tmp_path / "app", "app", "containerfile: Containerfile\n")
    (folder / "Containerfile").write_text(text, encoding="utf-8")

    said = imagekit(tmp_path, "lint", str(folder))

    assert said.returncode == 0, said.stderr


def test_a_containerfile_for_a_preprocessor_is_refused(tmp_path: Path) -> None:
    """Buildah gives ``NAME.in`` to cpp, for which a comment is a directive."""
    folder = recipe(tmp_path / "app", "app", "containerfile: Containerfile.in\n")
    text = f"#define scratch {EVIL}\nFROM scratch\nCMD a\n"
    (folder / "Containerfile.in").write_text(text, encoding="utf-8")

    said = imagekit(tmp_path, "lint", str(folder))

    assert said.returncode == 2, said.stdout
    assert "recipe/preprocessed" in said.stderr

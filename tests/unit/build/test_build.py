"""The time of an image."""

import os
import subprocess
from pathlib import Path

import pytest

from imagekit.build.bases import BaseImage
from imagekit.build.build import LONG_AGO, plan_of
from imagekit.errors import RecipeError
from imagekit.recipe import load


def recipe(folder: Path, text: str = "") -> Path:
    """Write a recipe."""
    (folder / "recipe.yaml").write_text(f"schema: 1\nname: x\nversion: '1'\nbase: scratch\n{text}")
    return folder


def epoch(folder: Path, **env: str) -> int:
    """Return the time of the recipe's image."""
    return plan_of(load(folder), BaseImage(), env=env).epoch


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1.0",
        "1e9",
        " 1",
        "1 ",
        "1\n",
        "1_0",
        "0x1",
        "now",
        "²",
        "٣",
        "9" * 12,
        "9" * 99,
    ],
)
def test_what_is_no_number_of_seconds_is_an_error(tmp_path: Path, text: str) -> None:
    """Of SOURCE_DATE_EPOCH nothing is guessed, and no fault of imagekit comes of it."""
    with pytest.raises(RecipeError, match="no plain number of seconds"):
        epoch(recipe(tmp_path), SOURCE_DATE_EPOCH=text)


def test_who_says_the_time(tmp_path: Path) -> None:
    """The user, else the recipe, else the last commit, else 1980."""
    assert epoch(recipe(tmp_path)) == LONG_AGO
    date = {
        f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    env = {**os.environ, **date, "GIT_COMMITTER_DATE": "@1700000000 +0000"}
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run(["git", "-C", tmp_path, *words], env=env, check=True)
    assert epoch(tmp_path) == 1_700_000_000
    assert epoch(recipe(tmp_path, "date: 2020-01-01\n")) == 1_577_836_800
    assert epoch(tmp_path, SOURCE_DATE_EPOCH="0") == 0
    assert epoch(tmp_path, SOURCE_DATE_EPOCH="253402300799") == 253402300799

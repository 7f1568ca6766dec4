"""The plan of an image: its time, and where its packages come from."""

import os
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.bases import BaseImage
from imagekit.build.build import LONG_AGO, plan_of, systems_of
from imagekit.errors import RecipeError
from imagekit.recipe import Recipes, load
from imagekit.recipe.recipe import AptSource


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


SYSTEM = "base: {bootstrap: {distribution: debian, suite: sid, mirror: 'http://m.site/debian'}}\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three recipes, one on the other, the lowest of which says the system."""
    (tmp_path / "imagekit.toml").touch()
    for name, base in (("a", SYSTEM), ("b", "base: {recipe: a}\n"), ("c", "base: {recipe: b}\n")):
        (tmp_path / name).mkdir()
        text = f"schema: 1\nname: {name}\nversion: '1'\n{base}"
        text += "packages: [{manager: apt, install: [gcc]}]\n"
        (tmp_path / name / "recipe.yaml").write_text(text)
    return tmp_path


def test_the_system_is_that_of_the_lowest_recipe(tree: Path) -> None:
    """So that packages of the highest come from the same suite and mirror."""
    top = load(tree / "c")

    systems = systems_of(top, Recipes())

    system = systems[""]
    assert system is not None
    assert system.suite == "sid"
    plan = plan_of(top, BaseImage(), env={}, systems=systems)
    assert (plan.system, dict(plan.mirrors)) == (system, {"debian": "http://m.site/debian"})


def test_the_command_line_goes_before_the_recipe(tree: Path) -> None:
    """Whoever builds may know a nearer mirror."""
    low = load(tree / "a")
    mirrors = {"debian": "http://near.site/debian"}

    plan = plan_of(low, BaseImage(), env={}, systems=systems_of(low, Recipes()), mirrors=mirrors)

    assert dict(plan.mirrors) == mirrors


def test_other_mirrors_and_repositories_make_other_layers(tree: Path) -> None:
    """What was made from one is not taken for what another would give."""
    low = load(tree / "a")
    source = AptSource(
        uri="http://p.site/a", suite="/", components=(), signed_by="k", key="a2V5", place=low.place
    )
    recipes = (low, replace(low, apt=(source,)), replace(low, apt=(replace(source, key="a2Vz"),)))
    plans = [plan_of(recipe, BaseImage(), env={}) for recipe in recipes]
    plans.append(plan_of(low, BaseImage(), env={}, mirrors={"debian": "http://x.site/debian"}))

    assert len({plan.layers[1].key for plan in plans}) == 4
    assert len({plan.layers[0].key for plan in plans}) == 2

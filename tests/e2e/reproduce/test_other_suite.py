"""A system of another suite is the same in two homes, while its mirror stays as it is."""

import json
from pathlib import Path

import pytest

from tests.support.command import imagekit, recipe

pytestmark = [pytest.mark.real, pytest.mark.slow]

BASE = "base: {bootstrap: {distribution: debian, suite: trixie}}\n"
CHILD = "base: {recipe: base}\npackages:\n  - {manager: apt, install: [hello]}\n"


def test_trixie_is_the_same_in_two_homes(tmp_path: Path) -> None:
    """The minimal system, and a package of it."""
    recipe(tmp_path / "recipes/base", "base", BASE)
    child = recipe(tmp_path / "recipes/child", "child", CHILD)
    (tmp_path / "recipes/imagekit.toml").touch()
    digests = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        words = ("build", str(child), "--no-test", "--json")
        made = imagekit(tmp_path, *words, HOME=str(tmp_path / name))
        assert made.returncode == 0, made.stderr
        digests.add(json.loads(made.stdout)["digest"])

    assert len(digests) == 1

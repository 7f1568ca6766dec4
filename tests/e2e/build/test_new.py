"""What ``imagekit new`` writes builds, and its tests pass."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.recipe.new_recipe import TEMPLATES
from tests.support.command import imagekit, recipe
from tests.support.debian import PLAIN

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, debian: Callable[[Path], None]) -> Path:
    """A home that has the base of all in its cache."""
    home = tmp_path_factory.mktemp("site")
    debian(home)
    return home


def test_their_base_is_there(site: Path) -> None:
    """Where its layer got another key, each home would bootstrap a system of its own again."""
    plain = recipe(site / "plain", "plain", PLAIN)

    planned = imagekit(site, "plan", str(plain), "--json", HOME=str(site))

    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["plans"][0]["layers"][0]["cached"] is True


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_recipe_builds(site: Path, template: str) -> None:
    """As it stands, outside of any tree of recipes."""
    assert imagekit(site, "new", f"apps/{template}", "--from", template).returncode == 0

    built = imagekit(site, "build", f"apps/{template}", HOME=str(site))

    assert built.returncode == 0, built.stderr
    assert f"apps/{template}@sha256:" in built.stdout

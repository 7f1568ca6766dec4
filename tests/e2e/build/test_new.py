"""What ``imagekit new`` writes builds, and its tests pass."""

from pathlib import Path

import pytest

from imagekit.recipe.new_recipe import TEMPLATES
from tests.support.command import imagekit

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home, in which the first build makes the base of all."""
    return tmp_path_factory.mktemp("site")


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_recipe_builds(site: Path, template: str) -> None:
    """As it stands, outside of any tree of recipes."""
    assert imagekit(site, "new", f"apps/{template}", "--from", template).returncode == 0

    built = imagekit(site, "build", f"apps/{template}", HOME=str(site))

    assert built.returncode == 0, built.stderr
    assert f"apps/{template}@sha256:" in built.stdout

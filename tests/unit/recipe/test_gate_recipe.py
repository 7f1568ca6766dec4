"""The recipe of the gate's image, and what imagekit says that it needs."""

import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from imagekit.recipe import load as load_recipe


def test_what_imagekit_needs_is_pinned(project: Path) -> None:
    """A dependency that is added, or whose bounds move, is pinned anew: scripts/gate-image pins."""
    recipe = load_recipe(project / "recipes/gate")
    pins = dict(
        line.split()[0].split("==")
        for packages in recipe.packages
        if packages.manager == "pip"
        for line in packages.install
    )
    missing = [
        str(needed)
        for needed in map(Requirement, _needed(_project(project)))
        if pins.get(canonicalize_name(needed.name)) is None
        or not needed.specifier.contains(pins[canonicalize_name(needed.name)])
    ]

    assert missing == []


def test_image_is_of_this_release(project: Path) -> None:
    """The recipe's version is that of the wheel, and its test says so."""
    recipe = load_recipe(project / "recipes/gate")
    version = _project(project)["version"]

    assert recipe.version == version
    assert any(
        re.search(test.stdout, f"imagekit {version}")
        for test in recipe.tests
        if test.run == ("imagekit", "--version") and test.stdout
    )


def _project(project: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    return table


def _needed(table: dict[str, Any]) -> list[str]:
    return [*table["dependencies"], *table["optional-dependencies"]["gate"]]

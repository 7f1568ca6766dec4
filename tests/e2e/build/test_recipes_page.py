"""docs/recipes.md: the whole recipe that it begins with is built and tested as it stands there."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import at_home, command

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_the_whole_recipe_is_built(
    project: Path, tmp_path: Path, debian: Callable[[Path], None]
) -> None:
    """With the program beside it, as the page has both; its tests pass."""
    debian(tmp_path)
    page = (project / "docs/recipes.md").read_text(encoding="utf-8")
    section = page.partition("## A whole recipe\n")[2].partition("\n## ")[0]
    blocks = dict(re.findall(r"^```(c|yaml)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE))
    (tmp_path / "hello.c").write_text(blocks["c"])
    (tmp_path / "recipe.yaml").write_text(blocks["yaml"])

    built = subprocess.run(
        command("build", str(tmp_path), "--json"),
        env=at_home(tmp_path),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert built.returncode == 0, built.stderr
    image = json.loads(built.stdout)
    assert (image["name"], image["tested"]) == ("hello-c", True)

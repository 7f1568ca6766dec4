"""docs/recipes.md: the whole recipe that it begins with is built and tested as it stands there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_the_whole_recipe_is_built(project: Path, tmp_path: Path) -> None:
    """With the program beside it, as the page has both; its tests pass."""
    page = (project / "docs/recipes.md").read_text(encoding="utf-8")
    section = page.partition("## A whole recipe\n")[2].partition("\n## ")[0]
    blocks = dict(re.findall(r"^```(c|yaml)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE))
    (tmp_path / "hello.c").write_text(blocks["c"])
    (tmp_path / "recipe.yaml").write_text(blocks["yaml"])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}

    built = subprocess.run(
        [sys.executable, "-m", "imagekit", "build", str(tmp_path), "--json"],
        env={**kept, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert built.returncode == 0, built.stderr
    image = json.loads(built.stdout)
    assert (image["name"], image["tested"]) == ("hello-c", True)

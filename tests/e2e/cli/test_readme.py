"""The README's example of the library runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

RECIPE = """\
schema: 1
name: hello
version: 1.0.0
base: scratch
steps:
  - copy: {from: hello.txt, to: /hello.txt}
"""


def test_library_example(project: Path, tmp_path: Path) -> None:
    """With the files that it names, it ends well and prints nothing."""
    text = (project / "README.md").read_text(encoding="utf-8")
    section = text.partition("## As a library")[2]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    (tmp_path / "recipes/hello").mkdir(parents=True)
    (tmp_path / "recipes/hello/recipe.yaml").write_text(RECIPE)
    (tmp_path / "recipes/hello/hello.txt").write_text("hello\n")
    env = {**os.environ, "IMAGEKIT_KEY_PASSWORD": "the password"}

    def imagekit(*words: str) -> str:
        argv = [sys.executable, "-m", "imagekit", *words]
        return subprocess.run(
            argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        ).stdout

    imagekit("key", "generate")
    (tmp_path / "policy.yaml").write_text(
        imagekit("policy", "new", "--image", "localhost/**", "--key", "imagekit.pub")
    )
    outcome = subprocess.run(
        [sys.executable, "-c", found[1]],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")

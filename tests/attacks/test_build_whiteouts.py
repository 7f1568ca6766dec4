"""A name that means a removal in a layer is refused before Buildah makes one of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPE = "schema: 1\nname: removals\nversion: 1.0.0\ncontainerfile: Containerfile\n"


@pytest.mark.parametrize("name", [".wh.x", "folder/.wh..wh..opq", ".wh.folder/x"])
def test_file_of_the_context(tmp_path: Path, name: str) -> None:
    """Buildah copies it, and its layer has a removal in the file's place."""
    folder = tmp_path / "recipe"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("a file\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "Containerfile").write_text("FROM scratch\nCOPY . /\n")

    said = subprocess.run(
        [sys.executable, "-m", "imagekit", "build", folder, "--no-cache"],
        env=os.environ | {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert said.returncode == 6, said.stderr
    assert "build/cannot-keep" in said.stderr
    assert ".wh." in said.stderr

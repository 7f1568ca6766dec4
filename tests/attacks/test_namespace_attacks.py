"""A user namespace in which owners cannot be told apart."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real


def test_where_nobody_has_an_id_no_file_is_ones_own(tmp_path: Path) -> None:
    """There a stranger's recipe has the same owner as the process that is to build it."""
    (tmp_path / "imagekit.toml").touch()
    (tmp_path / "recipe.yaml").write_text("schema: 1\nname: a/b\nversion: 1.0.0\nbase: scratch\n")

    def lint(*inside: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*inside, sys.executable, "-m", "imagekit", "lint", str(tmp_path)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    mine, anybodys = lint(), lint("unshare", "--user")

    assert mine.returncode == 0, mine.stderr + mine.stdout
    assert anybodys.returncode == 2, anybodys.stderr + anybodys.stdout
    assert "recipe/foreign-file" in anybodys.stderr + anybodys.stdout

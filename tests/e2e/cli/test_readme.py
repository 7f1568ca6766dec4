"""The README and the library's page run as they stand there, on this host.

scripts/readme installs everything before.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.pages import commands, fault, run
from tests.support.servers import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]

_INSTALLED = (
    "sudo apt-get update",
    "sudo apt-get install",
    "python3 -m venv",
    "~/imagekit/bin/pip install",
    "export PATH=",
)


@pytest.fixture
def home(project: Path, tmp_path: Path) -> Path:
    """A HOME with imagekit installed, and the recipes of the checkout."""
    shutil.copytree(project / "recipes", tmp_path / "checkout/recipes")
    for name, words in (
        ("imagekit", f"{sys.executable} -P -m imagekit"),
        ("python3", sys.executable),
    ):
        shim = tmp_path / "bin" / name
        shim.parent.mkdir(exist_ok=True)
        shim.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        shim.chmod(0o755)
    storage = (
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/graph"\nrunroot = "{tmp_path}/run"\n'
    )
    (tmp_path / "storage.conf").write_text(storage)
    return tmp_path


def test_every_block_runs(project: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, and each prints what the page says; only the installation is left out."""
    page = "".join(
        (project / name).read_text(encoding="utf-8") for name in ("README.md", "docs/library.md")
    )
    every = list(commands(page.replace("localhost:5443", f"localhost:{free_port()}")))
    left_out, wanted = every[: len(_INSTALLED)], every[len(_INSTALLED) :]
    for command, begin in zip(left_out, _INSTALLED, strict=True):
        assert command.text.startswith(begin)
    monkeypatch.chdir(home / "checkout")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{home}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(home / "storage.conf"))

    ran = run(wanted, ["bash"], limit=600)

    assert [f"{each.command.text}: {fault(each)}" for each in ran if fault(each)] == []
    assert len(ran) == len(wanted)


def test_the_recipe_is_that_of_hello(project: Path) -> None:
    """What the page explains is what it builds."""
    page = (project / "README.md").read_text(encoding="utf-8")
    recipe = (project / "recipes/hello/recipe.yaml").read_text(encoding="utf-8")

    assert f"```yaml\n{recipe.partition(chr(10))[2]}```" in page

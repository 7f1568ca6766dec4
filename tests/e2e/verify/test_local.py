"""``verify --local`` on Podman's own storage: what was pulled, and what was put there by hand."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]

_RECIPE = """\
schema: 1
name: apps/hello
version: 1.0.0
base: scratch
steps:
  - copy: {from: hello.txt, to: /hello.txt}
"""
_STORAGE = '[storage]\ndriver = "vfs"\nrunroot = "{0}/run"\ngraphroot = "{0}/root"\n'


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a storage of its own; Podman wants its path to be short."""
    folder = Path(tempfile.mkdtemp(prefix="ik-", dir="/tmp"))
    (folder / "storage.conf").write_text(_STORAGE.format(folder))
    (folder / "recipe").mkdir()
    (folder / "recipe/recipe.yaml").write_text(_RECIPE)
    (folder / "recipe/hello.txt").write_text("hello\n")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _run(home: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    own = {
        "HOME": str(home),
        "IMAGEKIT_KEY_PASSWORD": "x",
        "CONTAINERS_STORAGE_CONF": str(home / "storage.conf"),
    }
    return subprocess.run(
        words,
        env={**os.environ, **own},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _imagekit(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(home, sys.executable, "-P", "-m", "imagekit", *words)


def test_a_loaded_image_does_not_pass_under_a_trusted_name(home: Path, registry: str) -> None:
    """Attack 40: the pulled image is allowed, the one that was built here under its name is not."""
    image = f"{registry}/apps/hello:1.0.0"
    assert _imagekit(home, "key", "generate").returncode == 0
    done = _imagekit(home, "publish", "recipe", "--to", registry, "--key", "imagekit.key")
    assert done.returncode == 0, done.stderr
    new = ("policy", "new", "--image", f"{registry}/**", "--key", "imagekit.pub")
    (home / "policy.yaml").write_text(_imagekit(home, *new).stdout)
    local = ("verify", "--local", "--policy", "policy.yaml", "--json")

    assert _run(home, "podman", "pull", "-q", "--tls-verify=false", image).returncode == 0
    done = _imagekit(home, *local)
    assert (done.returncode, len(json.loads(done.stdout)["verdicts"])) == (0, 1), done.stdout

    (home / "Containerfile").write_text("FROM scratch\nCOPY recipe/hello.txt /evil\n")
    evil = f"{registry}/apps/hello:2.0.0"
    built = _run(home, "buildah", "bud", "--isolation", "chroot", "-q", "-t", evil, ".")
    assert built.returncode == 0, built.stderr
    done = _imagekit(home, *local)

    found = {one["reference"]: one for one in json.loads(done.stdout)["verdicts"]}
    refused = next(one for name, one in found.items() if name.startswith(evil))
    assert (done.returncode, len(found)) == (3, 2)
    assert refused["error"]["code"] == "NOT_PUBLISHED"

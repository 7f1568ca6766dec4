"""Steps in real containers: what they see of the host, and which of them are done again."""

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.tinyroot import tiny_root

pytestmark = [pytest.mark.real, pytest.mark.slow]

_RECIPE = """\
schema: 1
name: steps
version: 1.0.0
title: {title}
base: scratch
env: {{OWN: of the recipe}}
build_args: {{LEVEL: "2"}}
steps:
  - copy: {{from: root, to: /}}
  - run: |
      mkdir -p /var/lib/apt/lists
      echo list > /var/lib/apt/lists/index
      ln /usr/bin/cat /cat
  - {{run: "env > /env && umask >> /env && uname -n >> /env", network: none}}
  - run: cat /proc/sys/kernel/domainname /var/lib/apt/lists/index > /{last}
"""
_SEEN = {
    "HOME=/",
    "HOSTNAME=localhost",
    "LANG=C.UTF-8",
    "LEVEL=2",
    "OWN=of the recipe",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PWD=/",
    "PYTHONHASHSEED=0",
    "SOURCE_DATE_EPOCH=1700000000",
    "TZ=UTC",
    # Of umask and uname.
    "0022",
    "localhost",
}
_OTHER_HOST = {
    "HOSTNAME": "other",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "POSIX",
    "PYTHONHASHSEED": "7",
    "TERM": "xterm",
    "TZ": "Asia/Tokyo",
    "USER": "somebody",
    "http_proxy": "http://127.0.0.1:1",
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the recipe, without its text."""
    folder = tmp_path_factory.mktemp("steps") / "recipe"
    tiny_root(folder / "root", ("sh", "cat", "env", "uname", "ln", "mkdir"))
    return folder


def _build(
    recipe: Path, home: Path, env: Mapping[str, str], *options: str, umask: int = 0o022
) -> tuple[str, str]:
    """Build it, and return the image's digest and what was said."""
    own = {"HOME": str(home), "SOURCE_DATE_EPOCH": "1700000000", **env}
    words: list[str | Path] = [
        sys.executable,
        "-m",
        "imagekit",
        "build",
        recipe,
        "--no-test",
        *options,
    ]
    said = subprocess.run(
        words,
        env=os.environ | own | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        umask=umask,
    )
    assert said.returncode == 0, said.stderr
    return said.stdout.strip().rpartition("sha256:")[2], said.stderr


def _text(recipe: Path, *, title: str = "Steps", last: str = "last") -> None:
    (recipe / "recipe.yaml").write_text(_RECIPE.format(title=title, last=last))


def _content(home: Path, image: str) -> dict[str, bytes]:
    blobs = home / ".local/share/imagekit/images/blobs/sha256"
    (layer,) = json.loads((blobs / image).read_text())["layers"]
    with tarfile.open(blobs / layer["digest"].removeprefix("sha256:")) as archive:
        files = [(member, archive.extractfile(member)) for member in archive if member.isreg()]
        return {member.name: file.read() if file else b"" for member, file in files}


def test_an_edit_does_what_sees_it_and_the_image_is_that_of_a_new_build(
    recipe: Path, tmp_path: Path
) -> None:
    """On another host, too, by another isolation, from nothing; and steps see none of the host."""
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    other.mkdir()
    _text(recipe)
    first, said = _build(recipe, home, {})
    assert "from the cache" not in said

    _text(recipe, title="Another title")
    (recipe / "README.md").write_text("A file that no step copies.")
    titled, said = _build(recipe, home, {})
    assert titled != first
    assert re.search(r"4 of 4 \(from the cache\)", said)

    _text(recipe, title="Another title", last="least")
    edited, said = _build(recipe, home, {})
    assert re.search(r"3 steps of 4 \(from the cache\)", said)
    content = _content(home, edited)
    # What no layer holds is there for the step all the same.
    assert content["least"] == b"(none)\nlist\n"
    assert "var/lib/apt/lists/index" not in content
    assert "last" not in content
    assert set(content["env"].decode().splitlines()) == _SEEN

    anew, said = _build(recipe, other, _OTHER_HOST, "--isolation", "chroot", umask=0o077)
    assert "3 steps" not in said
    assert anew == edited

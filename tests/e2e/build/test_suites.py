"""Systems of other suites than Debian 12's, made by Debian 12's own mmdebstrap."""

import json
from pathlib import Path

import pytest

from tests.support.command import imagekit, recipe

pytestmark = [pytest.mark.real, pytest.mark.slow]

BASE = """\
base: {bootstrap: {distribution: debian, suite: trixie}}
tests:
  - run: . /etc/os-release && echo "$ID $VERSION_CODENAME"
    stdout: ^debian trixie$
  - run: test -L /bin && test -L /sbin && test -L /lib
"""
CHILD = """\
base: {recipe: base}
packages:
  - {manager: apt, install: [hello]}
tests:
  - run: hello
    stdout: Hello, world
  - run: test -z "$(find /etc/apt -name '*.sources' -o -name '*.list' -size +1k)"
"""


def test_trixie_is_built_and_called_so(tmp_path: Path) -> None:
    """The minimal system and a package of it, and what the SBOM calls them."""
    recipe(tmp_path / "recipes/base", "base", BASE)
    child = recipe(tmp_path / "recipes/child", "child", CHILD)
    (tmp_path / "recipes/imagekit.toml").touch()

    made = imagekit(tmp_path, "build", str(child), "--json", HOME=str(tmp_path))

    assert made.returncode == 0, made.stderr
    reference = json.loads(made.stdout)["reference"]
    told = imagekit(tmp_path, "sbom", reference, HOME=str(tmp_path))
    assert told.returncode == 0, told.stderr
    assert "pkg:deb/debian/hello@" in told.stdout
    assert "distro=debian-13" in told.stdout

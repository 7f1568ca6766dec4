"""What a container sees is what docs/run.md says, whoever starts it."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import imagekit, tiny_recipe
from tests.support.container_probe import PROBE, documented, seen
from tests.support.users import OrdinaryUser, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.root]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed image, whose entrypoint is Perl, and its policy."""
    folder = tmp_path_factory.mktemp("site")
    with (tiny_recipe(folder / "recipe") / "recipe.yaml").open("a") as file:
        file.write("entrypoint: [/usr/bin/perl, -e]\n")
    assert imagekit(folder, "key", "generate").returncode == 0
    words = ("recipe", "--to", "oci:out", "--key", "imagekit.key", "--no-test")
    made = imagekit(folder, "publish", *words)
    assert made.returncode == 0, made.stderr
    new = imagekit(folder, "policy", "new", "--image", "**", "--key", "imagekit.pub")
    (folder / "p.yaml").write_text(new.stdout)
    return folder


def run(start: Callable[[list[str]], "subprocess.CompletedProcess[str]"]) -> dict[str, str]:
    """Start the probe, and return what it saw."""
    words = ("run", "oci:out:tiny:1.0.0", "--policy", "p.yaml", "--", PROBE)
    ran = start([*words])
    assert ran.returncode == 0, ran.stderr
    return seen(ran.stdout)


def as_user(user: OrdinaryUser, site: Path) -> dict[str, str]:
    """Run it as a user, who has an environment and a home that it must not see."""
    shutil.copytree(site / "out", user.home / "out")
    shutil.copy(site / "p.yaml", user.home)
    user.give(user.home)
    own = {"http_proxy": "http://proxy.site", "LD_LIBRARY_PATH": "/opt", "TZ": "Asia/Tokyo"}
    return run(lambda words: user.run(["/usr/bin/python3", "-m", "imagekit", *words], own))


def test_root_sees_what_the_page_says(site: Path, project: Path) -> None:
    """Each row of the table."""
    assert run(lambda words: imagekit(site, *words)) == documented(project)


@pytest.mark.parametrize("subordinate", [True, False], ids=["ids", "no ids"])
def test_users_see_what_the_page_says(site: Path, project: Path, *, subordinate: bool) -> None:
    """The same as root does."""
    name = f"imagekit-seen-{os.getpid()}-{int(subordinate)}"
    with ordinary_user(name, subordinate_ids=subordinate) as user:
        assert as_user(user, site) == documented(project)

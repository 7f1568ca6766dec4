"""A locked recipe gives one digest, whoever builds it, where, when, and in which environment.

Each way is one build without any cache, so that this is no test of every day: scripts/test -e
reproduce. IMAGEKIT_REPRODUCE names other recipes than these, by blanks.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.command import command
from tests.support.mirror_relay import mirror_relay
from tests.support.repositories import commit_all, git
from tests.support.users import USERS_PYTHON, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPES = os.environ.get("IMAGEKIT_REPRODUCE", "base/debian hello-mpi").split()
ELSEWHERE = {
    "HOSTNAME": "elsewhere",
    "TZ": "Asia/Kathmandu",
    "LANG": "tr_TR.UTF-8",
    "LC_ALL": "C",
    "PYTHONHASHSEED": "77",
    "USER": "somebody",
}


class Site:
    """A repository with a locked recipe, and the packages that it is made of.

    Args:
        folder: where all of it lies.
        recipe: the recipe's path in the repository.
    """

    def __init__(self, folder: Path, recipe: str) -> None:
        self.folder, self.recipe = folder, recipe
        self.repository = folder / "repository"
        self.home = folder / "home"
        self.home.mkdir()

    def build(
        self,
        home: Path,
        *options: str,
        checkout: Path | None = None,
        env: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
        umask: int = 0o022,
    ) -> str:
        """Build without any cache but that of packages, and return the digest."""
        words = ["build", f"recipes/{self.recipe}", "--locked", "--no-cache", "--no-test", "--json"]
        ran = subprocess.run(
            [*before, *command(*words, *options)],
            cwd=checkout or self.repository,
            env=self.env(home) | dict(env or {}),
            umask=umask,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-4000:]
        return _digest(ran.stdout)

    def env(self, home: Path) -> dict[str, str]:
        """Return the environment of somebody with that HOME."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        return kept | {"HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}

    def new_home(self, name: str, *, packages: bool = True) -> Path:
        """Return a HOME in which nothing was built, maybe with the packages."""
        home = self.folder / name
        home.mkdir()
        if packages:
            shutil.copytree(self.home / DOWNLOADS, home / DOWNLOADS)
        return home


DOWNLOADS = ".cache/imagekit/downloads"


def _digest(printed: str) -> str:
    digest: str = json.loads(printed)["digest"]
    return digest


@pytest.fixture(scope="module", params=RECIPES)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, project: Path
) -> Site:
    """The project's recipes, one of them locked with what it stands on, and committed."""
    site = Site(tmp_path_factory.mktemp("reproduce"), request.param)
    shutil.copytree(project / "recipes", site.repository / "recipes", symlinks=True)
    git(site.repository, "init", "-q", "-b", "main")
    commit_all(site.repository, 1_700_000_000)
    locked = subprocess.run(
        command("lock", f"recipes/{site.recipe}"),
        cwd=site.repository,
        env=site.env(site.home),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert locked.returncode == 0, locked.stderr
    commit_all(site.repository, 1_800_000_000)
    return site


@pytest.fixture(scope="module")
def digest(site: Site) -> str:
    """The digest of the first build."""
    return site.build(site.home)


def test_again_with_nothing_but_the_packages(site: Site, digest: str) -> None:
    """In another HOME, and without a network, as all of them are there."""
    home = site.new_home("again")

    assert site.build(home, before=("unshare", "--net")) == digest


def test_in_another_environment(site: Site, digest: str) -> None:
    """Another folder, host name, time zone, language, seed of hashes and umask."""
    checkout = site.folder / "another place/with a long name" / ("x" * 60)
    shutil.copytree(site.repository, checkout, symlinks=True)
    own_name = ("unshare", "--uts", "sh", "-c", 'hostname elsewhere; exec "$@"', "sh")

    got = site.build(
        site.new_home("other"), checkout=checkout, env=ELSEWHERE, before=own_name, umask=0o077
    )

    assert got == digest


def test_with_one_processor(site: Site, digest: str) -> None:
    """What counts processors would write another number."""
    assert site.build(site.new_home("one"), before=("taskset", "--cpu-list", "0")) == digest


@pytest.mark.parametrize("isolation", ["chroot", "oci"])
def test_by_each_isolation(site: Site, digest: str, isolation: str) -> None:
    """A step sees the same either way."""
    home = site.new_home(isolation)

    assert site.build(home, "--isolation", isolation) == digest


@pytest.mark.parametrize("kind", ["shallow", "no git"])
def test_from_each_kind_of_checkout(site: Site, digest: str, kind: str) -> None:
    """The lock has the image's time, which a history is not asked for then."""
    checkout = site.folder / kind
    if kind == "shallow":
        git(site.folder, "clone", "-q", "--depth", "1", f"file://{site.repository}", str(checkout))
    else:
        shutil.copytree(site.repository, checkout, ignore=shutil.ignore_patterns(".git"))

    assert site.build(site.new_home(f"of {kind}"), checkout=checkout) == digest


def test_from_another_mirror(site: Site, digest: str) -> None:
    """Nothing of its address is in the image."""
    with mirror_relay() as relay:
        at = f"http://127.0.0.1:{relay.port}"
        mirrors = (f"debian={at}/debian", f"debian-security={at}/debian-security")
        options = [word for mirror in mirrors for word in ("--mirror", mirror)]
        got = site.build(site.new_home("mirror", packages=False), *options)

        assert relay.asked > 0
    assert got == digest


@pytest.mark.root
def test_by_an_ordinary_user(site: Site, digest: str) -> None:
    """Without root, in a user namespace."""
    with ordinary_user(f"ik-ways-{os.getpid()}") as user:
        shutil.copytree(site.repository, user.home / "repository", symlinks=True)
        shutil.copytree(site.home / DOWNLOADS, user.home / DOWNLOADS)
        user.give(user.home)
        words = ["build", f"repository/recipes/{site.recipe}", "--locked", "--no-cache"]
        ran = user.run(
            [USERS_PYTHON, "-m", "imagekit", *words, "--no-test", "--json"], {}, seconds=1800
        )

    assert ran.returncode == 0, ran.stderr[-4000:]
    assert _digest(ran.stdout) == digest

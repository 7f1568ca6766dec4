"""The local image store on disk: other tools read it, it is run, and it is pruned."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import at_home, command
from tests.support.tinyroot import tiny_root
from tests.support.users import USERS_PYTHON, OrdinaryUser, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPE = """\
schema: 1
name: apps/tiny
version: 1.0.0
base: scratch
entrypoint: [/usr/bin/cat]
steps:
  - copy: {from: root, to: /}
  - run: echo WHAT > /what
"""


def _recipe(home: Path, what: str) -> None:
    if not (home / "tiny").is_dir():
        tiny_root(home / "tiny/root", ("cat", "sh"))
    (home / "tiny/recipe.yaml").write_text(RECIPE.replace("WHAT", what))


def _imagekit(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        env=at_home(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@contextmanager
def _plain_folder() -> Iterator[str]:
    """Make a folder whose path can be a name of an image."""
    folder = f"/tmp/ik-{secrets.token_hex(4)}"
    Path(folder).mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _digest(reference: str) -> str:
    return reference.strip().rpartition("@")[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME in which a recipe was built twice, the second time changed."""
    home = tmp_path_factory.mktemp("site")
    for what in ("first", "second"):
        _recipe(home, what)
        built = _imagekit(home, "build", "tiny", "--no-test")
        assert built.returncode == 0, built.stderr
        (home / "digest").write_text(_digest(built.stdout))
    return home


def test_skopeo_and_podman_find_an_image_by_its_name(site: Path, tmp_path: Path) -> None:
    """It is that of the last build; what is read is whole."""
    digest = (site / "digest").read_text()
    name = f"oci:{site}/.local/share/imagekit/images:apps/tiny:1.0.0"

    shown = subprocess.run(["skopeo", "inspect", name], capture_output=True, check=True).stdout
    copied = subprocess.run(
        ["skopeo", "copy", "--quiet", name, f"dir:{tmp_path}/copy"],
        capture_output=True,
        check=False,
    )
    # Podman takes no longer path than 50 characters for the second.
    with _plain_folder() as run:
        storage = ["--root", f"{tmp_path}/root", "--runroot", run, "--tmpdir", f"{run}/libpod"]
        # It makes a name of the folder's path, too, and none of one with `.local` in it.
        Path(run, "images").symlink_to(site / ".local/share/imagekit/images")
        linked = f"oci:{run}/images:apps/tiny:1.0.0"
        pulled = subprocess.run(
            ["podman", *storage, "--storage-driver", "vfs", "pull", "--quiet", linked],
            capture_output=True,
            text=True,
            check=False,
        )

    assert json.loads(shown)["Digest"] == digest
    assert copied.returncode == 0, copied.stderr
    assert pulled.returncode == 0, pulled.stderr


def test_imagekit_finds_it_too(site: Path) -> None:
    """By the reference that skopeo takes, and in the list."""
    digest = (site / "digest").read_text()
    name = f"oci:{site}/.local/share/imagekit/images:apps/tiny:1.0.0"

    inspected = _imagekit(site, "inspect", name, "--json")
    listed = _imagekit(site, "images", "--json")

    assert json.loads(inspected.stdout)["digest"] == digest, inspected.stderr
    assert [image["digest"] for image in json.loads(listed.stdout)["images"]] == [digest]


def test_prune_frees_what_nobody_needs(site: Path) -> None:
    """Then the cache still has the layers of today, and a build starts no program."""
    graph = site / ".local/share/imagekit/containers/overlay-images"
    for point in ("1", "2"):
        assert _imagekit(site, "shell", "tiny", "--after", point, "--", "true").returncode >= 0
    _imagekit(site, "shell", "tiny", "--", "cat", "/what")
    before = json.loads((graph / "images.json").read_text())

    dry = _imagekit(site, "prune", "--dry-run", "--json")
    pruned = _imagekit(site, "prune", "--json")

    assert pruned.returncode == 0, pruned.stderr
    freed = json.loads(pruned.stdout)["freed"]
    assert len(before) == freed["storage"]["count"] == 1
    assert json.loads(dry.stdout)["freed"]["storage"]["count"] == 1
    assert freed["storage"]["size"] > 100_000
    assert freed["layers"]["count"] >= 2
    assert json.loads((graph / "images.json").read_text()) == []
    again = _imagekit(site, "build", "tiny", "--no-test")
    assert "(from the cache)" in again.stderr
    assert _digest(again.stdout) == (site / "digest").read_text()
    assert _imagekit(site, "shell", "tiny", "--", "cat", "/what").stdout == "second\n"


@pytest.fixture(scope="module")
def user() -> Iterator[OrdinaryUser]:
    """A user with subordinate ids, and the recipe."""
    with ordinary_user(f"ikl{os.getpid() % 100000}") as user:
        _recipe(user.home, "theirs")
        user.give(user.home)
        yield user


@pytest.mark.root
def test_an_ordinary_user(user: OrdinaryUser) -> None:
    """Builds, runs what was built, unsigned, and prunes files of subordinate ids."""
    imagekit = (USERS_PYTHON, "-m", "imagekit")
    built = user.run([*imagekit, "build", "tiny", "--no-test"], {})
    assert built.returncode == 0, built.stderr

    ran = user.run([*imagekit, "run", "--local", "tiny", "--", "/what"], {})
    looked = user.run([*imagekit, "shell", "tiny", "--", "cat", "/what"], {})
    pruned = user.run([*imagekit, "prune", "--keep", "0", "--json"], {})

    assert (ran.returncode, ran.stdout) == (0, "theirs\n"), ran.stderr
    assert "not verified: apps/tiny 1.0.0" in ran.stderr
    assert looked.stdout == "theirs\n"
    document = json.loads(pruned.stdout)
    assert document["left"] == [], pruned.stderr
    assert document["images"] == ["apps/tiny:1.0.0"]
    assert document["freed"]["storage"]["count"] == 1
    assert list((user.home / ".local/share/imagekit/work").iterdir()) == []


@pytest.mark.root
def test_a_user_without_user_namespaces() -> None:
    """Prunes all else; the container storage, which such a user cannot have filled, is left."""
    with ordinary_user(f"ikn{os.getpid() % 100000}", subordinate_ids=False) as user:
        logs = user.home / ".local/state/imagekit/logs"
        logs.mkdir(parents=True)
        for number in range(2):
            (logs / f"2026-01-01T00-00-0{number}-abcdef-a.log").write_text("x" * 5000)
        user.give(user.home)

        pruned = user.run([USERS_PYTHON, "-m", "imagekit", "prune", "--json"], {})

        assert pruned.returncode == 0, pruned.stderr
        assert json.loads(pruned.stdout)["freed"]["logs"]["count"] == 1
        assert len(list(logs.iterdir())) == 1

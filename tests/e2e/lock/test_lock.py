"""Locks by a real apt, of an archive in two states, as root and as a user."""

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from imagekit.lock.lock import Lock
from imagekit.lock.lock_file import lock_bytes, read_lock
from tests.support.aptrepo import Signer
from tests.support.repositories import commit_all, git
from tests.support.tiny_archive import WITH_ITS_KEY, package, write_archive
from tests.support.users import USERS_PYTHON, OrdinaryUser, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]

_SYSTEM = (
    package("base-files", "12", Essential="yes", Priority="required"),
    package("apt", "2.6", Depends="libc6"),
)
_OLD = (
    package("libc6", "2.36", Priority="required"),
    package("greeter", "1.0", Depends="libgreet (= 1.0)", Source="greet"),
    package("libgreet", "1.0", Depends="libc6", Source="greet"),
    package("tool", "1.0"),
)
_NEW = (
    package("libc6", "2.37", Priority="required"),
    package("greeter", "2.0", Depends="libgreet (= 2.0)", Source="greet (2.0)"),
    package("libgreet", "2.0", Depends="libc6", Source="greet"),
    package("tool", "2.0", Depends="libc6"),
    package("later", "1.0", Depends="libc6"),
)
_BASE = """\
schema: 1
name: base
version: '1'
base: {bootstrap: {distribution: debian, suite: bookworm}}
"""
_CHILD = """\
schema: 1
name: child
version: '1'
date: 2023-11-14T22:13:20Z
base: {recipe: base}
stages:
  build:
    packages: [{manager: apt, install: [tool]}]
    steps: [run: "true"]
packages:
  - {manager: apt, install: [greeter]}
steps: [copy: {from_stage: build, from: /etc, to: /opt/x}]
"""


class Site:
    """Recipes in a folder, and who runs imagekit on them."""

    def __init__(self, folder: Path, served: Path, signer: Signer, address: str) -> None:
        self.folder = folder
        self.user: OrdinaryUser | None = None
        self._served = served
        self._signer = signer
        self._address = address

    def archive(self, *packages: Sequence[str]) -> None:
        """Bring the archive into a state."""
        listed = [stanza for some in (_SYSTEM, *packages) for stanza in some]
        write_archive(self._served, self._signer, listed)

    def recipe(self, name: str, text: str) -> Path:
        """Write a recipe."""
        folder = self.folder / "recipes" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.yaml").write_text(text)
        (self.folder / "recipes/imagekit.toml").touch()
        if self.user is not None:
            self.user.give(self.folder)
        return folder

    def run(self, *words: str, status: int = 0) -> dict[str, Any]:
        """Run ``imagekit lock`` on the recipe child, and return its document."""
        key = self.folder / "key.asc"
        mirrors = [f"--mirror={name}={self._address}" for name in ("debian", "debian-security")]
        argv = ["-c", WITH_ITS_KEY, str(key), "lock", str(self.folder / "recipes/child")]
        argv += [*words, *mirrors, "--json", "--progress=none"]
        if self.user is None:
            ran = subprocess.run(
                [sys.executable, *argv], capture_output=True, text=True, check=False, timeout=300
            )
        else:
            ran = self.user.run([USERS_PYTHON, *argv], {})
        assert ran.returncode == status, ran.stdout + ran.stderr
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    def lock(self, name: str = "child") -> Lock:
        """Return a recipe's lock, which is written in its one form."""
        folder = self.folder / "recipes" / name
        lock = read_lock(folder)
        assert lock is not None
        assert (folder / "recipe.lock").read_bytes() == lock_bytes(lock)
        return lock

    def versions(self) -> dict[str, str]:
        """Return what the child's lock has, by name, in its image and then in its stage."""
        platform = self.lock().platforms["linux/amd64"]
        trees = (platform.image, platform.stages["build"])
        return {d.name: d.version for t in trees for entry in t.installs for d in entry.debs}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The archive in its first state, and whoever runs the tests."""
    with _served(tmp_path) as site:
        yield site


@contextmanager
def _served(tmp_path: Path, user: OrdinaryUser | None = None) -> Iterator[Site]:
    """Serve the archive in its first state on loopback."""
    signer = Signer(tmp_path / "gnupg")
    served = tmp_path / "served"
    handler = functools.partial(_Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}"
            folder = tmp_path / "home" if user is None else user.home / "work"
            folder.mkdir()
            (folder / "key.asc").write_bytes(signer.public)
            made = Site(folder, served, signer, address)
            made.user = user
            made.archive(_OLD)
            made.recipe("base", _BASE)
            made.recipe("child", _CHILD)
            yield made
        finally:
            server.shutdown()
            thread.join()
            signer.stop()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Write nothing."""


def test_a_lock_keeps_what_it_has_until_it_is_told_otherwise(site: Site) -> None:
    """First locked, then the archive moves: nothing, a new package, one package, all of them."""
    _live(site)


@pytest.mark.root
def test_a_lock_of_an_ordinary_user_does_the_same(tmp_path: Path) -> None:
    """Without any right that root has."""
    with ordinary_user(f"ik-lock-{os.getpid()}") as user, _served(tmp_path, user) as site:
        _live(site)


def _live(site: Site) -> None:
    made = site.run()
    assert [row["recipe"] for row in made["locks"]] == ["base", "child"]
    assert site.versions() == {"greeter": "1.0", "libgreet": "1.0", "tool": "1.0"}
    system = site.lock("base").platforms["linux/amd64"].image.bootstrap
    assert [(deb.name, deb.version) for deb in system] == [
        ("apt", "2.6"),
        ("base-files", "12"),
        ("libc6", "2.36"),
    ]
    platform = site.lock().platforms["linux/amd64"]
    (greeter, library) = platform.image.installs[0].debs
    assert (greeter.automatic, library.automatic) == (False, True)
    assert greeter.archive == "debian"
    assert greeter.path == "pool/main/g/greeter/greeter_1.0_amd64.deb"
    assert [(a.name, a.suite) for a in platform.archives] == [
        ("debian", "bookworm"),
        ("debian", "bookworm-updates"),
        ("debian-security", "bookworm-security"),
    ]
    assert "127.0.0.1" not in (site.folder / "recipes/child/recipe.lock").read_text()
    before = {path: path.read_bytes() for path in site.folder.rglob("recipe.lock")}

    # The archive has newer packages beside the old ones: the lock says so and stays.
    site.archive(_OLD, _NEW)
    assert all(row["changes"] == [] for row in site.run()["locks"])
    checked = site.run("--check", status=4)["locks"][-1]
    assert {(c["name"], c["before"], c["after"]) for c in checked["changes"]} == {
        ("greeter:amd64", "1.0", "2.0"),
        ("libgreet:amd64", "1.0", "2.0"),
        ("tool:amd64", "1.0", "2.0"),
    }
    assert {path: path.read_bytes() for path in before} == before

    # A package that is new takes no other along.
    site.recipe("child", _CHILD.replace("[greeter]", "[greeter, later]"))
    (row,) = (row for row in site.run()["locks"] if row["recipe"] == "child")
    assert row["moved"] == ["linux/amd64: the image asks for other packages: apt later is new"]
    assert site.versions() == {"greeter": "1.0", "libgreet": "1.0", "tool": "1.0", "later": "1.0"}

    # One package, and what is built of the same source.
    site.run("--update", "libgreet", "--dry-run")
    assert site.versions()["libgreet"] == "1.0"
    site.run("--update", "libgreet")
    assert site.versions() == {"greeter": "2.0", "libgreet": "2.0", "tool": "1.0", "later": "1.0"}
    error = site.run("--update", "nothing", status=2)["error"]
    assert error["code"] == "lock/unknown-package"

    # Everything; the archive's own state alone is then no change.
    site.archive(_NEW)
    site.run("--update")
    assert site.versions()["tool"] == "2.0"
    last = (site.folder / "recipes/child/recipe.lock").read_bytes()
    site.archive(_NEW)
    site.run("--check")
    site.run("--update")
    assert (site.folder / "recipes/child/recipe.lock").read_bytes() == last


def test_a_lock_is_compared_with_a_revision(site: Site) -> None:
    """As a person reviews it, and a bot shows it."""
    site.run()
    git(site.folder, "init", "-q")
    commit_all(site.folder, 1_700_000_000)
    assert site.run("--diff")["locks"][0]["changes"] == []

    site.archive(_NEW)
    site.recipe("child", _CHILD.replace("[tool]", "[later]"))
    site.run("--update")
    changes = site.run("--diff", "HEAD")["locks"][0]["changes"]
    assert {(c["kind"], c["stage"], c["name"]) for c in changes} == {
        ("changed", "", "greeter:amd64"),
        ("changed", "", "libgreet:amd64"),
        ("removed", "build", "tool:amd64"),
        ("added", "build", "later:amd64"),
    }
    assert site.run("--diff", "nothing", status=2)["error"]["code"] == "recipe/no-revision"


def test_nothing_is_locked_that_no_good_key_signed(site: Site, tmp_path: Path) -> None:
    """Nor what no archive has."""
    site.recipe("child", _CHILD.replace("[greeter]", "[missing]"))
    error = site.run(status=6)["error"]
    assert error["code"] == "lock/not-resolved"
    assert "missing" in error["message"]
    assert not (site.folder / "recipes/child/recipe.lock").exists()

    other = Signer(tmp_path / "other")
    (site.folder / "key.asc").write_bytes(other.public)
    other.stop()
    (site.folder / "recipes/base/recipe.lock").unlink()
    assert site.run(status=6)["error"]["code"] == "lock/no-index"
    assert not (site.folder / "recipes/base/recipe.lock").exists()

"""Repositories of others: a real apt takes what their key signed, and refuses all else."""

import functools
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagekit.build.compression import compressor
from imagekit.build.tools.mirrors import host_mirrors
from imagekit.lock.lock import (
    FILE,
    Lock,
    LockedArchive,
    LockedInstall,
    LockedPlatform,
    LockedTree,
)
from imagekit.lock.lock_file import lock_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.hostplatform import host_platform
from tests.support.aptrepo import Signer, make_repository
from tests.support.command import DATE, imagekit
from tests.support.debs import locked

pytestmark = [pytest.mark.real, pytest.mark.slow]

BASE = """\
schema: 1
name: base
version: 1.0.0
base: {bootstrap: {distribution: debian, suite: bookworm}}
"""
CHILD = """\
schema: 1
name: child
version: 1.0.0
base: {{recipe: {base}}}
apt:
  sources:
    - {{uri: "{uri}", suite: stable, components: [main], signed_by: key.asc}}
packages:
  - {{manager: apt, install: [greeter]}}
tests:
  - run: greeter
    stdout: ^hello from afar$
  - run: test ! -e /run/imagekit && ! grep -r 127.0.0.1 /etc/apt /var/lib/apt
"""
KINDS = ("good", "other", "expired", "unsigned")


class Site:
    """A home with a base recipe, and repositories that are served on loopback."""

    def __init__(self, home: Path, keys: dict[str, bytes], address: str) -> None:
        self.home = home
        self.keys = keys
        self.address = address

    def recipe(self, name: str, text: str, key: bytes = b"") -> Path:
        """Write a recipe."""
        folder = self.home / "recipes" / name
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(text)
        if key:
            (folder / "key.asc").write_bytes(key)
        return folder


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, debian: Callable[[Path], None]
) -> Iterator[Site]:
    """Four repositories: a good one, one of another key, of one that expired, and one of none."""
    home = tmp_path_factory.mktemp("site")
    debian(home)
    signers = {
        kind: Signer(home / f"gnupg-{kind}", expired=kind == "expired") for kind in KINDS[:3]
    }
    for kind in KINDS:
        make_repository(home / "served" / kind, signers.get(kind))
    (home / "recipes").mkdir()
    (home / "recipes/imagekit.toml").touch()
    handler = functools.partial(_Quiet, directory=str(home / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            keys = {kind: signer.public for kind, signer in signers.items()}
            made = Site(home, keys, f"http://127.0.0.1:{server.server_address[1]}")
            made.recipe("base", BASE)
            yield made
        finally:
            server.shutdown()
            thread.join()
            for signer in signers.values():
                signer.stop()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        """Write nothing of every request."""


def test_a_package_comes_from_a_repository_by_its_key(site: Site) -> None:
    """It is installed; neither key nor address is left, and the provenance has what it was."""
    uri = f"{site.address}/good"
    recipe = site.recipe("good", CHILD.format(base="base", uri=uri), site.keys["good"])

    built = imagekit(site.home, "build", str(recipe), HOME=str(site.home))

    assert built.returncode == 0, built.stderr
    records = (site.home / ".cache/imagekit/layers").glob("*.json")
    assert any(f"{uri}/dists/stable/InRelease" in record.read_text() for record in records)


@pytest.mark.parametrize(
    ("repository", "key", "said"),
    [
        ("other", "good", "NO_PUBKEY"),
        ("unsigned", "good", "not signed"),
        ("expired", "expired", "EXPKEYSIG"),
    ],
)
def test_each_is_refused_for_its_own_reason(
    site: Site, repository: str, key: str, said: str
) -> None:
    """With what apt said, at the line of the recipe."""
    uri = f"{site.address}/{repository}"
    recipe = site.recipe(f"no-{repository}", CHILD.format(base="base", uri=uri), site.keys[key])

    built = imagekit(site.home, "build", str(recipe), HOME=str(site.home))

    assert built.returncode == 6
    assert said in built.stderr
    assert "apt-get update ended" in built.stderr
    assert "recipe.yaml:9" in built.stderr


def test_the_sources_of_a_base_are_not_asked(site: Site) -> None:
    """So that none is configured twice, and one that is gone, or trusted, changes nothing."""
    mirror = host_mirrors("debian").main
    signed = "signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
    text = f"""{BASE.rpartition("base:")[0].replace("name: base", "name: own")}
base: {{recipe: base}}
steps:
  - run: |
      cd /etc/apt
      echo 'deb [{signed}] {mirror} bookworm main' > sources.list
      echo 'deb [trusted=yes] http://127.0.0.1:9/ gone main' > sources.list.d/gone.list
"""
    site.recipe("own", text)
    text = CHILD.format(base="own", uri=f"{site.address}/good").rpartition("  - run: test")[0]
    recipe = site.recipe("on-own", text, site.keys["good"])

    built = imagekit(site.home, "build", str(recipe), "--verbose", HOME=str(site.home))

    assert built.returncode == 0, built.stderr
    logs = (site.home / ".local/state/imagekit/logs").glob("*")
    said = built.stderr + "".join(log.read_text() for log in logs)
    assert "Get:" in said
    assert "configured multiple times" not in said


def test_a_locked_recipe_is_built_whatever_its_mirror_has_now(site: Site) -> None:
    """The same image as from the mirror then, without it; one that is gone is named."""
    home, uri, served = site.home, f"{site.address}/moving", site.home / "served/moving"
    signer = Signer(home / "gnupg-moving")
    try:
        make_repository(served, signer)
        text = CHILD.format(base="base", uri=uri).replace("name: child", "name: moving")
        recipe = site.recipe("moving", text.partition("tests:")[0], signer.public)
        unlocked = _digest(home, recipe)
        (recipe / FILE).write_bytes(lock_bytes(_lock(served, uri)))

        by_lock = _digest(home, recipe)
        shutil.rmtree(served)
        make_repository(served, signer, version="2.0")
        later = _digest(home, recipe)
        newest = _digest(home, recipe, "--unlocked")
    finally:
        signer.stop()
    shutil.rmtree(home / ".cache/imagekit/downloads")
    _forget(home)
    gone = imagekit(home, "build", str(recipe), HOME=str(home))

    assert by_lock == later == unlocked != newest
    assert gone.returncode == 6
    assert "greeter 1.0 (all)" in gone.stderr
    assert "imagekit lock RECIPE --update greeter" in gone.stderr


def _lock(served: Path, uri: str) -> Lock:
    (deb,) = (served / "pool").iterdir()
    entry = LockedInstall(manager="apt", asked=("greeter",), debs=(locked(deb, archive=uri),))
    release = Digest.of((served / "dists/stable/InRelease").read_bytes())
    platform = LockedPlatform(
        image=LockedTree(base="recipe base", installs=(entry,)),
        archives=(LockedArchive(name=uri, suite="stable", release=release),),
    )
    return Lock(
        recipe="moving",
        source_date=int(DATE),
        compressor=" ".join(compressor()),
        layers=1,
        platforms={str(host_platform()): platform},
    )


def _digest(home: Path, recipe: Path, *words: str) -> str:
    """Build a recipe, whose own layers were not made before, and return its digest."""
    _forget(home)
    built = imagekit(home, "build", str(recipe), "--no-test", *words, HOME=str(home))
    assert built.returncode == 0, built.stderr
    return built.stdout.strip().rpartition("@")[2]


def _forget(home: Path) -> None:
    for record in (home / ".cache/imagekit/layers").glob("*.json"):
        if "greeter" in record.read_text():
            record.unlink()

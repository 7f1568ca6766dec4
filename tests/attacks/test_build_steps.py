"""Hostile build steps and packages reach nothing of the host: in every isolation, as root or user.

The program tries to read the signing key, its password and a registry login, to signal and trace
the host's processes, to mount, to make device nodes, to have the kernel run programs, to talk to a
socket of the user, to find a key in the kernel's rings, to leave by a second chroot, and to outlive
the step.
"""

import ctypes
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.tinyroot import tiny_root
from tests.support.users import OrdinaryUser, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]

PROGRAM = Path(__file__).with_name("escape.pl")
MARKER = "marked-98714253"
_ABSTRACT = f"imagekit-attacked-{os.getpid()}"
RECIPE = """\
schema: 1
name: attack
version: 1.0.0
base: scratch
steps:
  - copy: {from: root, to: /}
  - run: [/usr/bin/perl, /escape.pl, {home}, "{victim}", {socket}, {marker}, "{abstract}"]
tests:
  - run: [/usr/bin/perl, /escape.pl, {home}, "{victim}", {socket}, {marker}, "{abstract}"]
    stdout: the attack is over
"""

BASE = """\
schema: 1
name: base
version: 1.0.0
base:
  bootstrap: {distribution: debian, suite: bookworm}
"""
MMDEBSTRAP = """\
#!/bin/sh
[ "$1" != --version ] || exit 0
for word; do case $word in --extract-hook=*) hook=${word#--extract-hook=};; esac; done
cd /image && cp -a --no-preserve=ownership "${0%/*}/root/." . || exit 1
mkdir -p dev proc && sh -c "$hook" || exit 1
chroot /image /usr/bin/perl /escape.pl {home} "{victim}" {socket} {marker} "{abstract}"
[ -c /image/dev/null ] && [ -e /image/proc/self/fd/0 ]
"""
"""Fills the root as mmdebstrap does, and runs a hostile script of a package there."""


@dataclass(frozen=True)
class Site:
    """Where somebody publishes a stranger's recipe."""

    home: Path
    user: OrdinaryUser | None

    def imagekit(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run imagekit as whom the site belongs to; the key's password is in its environment."""
        env = {"IMAGEKIT_KEY_PASSWORD": MARKER, "SOURCE_DATE_EPOCH": "1700000000", **more}
        if self.user is not None:
            return self.user.run(["/usr/bin/python3", "-m", "imagekit", *words], env)
        path = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(self.home)}
        return subprocess.run(
            [sys.executable, "-m", "imagekit", *words],
            env={**os.environ, **path, **env},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


# Root makes the others; anybody else is the user.
WHO = ["root", "user", "user without subordinate ids"] if os.geteuid() == 0 else ["user"]


@pytest.fixture(scope="module", params=WHO)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A home with a key, a registry login and a recipe of a stranger."""
    with _home(request.param, tmp_path_factory) as site:
        (site.home / ".docker").mkdir()
        (site.home / ".docker/config.json").write_text(MARKER)
        tiny_root(site.home / "recipe/root")
        shutil.copy(PROGRAM, site.home / "recipe/root/escape.pl")
        if site.user is not None:
            site.user.give(site.home)
        assert site.imagekit("key", "generate").returncode == 0
        yield site


@contextmanager
def _home(who: str, factory: pytest.TempPathFactory) -> Iterator[Site]:
    if who == "root" or os.geteuid() != 0:
        yield Site(factory.mktemp("attacked"), None)
        return
    name = f"imagekit-attacked-{os.getpid()}"
    with ordinary_user(name, subordinate_ids=who == "user") as user:
        yield Site(user.home, user)


@pytest.fixture(autouse=True)
def _key() -> Iterator[None]:
    """A key in the ring of who runs the tests: root's is everybody's who is root."""
    add_key, keyctl = (217, 219) if platform.machine() == "aarch64" else (248, 250)
    unlink, ring = 9, -4
    libc = ctypes.CDLL(None)
    key = libc.syscall(add_key, b"user", b"imagekit-attacked", b"secret", 6, ring)
    yield
    if key >= 0:
        libc.syscall(keyctl, unlink, key, ring)


@pytest.fixture
def victim(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user on the host."""
    uid = None if site.user is None else site.user.uid
    process = subprocess.Popen(["sleep", "600", MARKER.replace("marked-", "0.0000000")], user=uid)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("isolation", ["auto", "chroot"])
def test_hostile_step_reaches_nothing(
    site: Site, victim: subprocess.Popen[bytes], isolation: str
) -> None:
    """Neither a step nor a test of the image, while a publish holds the key."""
    one_id = site.user is not None and not _has_subordinate_ids(site.user)
    with _listening(site) as path:
        (site.home / "recipe/recipe.yaml").write_text(_recipe(site, victim, path, tests=not one_id))
        words = ("recipe", "--to", "oci:images", "--no-cache", "--isolation", isolation)
        said = site.imagekit("publish", *words, "--key", "imagekit.key", "--verbose")
    shutil.rmtree(site.home / "images", ignore_errors=True)

    if isolation == "chroot" and one_id:
        # Buildah's chroot sets groups, which a namespace of one id refuses: nothing runs at all.
        assert said.returncode == 6, said.stderr
        assert "the attack is over" not in said.stderr
        return
    assert said.returncode == 0, said.stderr
    assert said.stderr.count("the attack is over") >= (1 if one_id else 2)
    assert re.findall("^.*reached: .*$", said.stderr, re.MULTILINE) == []
    assert victim.poll() is None
    assert _sleepers() == []
    assert ("chroot only" in said.stderr) is (isolation == "chroot")


def test_hostile_package_of_a_new_base_reaches_nothing(
    site: Site, victim: subprocess.Popen[bytes]
) -> None:
    """Its script runs as root, in the chroot of mmdebstrap, which root leaves."""
    programs = site.home / "programs"
    shutil.copytree(site.home / "recipe/root", programs / "root", symlinks=True)
    (site.home / "base").mkdir()
    (site.home / "base/recipe.yaml").write_text(BASE)
    with _listening(site) as path:
        program = programs / "mmdebstrap"
        program.write_text(_filled(MMDEBSTRAP, site, victim, path))
        program.chmod(0o755)
        words = ("base", "--to", "oci:images", "--no-cache", "--key", "imagekit.key", "--verbose")
        said = site.imagekit("publish", *words, PATH=f"{programs}:{os.environ['PATH']}")
    shutil.rmtree(site.home / "images", ignore_errors=True)

    if site.user is not None and not _has_subordinate_ids(site.user):
        # Files of a system have other owners, so that it is refused before anything runs.
        assert said.returncode == 6, said.stderr
        assert "the attack is over" not in said.stderr
        return
    assert said.returncode == 0, said.stderr
    assert said.stderr.count("the attack is over") == 1
    assert re.findall("^.*reached: .*$", said.stderr, re.MULTILINE) == []
    assert victim.poll() is None
    assert _sleepers() == []


def _recipe(site: Site, victim: subprocess.Popen[bytes], path: Path, *, tests: bool) -> str:
    return _filled(RECIPE if tests else RECIPE.partition("tests:")[0], site, victim, path)


def _filled(text: str, site: Site, victim: subprocess.Popen[bytes], path: Path) -> str:
    found = {"home": site.home, "victim": victim.pid, "socket": path, "marker": MARKER}
    found["abstract"] = _ABSTRACT if _scopes_sockets() else ""
    for name, value in found.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


@contextmanager
def _listening(site: Site) -> Iterator[Path]:
    """Listen where agents of a session do: in a folder of /run that is the user's."""
    # An ordinary user's own folder of /run is made by logging in, which a test does not do.
    run = "/run" if os.geteuid() == 0 else "/dev/shm"
    folder = Path(run) / f"imagekit-attacked-{os.getpid()}"
    folder.mkdir(mode=0o755)
    path = folder / "agent"
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            if site.user is not None:
                site.user.give(folder)
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(f"\0{_ABSTRACT}")
                other.listen()
                yield path
    finally:
        shutil.rmtree(folder)


def _scopes_sockets() -> bool:
    """Return whether the kernel knows Landlock's scopes, by the version that it says it has."""
    create, version = 444, 1
    abi: int = ctypes.CDLL(None).syscall(create, None, 0, version)
    return abi >= 6


def _sleepers() -> list[str]:
    number = re.sub(r"\D", "", MARKER)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if line == f"sleep {number}"]


def _has_subordinate_ids(user: OrdinaryUser) -> bool:
    return any(
        line.startswith(f"{user.name}:") for line in Path("/etc/subuid").read_text().splitlines()
    )

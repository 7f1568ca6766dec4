"""What is built does not depend on how steps are contained, who builds, or what folders are called.

Each build is of one recipe whose files have names that Buildah takes for patterns.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tinyroot import tiny_root
from tests.support.users import ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]

ODD = "Ho.me, [a-z]*? 1"
RECIPE = r"""
schema: 1
name: same
version: 1.0.0
base: scratch
stages:
  of-it:
    steps:
      - copy: {from: root, to: /}
      - run: |
          perl -e 'mkdir "/opt"; mkdir "/opt/x"; open F, ">", "/opt/x/made"; print F "3\n";
          close F; chmod 04755, "/opt/x/made"'
steps:
  - copy: {from: root, to: /}
  - copy: {from_stage: of-it, from: /opt/x, to: /stage}
  - copy: {from: "data[1].txt", to: /opt/}
  - copy: {from: "data[1].txt", to: /opt}
  - copy: {from: "data[1].txt", to: "/opt/one[2].txt"}
  - copy: {from: "folder *?", to: /srv}
  - run: (echo "$HOSTNAME $HOME $PATH"; umask; cat /proc/sys/kernel/hostname) > /seen
  - run: while read -r a b; do case $a in *:) echo "$a"; esac; done < /proc/net/dev > /net
    network: none
tests:
  - run: [cat, "/opt/data[1].txt", "/opt/one[2].txt", "/srv/b[x]", /stage/made, /net]
    stdout: "^1\n1\n2\n3\nlo:\n$"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe in a folder whose name is no easier than those of its files."""
    folder = tmp_path / ODD / "rec,ipe"
    tiny_root(folder / "root")
    (folder / "data[1].txt").write_text("1\n")
    (folder / "folder *?").mkdir()
    (folder / "folder *?/b[x]").write_text("2\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def _env(home: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    own = {"HOME": str(home), "SOURCE_DATE_EPOCH": "1700000000"}
    return kept | own | {"PYTHONPATH": os.pathsep.join(sys.path)} | more


def _build(recipe: Path, env: dict[str, str], *words: str) -> tuple[str, list[str]]:
    """Return the digest, and how the steps were contained."""
    outcome = subprocess.run(
        [sys.executable, "-m", "imagekit", "build", recipe, "--json", *words],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return _said(outcome)


def _said(outcome: subprocess.CompletedProcess[str]) -> tuple[str, list[str]]:
    assert outcome.returncode == 0, outcome.stderr
    document = json.loads(outcome.stdout)
    return document["digest"], [text.partition(" ")[0] for text in document["isolation"]]


def test_digest_is_the_same_in_every_isolation_under_any_home(recipe: Path, tmp_path: Path) -> None:
    """By a runtime under an odd HOME, TMPDIR and XDG_RUNTIME_DIR; by chroot under a plain one."""
    home, other = tmp_path / ODD, tmp_path / "plain"
    odd = {"TMPDIR": str(home / "T,mp"), "XDG_RUNTIME_DIR": str(home / "R.un")}
    for path in odd.values():
        Path(path).mkdir(mode=0o700)

    oci, how = _build(recipe, _env(home, **odd))
    chroot, other_how = _build(recipe, _env(other), "--isolation", "chroot")

    assert oci == chroot
    assert how == (["oci"] if os.geteuid() == 0 else ["rootless"])
    assert other_how == ["chroot"]


def test_user_and_root_build_the_same_digest(recipe: Path, tmp_path: Path) -> None:
    """Rootless by an OCI runtime, in a home that is no plain path either."""
    if os.geteuid() != 0:
        by_user, how = _build(recipe, _env(tmp_path / "user"), "--no-test")
        by_root = _by_sudo(recipe, tmp_path)
        assert (by_user, how) == (by_root, ["rootless"])
        return
    with ordinary_user(f"imagekit-same-{os.getpid()}") as user:
        shutil.copytree(recipe, user.home / "recipe", symlinks=True)
        home = user.home / ODD
        home.mkdir()
        user.give(user.home)
        words = ["/usr/bin/python3", "-m", "imagekit", "build", str(user.home / "recipe"), "--json"]
        env = {"HOME": str(home), "SOURCE_DATE_EPOCH": "1700000000"}
        by_user, how = _said(user.run(words, env))

    by_root, _ = _build(recipe, _env(tmp_path / "root"), "--no-test")

    assert by_user == by_root
    assert how == ["rootless"]


def _by_sudo(recipe: Path, folder: Path) -> str:
    """Return the digest of what root builds, whose HOME is left to root."""
    env = _env(folder / "root") | {"SUDO_UID": str(os.getuid())}
    given = [f"{name}={value}" for name, value in env.items()]
    words = [sys.executable, "-m", "imagekit", "build", str(recipe), "--json", "--no-test"]
    done = subprocess.run(
        ["sudo", "-n", "env", "-i", *given, *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    subprocess.run(["sudo", "-n", "rm", "-rf", folder / "root"], check=True)
    return _said(done)[0]


def test_a_containerfile_gives_the_same_digest_in_every_isolation(
    recipe: Path, tmp_path: Path
) -> None:
    """No step sees the container's id, which Buildah takes for the host's name."""
    (recipe / "Containerfile").write_text(
        "FROM scratch\nCOPY root /\n"
        'RUN (echo "$HOSTNAME $HOME $PATH"; umask; cat /proc/sys/kernel/hostname) > /seen\n'
    )
    text = "schema: 1\nname: same\nversion: 1.0.0\ncontainerfile: Containerfile\n"
    (recipe / "recipe.yaml").write_text(text)
    env = _env(tmp_path / "home")

    oci, how = _build(recipe, env, "--no-cache", "--isolation", "oci")
    chroot, other_how = _build(recipe, env, "--no-cache", "--isolation", "chroot")

    assert oci == chroot
    assert how != other_how == ["chroot"]

"""Verifying where there is little: no HOME, no rights, nothing that can be written, no network.

The image lies in an OCI layout, as it is carried to a machine without a network. imagekit runs by
Debian's Python with nothing beside it but what verifying by key needs, so that every user can
read it.
"""

import contextlib
import importlib.util
import json
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]

PYTHON = "/usr/bin/python3"
PACKAGES = ("imagekit", "cachetools", "msgspec", "yaml", "_yaml", "cryptography", "_cffi_backend")
"""All that verifying by key loads besides the standard library."""
RECIPE = """\
schema: 1
name: apps/hello
version: 1.0.0
base: scratch
steps:
  - copy: {from: hello, to: /hello}
"""
FRESH = {"monotonic": True}
STRICT = {"monotonic": True, "remember": "required"}
ALLOWED, DENIED, NO_VERDICT = 0, 3, 6
READ_ONLY = 'mount --make-rprivate / && mount -o remount,ro,bind / && ! touch "$0/x" 2>/dev/null'
"""A shell's words that make everything unwritable, and end there if it is not."""


@dataclass(frozen=True)
class Site:
    """A folder that everybody can read, with imagekit, an image and policies."""

    folder: Path
    image: str

    def verify(
        self,
        *words: str,
        policy: str = "plain",
        env: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Verify the image, or what the words say, with no other environment than this."""
        given = {"PYTHONPATH": str(self.folder / "packages"), **(env or {})}
        argv = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in given.items())]
        argv += [PYTHON, "-m", "imagekit", "verify", *(words or (self.image,))]
        argv += ["--policy", str(self.folder / f"{policy}.json"), "--json"]
        return subprocess.run(
            [*inside, *argv],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An image that was published into a layout, signed, with a release."""
    home = tmp_path_factory.mktemp("publisher")
    with tempfile.TemporaryDirectory(prefix="imagekit-environments-", dir="/var/tmp") as name:
        folder = Path(name)
        _packages(folder / "packages")
        (home / "recipe.yaml").write_text(RECIPE)
        (home / "hello").write_text("hello\n")
        image = f"oci:{folder}/layout:apps/hello:1.0.0"
        publish = ("publish", str(home), "--to", f"oci:{folder}/layout", "--key", "imagekit.key")
        for words in (("key", "generate"), publish):
            _imagekit(home, *words)
        shutil.copy(home / "imagekit.pub", folder)
        for policy, freshness in (("plain", None), ("fresh", FRESH), ("strict", STRICT)):
            (folder / f"{policy}.json").write_text(_policy(freshness))
        subprocess.run(["chmod", "-R", "go+rX", folder], check=True)
        yield Site(folder, image)


@pytest.fixture(scope="module")
def user() -> Iterator[pwd.struct_passwd]:
    """A user without privileges: this one, or one that is made and removed with all it has."""
    if os.geteuid() != 0:
        yield pwd.getpwuid(os.geteuid())
        return
    name = f"imagekit-env-{os.getpid()}"
    subprocess.run(["useradd", "--create-home", name], check=True)
    try:
        yield pwd.getpwnam(name)
    finally:
        subprocess.run(["userdel", "--remove", name], capture_output=True, check=False)


def _packages(folder: Path) -> None:
    folder.mkdir()
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, folder / name)
        else:
            shutil.copy(origin, folder)


def _imagekit(home: Path, *words: str) -> None:
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "IMAGEKIT_KEY_PASSWORD": "x"}
    outcome = subprocess.run(
        [sys.executable, "-m", "imagekit", *words],
        cwd=home,
        env=env | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr


def _policy(freshness: Mapping[str, object] | None) -> str:
    rule: dict[str, object] = {
        "match": {"glob": "**"},
        "authorities": [{"name": "release", "key": {"path": "imagekit.pub"}}],
        "attestations": [{"type": "cyclonedx"}, {"type": "slsaprovenance1"}],
    }
    document = {
        "apiVersion": "imagekit/v1",
        "kind": "ImagePolicy",
        "metadata": {"name": "site", "version": 1, "expires": "2999-01-01T00:00:00Z"},
        "default": "reject",
        "images": [rule | ({} if freshness is None else {"freshness": freshness})],
    }
    return json.dumps(document)


def _as_user(uid: int) -> list[str]:
    """Return what runs a command as a user by number; root may, and who may become root."""
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    return [*root, "/usr/bin/setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


def _unshared(*kinds: str) -> list[str]:
    """Return what runs a command in namespaces of its own; a user is root in one besides."""
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["/usr/bin/unshare", *own, *kinds]


def _read_only(where: Path) -> list[str]:
    return [*_unshared("--mount"), "/bin/sh", "-c", f'{READ_ONLY} && exec "$@"', str(where)]


def _freshness(outcome: subprocess.CompletedProcess[str]) -> str:
    """Return the code of the only finding on freshness, or nothing where there is none."""
    found = json.loads(outcome.stdout)["findings"]
    codes = [str(one["code"]) for one in found if one["check"] == "freshness"]
    assert len(codes) <= 1, outcome.stdout
    return "".join(codes)


def _codes(outcome: subprocess.CompletedProcess[str]) -> list[str]:
    return [one["code"] for one in json.loads(outcome.stdout)["findings"]]


def test_root_and_a_user_come_to_one_verdict(
    site: Site, user: pwd.struct_passwd, tmp_path: Path
) -> None:
    """Each with a HOME of their own, and each remembers what was seen there."""
    home = Path(user.pw_dir) if os.geteuid() == 0 else tmp_path
    other = _as_user(user.pw_uid) if os.geteuid() == 0 else []
    (tmp_path / "mine").mkdir()

    mine = site.verify(policy="strict", env={"HOME": str(tmp_path / "mine")})
    theirs = site.verify(policy="strict", env={"HOME": str(home)}, inside=other)

    assert (mine.returncode, theirs.returncode) == (ALLOWED, ALLOWED), mine.stderr + theirs.stderr
    assert mine.stdout == theirs.stdout
    for folder in (tmp_path / "mine", home):
        assert (folder / ".local/state/imagekit/seen.db").is_file()


def test_an_empty_environment_is_enough(site: Site) -> None:
    """Neither HOME nor PATH is needed, and nothing is said on stderr."""
    outcome = site.verify()

    assert (outcome.returncode, outcome.stderr) == (ALLOWED, "")
    assert set(_codes(outcome)) == {"OK"}


LITTLE = [
    pytest.param("plain", ALLOWED, "", id="no freshness asked for"),
    pytest.param("fresh", ALLOWED, "NOT_REMEMBERED", id="freshness"),
    pytest.param("strict", DENIED, "NOT_REMEMBERED", id="freshness, remembered"),
]
"""What a policy says where nothing can be remembered; the image is good."""


@pytest.mark.parametrize(("policy", "exit_code", "code"), LITTLE)
def test_a_user_whom_nobody_knows(site: Site, policy: str, exit_code: int, code: str) -> None:
    """Such as a container's or a daemon's: no name, no HOME, no folder that it may write to."""
    before = set(site.folder.iterdir())
    outcome = site.verify(policy=policy, inside=_as_user(54321))

    assert outcome.returncode == exit_code, outcome.stderr
    assert _freshness(outcome) == code
    assert set(site.folder.iterdir()) == before


@pytest.mark.parametrize(("policy", "exit_code", "code"), LITTLE)
def test_on_a_read_only_file_system(
    site: Site, policy: str, exit_code: int, code: str, tmp_path: Path
) -> None:
    """Every file system is read-only, as on a node that boots an image."""
    outcome = site.verify(policy=policy, env={"HOME": str(tmp_path)}, inside=_read_only(tmp_path))

    assert outcome.returncode == exit_code, outcome.stderr
    assert _freshness(outcome) == code
    assert list(tmp_path.iterdir()) == []


def test_what_was_seen_before_counts_on_a_read_only_file_system(site: Site, tmp_path: Path) -> None:
    """A tag that went back is refused by a memory that can only be read."""
    env = {"HOME": str(tmp_path)}
    assert site.verify(policy="fresh", env=env).returncode == ALLOWED
    database = tmp_path / ".local/state/imagekit/seen.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE seen SET sequence = sequence + 1 WHERE name LIKE '%:1.0.0'")

    outcome = site.verify(policy="fresh", env=env, inside=_read_only(tmp_path))

    assert outcome.returncode == DENIED, outcome.stdout
    assert _freshness(outcome) == "ROLLBACK"


def test_without_a_network(site: Site, tmp_path: Path) -> None:
    """Not even the loopback interface is up; of an image in a layout nobody has to be asked."""
    outcome = site.verify(policy="strict", env={"HOME": str(tmp_path)}, inside=_unshared("--net"))

    assert outcome.returncode == ALLOWED, outcome.stderr
    assert set(_codes(outcome)) == {"OK"}


def test_without_a_network_a_registry_is_no_verdict(site: Site) -> None:
    """It is told at once, and never means that there is no signature."""
    began = time.monotonic()
    outcome = site.verify("127.0.0.1:5000/apps/hello:1.0.0", inside=_unshared("--net"))

    assert outcome.returncode == NO_VERDICT, outcome.stdout
    assert json.loads(outcome.stdout)["error"]["code"] == "CONNECTION"
    assert time.monotonic() - began < 30


def test_with_nothing_at_all(site: Site, tmp_path: Path) -> None:
    """No network, nothing to write to, no HOME and no name."""
    inside = [*_unshared("--net", "--mount"), "/bin/sh", "-c", f'{READ_ONLY} && exec "$@"']
    drop = _as_user(54321) if os.geteuid() == 0 else []

    outcome = site.verify(inside=[*inside, str(tmp_path), *drop])

    assert outcome.returncode == ALLOWED, outcome.stderr
    assert set(_codes(outcome)) == {"OK"}


def test_an_altered_image_is_refused_there_as_well(site: Site, tmp_path: Path) -> None:
    """Without network, HOME and memory one byte of the configuration is still noticed."""
    copy = tmp_path / "layout"
    shutil.copytree(site.folder / "layout", copy)
    for blob in (copy / "blobs/sha256").iterdir():
        raw = blob.read_bytes()
        if b'"rootfs"' in raw:
            blob.chmod(0o644)
            blob.write_bytes(raw.replace(b"linux", b"Linux"))

    outcome = site.verify(f"oci:{copy}:apps/hello:1.0.0", inside=_unshared("--net"))

    assert outcome.returncode == DENIED, outcome.stdout
    assert "CONTENT_DIGEST_MISMATCH" in _codes(outcome)

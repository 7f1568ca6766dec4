"""A host whose engines were sent to the gate: real Podman, Buildah and Skopeo, by its files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.clients.conftest import Site
from tests.support.users import OrdinaryUser, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]

# The host's files as they would be, in a mount namespace of its own.
_INSIDE = 'mount --bind "$0/etc/containers" /etc/containers; exec "$@"'


def _imagekit(root: Path, *words: str) -> tuple[int, dict[str, object]]:
    command = [sys.executable, "-P", "-m", "imagekit", *words, "--json"]
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-ec", _INSIDE, str(root), *command],
        env={**os.environ, "HOME": str(root / "home")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's files: /etc/containers as Debian has it."""
    if os.geteuid() != 0:
        pytest.skip("a mount namespace wants root")
    shutil.copytree("/etc/containers", tmp_path / "etc/containers")
    (tmp_path / "home").mkdir()
    return tmp_path


def test_engines_pull_what_the_gate_gives_and_nothing_else(site: Site, root: Path) -> None:
    """By the registry's own name: install, test, and remove leave the host as it was."""
    before = {p: p.read_bytes() for p in (root / "etc").rglob("*") if p.is_file()}
    words = ("--registry", site.registry, "--gate-ca", str(site.gate.authority))
    images = (
        *("--good", f"{site.registry}/{site.good.name}:1.0.0"),
        *("--bad", f"{site.registry}/{site.bad.name}:1.0.0"),
    )

    code, found = _imagekit(root, "trust", "test", *images)
    assert code == 3, "without the gate both are pulled"

    gate = ("--gate", f"https://{site.gate.host}", "--engine", "containers", "--root", str(root))
    assert _imagekit(root, "trust", "install", *gate, *words)[0] == 0
    sent = len(site.sent(site.bad))
    code, found = _imagekit(root, "trust", "test", *images)
    engines = {str(one["engine"]): one for one in found["engines"]}  # type: ignore[attr-defined]
    assert code == 0, found
    assert {"podman", "buildah", "skopeo"} <= set(engines)
    assert "UNTRUSTED_KEY" in str(engines["podman"]["bad"])
    assert len(site.sent(site.bad)) == sent, "the origin was asked"

    assert _imagekit(root, "trust", "remove", "--root", str(root))[0] == 0
    assert {p: p.read_bytes() for p in (root / "etc").rglob("*") if p.is_file()} == before


@pytest.mark.root
@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])
def test_one_user_is_sent_to_the_gate_without_root(site: Site, *, ids: bool) -> None:
    """The files of this user alone: rootless engines obey them, and they can be overridden."""
    with ordinary_user(f"ik-trust-{os.getpid()}", subordinate_ids=ids) as user:
        authority = Path(shutil.copy(site.gate.authority, user.home / "gate.pem"))
        user.give(authority)
        before = _files(user.home / ".config")
        gate = ("--gate", f"https://{site.gate.host}", "--gate-ca", str(authority))

        code, made = _as(user, "trust", "install", "--user", *gate, "--registry", site.registry)

        assert code == 0, made
        assert "ONE_USER" in str(made["remarks"])
        assert set(_files(user.home / ".config")) > set(before)
        sent = len(site.sent(site.bad))
        code, tried = _as(
            user,
            *("trust", "test", "--good", f"{site.registry}/{site.good.name}:1.0.0"),
            *("--bad", f"{site.registry}/{site.bad.name}:1.0.0"),
        )
        assert code == 0, tried
        assert isinstance(tried["engines"], list)
        engines = {str(engine["engine"]): engine for engine in tried["engines"]}
        assert {"podman", "buildah", "skopeo"} <= set(engines)
        assert "UNTRUSTED_KEY" in str(engines["podman"]["bad"])
        assert len(site.sent(site.bad)) == sent, "the origin was asked"

        assert _status_of_overrides(user) == "ok", "what was installed is no way around"
        own = user.home / ".config/containers/registries.conf.d/zz-own.conf"
        own.write_text(f'[[registry]]\nprefix = "{site.registry}"\nlocation = "{site.registry}"\n')
        bad = f"docker://{site.registry}/{site.bad.name}:1.0.0"
        copy = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", bad]
        done = user.run([*copy, f"dir:{user.home}/another"], _login(user))
        assert done.returncode == 0, "the user's own files override it, as the remark says"
        assert _status_of_overrides(user) == "problem"
        own.unlink()

        assert _as(user, "trust", "remove", "--user")[0] == 0
        assert _files(user.home / ".config") == before


def _as(user: OrdinaryUser, *words: str) -> tuple[int, dict[str, object]]:
    # Users need not reach the Python of these tests, which may be in root's home.
    argv = ["/usr/bin/python3", "-P", "-m", "imagekit", *words, "--json"]
    done = user.run(argv, _login(user))
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def _login(user: OrdinaryUser) -> dict[str, str]:
    """Return what a login sets.

    Without it Podman reads /run/containers, which is closed to users where root's ran first.
    """
    runtime = user.home / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    user.give(runtime)
    return {"XDG_RUNTIME_DIR": str(runtime)}


def _status_of_overrides(user: OrdinaryUser) -> str:
    checks = _as(user, "doctor")[1]["checks"]
    assert isinstance(checks, list)
    return str(next(check["status"] for check in checks if check["name"] == "policy"))


def _files(folder: Path) -> dict[Path, bytes]:
    """Return what is there of imagekit and of the engines' configuration."""
    places = (folder / "containers", folder / "imagekit")
    files = (path for place in places for path in place.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files}

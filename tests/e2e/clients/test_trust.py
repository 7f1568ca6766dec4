"""A host whose engines were sent to the gate: real Podman, Buildah and Skopeo, by its files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.clients.conftest import Site

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

"""The gate's own image, from its recipe to a container that serves by a policy."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagekit.hosts.podman_setup import podman
from imagekit.oci.layout import LayoutStore
from imagekit.oci.registry.options import RegistryOptions
from tests.e2e.gate.kit import Reply, Site, ask
from tests.support.command import at_home
from tests.support.servers import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory, project: Path, debian: Callable[[Path], None]
) -> Path:
    """A HOME with the recipe of the gate, the wheel of this checkout in it, and a key."""
    home = tmp_path_factory.mktemp("gate-image")
    debian(home)
    for name in ("base", "gate"):
        shutil.copytree(
            project / "recipes" / name,
            home / "recipes" / name,
            ignore=shutil.ignore_patterns("*.whl"),
        )
    (home / "recipes/imagekit.toml").touch()
    _run(home, str(project / "scripts/gate-image"), "wheel", str(home / "recipes/gate"))
    _imagekit(home, "key", "generate")
    return home


@pytest.fixture(scope="module")
def image(home: Path, registry: str) -> Iterator[str]:
    """The image's id, after it was published, verified and pulled as a site does it."""
    name = f"{registry}/site/gate:0.1.0"
    publish = ("publish", "recipes/gate", "--to", f"{registry}/site", "--key", "imagekit.key")
    _imagekit(home, *publish)
    glob = ("--image", f"{registry}/site/**", "--key", "imagekit.pub")
    (home / "site.yaml").write_text(_imagekit(home, "policy", "new", *glob))
    pinned = _imagekit(home, "pull", name, "--policy", "site.yaml").strip()
    found = _run(home, "podman", "image", "inspect", "--format", "{{.Id}}", pinned).strip()
    yield found
    _run(home, "podman", "rmi", "--force", found)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A layout with a signed image and one that nobody signed."""
    LayoutStore.create(tmp_path / "layout")
    site = Site("registry.site.example", tmp_path, tmp_path / "layout")
    site.push("apps/signed", "1")
    site.push("apps/unsigned", "1", content=b"x", signed=False)
    (tmp_path / "etc").mkdir()
    shutil.copy(site.policy, tmp_path / "etc/policy.yaml")
    for path in tmp_path.rglob("*"):
        # The gate's user is another one.
        path.chmod(0o755 if path.is_dir() else 0o644)
    return site


def test_container_serves_what_the_policy_allows(home: Path, image: str, site: Site) -> None:
    """Without root, rights and a root file system to write to; and it ends when it is told to."""
    port = free_port()
    container = _run(home, *_started(site), image, *_words(port)).strip()
    try:
        alive = _alive(home, container, port)
        signed = ask(port, "/v2/apps/signed/manifests/1")
        layer = signed.json["layers"][0]["digest"]
        blob = ask(port, f"/v2/apps/signed/blobs/{layer}")
        unsigned = ask(port, "/v2/apps/unsigned/manifests/1")
        user = _run(home, "podman", "exec", container, "id", "-u").strip()
        _run(home, "podman", "stop", "--time", "45", container)
        ended = _run(home, "podman", "inspect", "--format", "{{.State.ExitCode}}", container)
    finally:
        _run(home, "podman", "rm", "--force", "--volumes", container)

    assert alive.json == {"alive": True}
    assert (signed.status, blob.status) == (200, 200)
    assert (unsigned.status, unsigned.code) == (403, "DENIED")
    assert "NO_SIGNATURE" in unsigned.message
    assert user == "65532"
    assert ended.strip() == "0"


def _started(site: Site) -> tuple[str, ...]:
    """Return the words that start a container, as this host's Podman needs them."""
    host = podman(RegistryOptions(), network="host", progress=lambda _: None).container.words
    return (
        *("podman", "run", "--detach", "--read-only", "--pull", "never", "--cap-drop", "all"),
        *("--volume", f"{site.folder}/etc:/etc/imagekit:ro"),
        *("--volume", f"{site.layout}:/srv/images:ro"),
        *host,
    )


def _words(port: int) -> tuple[str, ...]:
    return ("--listen", f"127.0.0.1:{port}", "--upstream", "oci:/srv/images")


def _alive(home: Path, container: str, port: int) -> Reply:
    """Wait until the gate answers."""
    end = time.monotonic() + 60
    while True:
        try:
            return ask(port, "/healthz")
        except OSError:
            if time.monotonic() > end:
                raise RuntimeError(_run(home, "podman", "logs", container)) from None
            time.sleep(0.1)


def _imagekit(home: Path, *words: str) -> str:
    return _run(home, sys.executable, "-m", "imagekit", *words)


def _run(home: Path, *argv: str) -> str:
    env = at_home(home, IMAGEKIT_KEY_PASSWORD="x", PYTHON=sys.executable)
    ran = subprocess.run(
        argv, cwd=home, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == 0, f"{argv} ended with {ran.returncode}: {ran.stderr[-3000:]}"
    return ran.stdout

"""Docker's own daemon asks the authorization plugin, and does as it says."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.hosts.daemons import Daemon, environment, said
from tests.offline_site import Site

pytestmark = [pytest.mark.real, pytest.mark.slow]

PLUGINS = Path("/run/docker/plugins")
CONTAINERD = """\
version = 2
root = "{folder}/c-root"
state = "{folder}/c-state"
[grpc]
address = "{folder}/c.sock"
"""


class Docker:
    """A client of the daemon."""

    def __init__(self, program: str, folder: Path, plugin: Daemon) -> None:
        """Keep where the daemon listens."""
        self.program = program
        self.host = f"unix://{folder}/d.sock"
        self.plugin = plugin

    def __call__(self, *words: str) -> tuple[int, str]:
        """Run a command of docker."""
        return said([self.program, "--host", self.host, *words])

    def post(self, path: str, *options: str) -> str:
        """Post something that no honest client sends."""
        socket = self.host.removeprefix("unix://")
        words = ["curl", "-s", "--unix-socket", socket, "--path-as-is", "-X", "POST"]
        return said([*words, "-H", "Content-Type: application/json", *options, f"http://d{path}"])[
            1
        ]


@pytest.fixture(scope="module")
def docker(
    site: Site, program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Docker]:
    """Containerd, the plugin and dockerd, started in this order without systemd."""
    dockerd, containerd, client = (program(x) for x in ("dockerd", "containerd", "docker"))
    folder = tmp_path_factory.mktemp("d")
    name = f"imagekit-{folder.parent.name}"
    (folder / "c.toml").write_text(CONTAINERD.format(folder=folder))
    (folder / "v.yaml").write_text(f"policy: {site.home}/policy.yaml\nstate: {folder}/seen.db\n")
    (folder / "d.json").write_text(
        json.dumps(
            {
                "data-root": f"{folder}/data",
                "exec-root": f"{folder}/exec",
                "pidfile": f"{folder}/pid",
                "hosts": [f"unix://{folder}/d.sock"],
                "containerd": f"{folder}/c.sock",
                "storage-driver": "vfs",
                "iptables": False,
                "bridge": "none",
                "authorization-plugins": [name],
            }
        )
    )
    words = [sys.executable, "-m", "imagekit", "authz-docker"]
    words += ["--listen", f"unix://{PLUGINS}/{name}.sock", "--config", f"{folder}/v.yaml"]
    with (
        Daemon([containerd, "-c", f"{folder}/c.toml"], folder / "c.log") as first,
        Daemon(words, folder / "plugin.log", env=environment()) as plugin,
    ):
        first.wait_for(folder / "c.sock")
        plugin.wait_for(PLUGINS / f"{name}.sock")
        daemon = [dockerd, "--config-file", f"{folder}/d.json"]
        with Daemon(daemon, folder / "d.log") as last:
            last.wait_for(folder / "d.sock")
            yield Docker(client, folder, plugin)


def _pinned(site: Site) -> str:
    inspected = json.loads(site.done("inspect", site.image, "--json"))
    return f"{site.image.rpartition(':')[0]}@{inspected['digest']}"


def test_by_digest_it_is_pulled_and_run(site: Site, docker: Docker) -> None:
    """The verdict is on exactly that."""
    assert docker("pull", _pinned(site))[0] == 0
    code, out = docker("run", "--rm", "--network", "none", _pinned(site))

    assert (code, out.startswith("ldconfig (")) == (0, True), out


def test_by_tag_the_digest_is_told(site: Site, docker: Docker) -> None:
    """And nothing is pulled."""
    code, out = docker("pull", site.image)

    assert code != 0
    assert f"docker pull {_pinned(site)}" in out


def test_another_tag_of_the_image_is_not_run(site: Site, docker: Docker) -> None:
    """A name that anybody gave it says nothing."""
    docker("pull", _pinned(site))
    docker("tag", _pinned(site), "mine:1")

    code, out = docker("run", "--rm", "mine:1")

    assert code != 0
    assert "NO_POLICY" in out


@pytest.mark.parametrize(
    "words",
    [("build", "-"), ("load", "-i", "hello.tar"), ("import", "hello.tar")],
    ids=lambda words: words[0],
)
def test_images_from_elsewhere_are_refused(
    site: Site, docker: Docker, words: Sequence[str]
) -> None:
    """They were verified by nobody."""
    site.done("export", site.image, "--policy", "policy.yaml", "--to", "hello.tar")
    here = [str(site.home / word) if word.endswith(".tar") else word for word in words]

    code, out = docker(*here)

    assert code != 0
    assert "not allowed here" in out


def test_bodies_that_are_not_passed_on_are_refused(docker: Docker, tmp_path: Path) -> None:
    """Empty ones (CVE-2024-41110) and large ones (CVE-2026-34040)."""
    large = tmp_path / "large"
    large.write_text(json.dumps({"Image": "mine:1", "Labels": {"a": "b" * 1_200_000}}))
    create = "/v1.41/containers/create"

    assert "did not pass on" in docker.post(create, "--data-binary", f"@{large}")
    assert "did not pass on" in docker.post(create, "-H", "Content-Length: 0")


def test_without_the_plugin_docker_refuses(docker: Docker) -> None:
    """The last test: it fails closed."""
    docker.plugin.process.terminate()
    docker.plugin.process.wait(30)

    code, out = docker("ps")

    assert code != 0
    assert "plugin" in out
    assert docker.plugin.process.returncode == 0

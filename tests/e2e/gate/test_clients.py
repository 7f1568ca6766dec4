"""Real clients through the gate: allowed and refused, and what is left of a refusal."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagekit.oci.digest import Digest
from imagekit.signatures.publickey import public_key_pem
from tests.e2e.gate.kit import GateProcess, Site
from tests.e2e.gate.local import LocalGate, Making
from tests.e2e.gate.origin import Origin
from tests.support.fakes import MemorySigner
from tests.support.programs import bench_program

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def site(docker_site: Site) -> Site:
    """A signed image and one that is not."""
    docker_site.push("apps/good", "1", content=os.urandom(1 << 20))
    docker_site.push("apps/bad", "1", content=b"evil", signed=False)
    docker_site.push_index("apps/many", "1", "amd64", "arm64")
    return docker_site


@pytest.fixture(scope="module")
def gate(site: Site) -> Iterator[GateProcess]:
    """A gate in front of it."""
    with GateProcess(site) as running:
        yield running


class Podman:
    """podman with a storage of the test's own."""

    def __init__(self, env: dict[str, str] | None = None) -> None:
        # podman takes no longer path.
        self._folder = tempfile.mkdtemp(prefix="ig-", dir="/tmp")
        self._env = env

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run it."""
        storage = ("--root", f"{self._folder}/s", "--runroot", f"{self._folder}/r")
        argv = ["podman", *storage, "--storage-driver", "vfs", *words]
        return subprocess.run(
            argv, env=self._env, capture_output=True, text=True, timeout=120, check=False
        )

    def pull(self, name: str) -> subprocess.CompletedProcess[str]:
        """Pull an image."""
        return self.run("pull", "--tls-verify=false", name)

    def close(self) -> None:
        """Delete the storage."""
        self.run("system", "reset", "--force")
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture
def podman() -> Iterator[Podman]:
    """Debian's podman 4.3."""
    made = Podman()
    yield made
    made.close()


@pytest.mark.parametrize("name", ["apps/good:1", "apps/many:1"])
def test_podman_pulls_what_is_allowed(gate: GateProcess, podman: Podman, name: str) -> None:
    """Podman pull of an image and of an index."""
    pulled = podman.pull(f"{gate.host}/{name}")

    assert pulled.returncode == 0, pulled.stderr
    assert name.partition(":")[0] in podman.run("images").stdout


def test_podman_is_refused(site: Site, gate: GateProcess, podman: Podman) -> None:
    """Podman shows which check failed, and nothing is left in its storage."""
    pulled = podman.pull(f"{gate.host}/apps/bad:1")

    assert pulled.returncode == 125
    assert f"denied: imagekit: {site.host}/apps/bad:1" in pulled.stderr
    assert "NO_SIGNATURE: the image has no signature" in pulled.stderr
    assert podman.run("images", "-a", "-q").stdout == ""


def test_podman_is_refused_by_digest(site: Site, gate: GateProcess, podman: Podman) -> None:
    """By digest, too."""
    image = site.writer().manifest(site.push("apps/bad", "1", content=b"evil", signed=False))

    pulled = podman.pull(f"{gate.host}/apps/bad@{image.digest}")

    assert pulled.returncode == 125
    assert "NO_SIGNATURE" in pulled.stderr
    assert podman.run("images", "-a", "-q").stdout == ""


def test_podman_by_a_rewritten_location(site: Site, gate: GateProcess, tmp_path: Path) -> None:
    """registries.conf sends the site's name to the gate: a refusal is a refusal."""
    conf = tmp_path / "registries.conf"
    conf.write_text(
        f'[[registry]]\nprefix = "registry.site.example"\nlocation = "{gate.host}"\n'
        "insecure = true\n"
    )
    env = {**os.environ, "CONTAINERS_REGISTRIES_CONF": str(conf)}

    podman = Podman(env)
    good, bad = (
        podman.run("pull", f"registry.site.example/{name}:1") for name in ("apps/good", "apps/bad")
    )

    assert good.returncode == 0, good.stderr
    assert bad.returncode == 125
    assert "denied: imagekit" in bad.stderr
    podman.close()


@pytest.mark.parametrize("name", ["apps/good", "apps/many"])
def test_skopeo_copies_everything(gate: GateProcess, tmp_path: Path, name: str) -> None:
    """Skopeo copy --all, of an image and of an index with all its children."""
    argv = [
        "skopeo",
        "copy",
        "--all",
        "--src-tls-verify=false",
        f"docker://{gate.host}/{name}:1",
        f"oci:{tmp_path / 'out'}:x",
    ]
    copied = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    assert copied.returncode == 0, copied.stderr


@pytest.mark.parametrize("tool", ["crane", "oras"])
def test_tools_of_the_field(bench: Path, gate: GateProcess, tmp_path: Path, tool: str) -> None:
    """Crane and oras: allowed pulled, refused with the gate's message."""
    program = bench_program(bench, tool, part="cosign")
    words = {
        "crane": ("pull", "--insecure", "{}", str(tmp_path / "out.tar")),
        "oras": ("copy", "--from-plain-http", "{}", "--to-oci-layout", str(tmp_path / "out:x")),
    }[tool]

    def run(name: str) -> subprocess.CompletedProcess[str]:
        argv = [str(program), *(word.format(f"{gate.host}/{name}:1") for word in words)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    good, bad = run("apps/good"), run("apps/bad")

    assert good.returncode == 0, good.stderr
    assert bad.returncode != 0
    assert "NO_SIGNATURE" in bad.stderr + bad.stdout


def test_cosign_verifies_through_the_gate(bench: Path, site: Site, gate: GateProcess) -> None:
    """Cosign finds the signature by the gate's referrers, though the registry has no such API."""
    program = bench_program(bench, "cosign")
    key = site.folder / "key.pub"
    key.write_bytes(public_key_pem(site.signer.public_key))
    argv = [
        str(program),
        "verify",
        "--allow-http-registry",
        "--insecure-ignore-tlog=true",
        "--key",
        str(key),
        f"{gate.host}/apps/good:1",
    ]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 0, ran.stderr


def test_origin_is_not_asked_for_a_refused_image(tmp_path: Path, podman: Podman) -> None:
    """After a refusal the origin's log has no layer of the image in it."""
    with Origin(b"evil layer") as origin:
        unsigned = origin.world.policy(signers=(MemorySigner(),))
        made = Making(folder=tmp_path, policy=unsigned, upstreams=(origin.upstream(),))
        with LocalGate(made) as gate:
            pulled = podman.pull(f"{gate.host}/apps/demo:1")

    assert pulled.returncode == 125
    assert "UNTRUSTED_KEY" in pulled.stderr
    assert "platform@site.example" in pulled.stderr
    assert not [one for one in origin.asked if str(Digest.of(b"evil layer")) in one.path]


def test_charliecloud_s_requests(gate: GateProcess) -> None:
    """ch-image asks for the tag twice, then for the config and layers: one image."""
    first = gate.get("/v2/apps/good/manifests/1", headers={"Accept": "*/*"})
    second = gate.get("/v2/apps/good/manifests/1", headers={"Accept": "*/*"})
    blobs = [first.json["config"], *first.json["layers"]]

    assert first.body == second.body
    for each in blobs:
        answer = gate.get(f"/v2/apps/good/blobs/{each['digest']}")
        assert Digest.of(answer.body) == Digest.parse(each["digest"])


def test_enroot_s_requests(gate: GateProcess) -> None:
    """Enroot asks by HEAD, for an index only, then for a manifest only."""
    index = "application/vnd.docker.distribution.manifest.list.v2+json"
    manifest = "application/vnd.docker.distribution.manifest.v2+json"
    answers = [
        gate.get("/v2/apps/good/manifests/1", method="HEAD"),
        gate.get("/v2/apps/good/manifests/1", headers={"Accept": index}),
        gate.get("/v2/apps/good/manifests/1", headers={"Accept": manifest}),
    ]

    digests = {answer.headers["Docker-Content-Digest"] for answer in answers}
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert len(digests) == 1
    assert gate.get("/v2/apps/bad/manifests/1", method="HEAD").status == 403

"""Several gates that share decisions by Debian's Redis."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from imagekit.oci.digest import Digest
from tests.e2e.gate.kit import GateProcess, Site, wait_for
from tests.support.programs import bench_program
from tests.support.servers import free_port

pytestmark = pytest.mark.real

MANIFEST = "/v2/apps/solver/manifests/1"


@pytest.fixture(scope="module")
def url(bench: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of the test's own."""
    program = bench_program(bench, "redis-server", part="servers")
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    argv = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    with subprocess.Popen([*argv, "--save", ""], stdout=subprocess.DEVNULL) as process:
        client = redis.Redis(port=port)
        wait_for(lambda: _answers(client))
        client.close()
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture
def site(registry: str, tmp_path: Path) -> Site:
    """A signed image."""
    made = Site(registry, tmp_path)
    made.push("apps/solver", "1", content=str(tmp_path).encode())
    return made


def gates(site: Site, url: str, number: int) -> GateProcess:
    """Return one of several gates, with folders of its own."""
    words = ("--state", str(site.folder / f"s{number}"), "--cache", str(site.folder / f"c{number}"))
    return GateProcess(site, "--redis", url, *words)


def test_blob_from_another_gate(site: Site, url: str) -> None:
    """The manifest comes from one gate, the blob from another that has never seen it."""
    with gates(site, url, 1) as one, gates(site, url, 2) as two:
        manifest = one.get(MANIFEST)
        layer = manifest.json["layers"][0]["digest"]
        blob = two.get(f"/v2/apps/solver/blobs/{layer}")

    assert blob.status == 200
    assert str(Digest.of(blob.body)) == layer


def test_forged_manifest_is_not_believed(site: Site, url: str) -> None:
    """What lies in Redis under a digest has to have it."""
    with gates(site, url, 1) as one:
        digest = one.get(MANIFEST).headers["Docker-Content-Digest"]
    client = redis.Redis.from_url(url)
    for key in client.scan_iter("imagekit:gate:1:decision:*"):
        document = json.loads(client.get(key) or b"{}")
        document["manifests"][0][2] += " "
        client.set(key, json.dumps(document))
    client.close()
    with gates(site, url, 2) as two:
        answer = two.get(f"/v2/apps/solver/manifests/{digest}")

    assert str(Digest.of(answer.body)) == digest


def test_redis_that_is_not_there(site: Site) -> None:
    """Without it every gate decides for itself."""
    with gates(site, "redis://127.0.0.1:1/0", 1) as gate:
        manifest = gate.get(MANIFEST)
        layer = manifest.json["layers"][0]["digest"]

        assert manifest.status == 200
        assert gate.get(f"/v2/apps/solver/blobs/{layer}").status == 200

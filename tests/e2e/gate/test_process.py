"""The gate as a process: reloads, restarts, kill -9, and an end that finishes what runs."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagekit.oci.digest import Digest
from tests.e2e.gate.kit import GateProcess, Site, wait_for
from tests.support.fakes import MemorySigner
from tests.support.servers import RegistryServer

pytestmark = pytest.mark.real

MANIFEST = "/v2/apps/solver/manifests/1"
CONTENT = os.urandom(4 << 20)


@pytest.fixture(scope="module")
def registry_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a registry."""
    return tmp_path_factory.mktemp("registry")


@pytest.fixture
def site(registry: str, tmp_path: Path) -> Site:
    """A signed image in a registry that other tests use, too, by a key of its own."""
    made = Site(registry, tmp_path)
    made.push("apps/solver", "1", content=CONTENT)
    return made


@pytest.fixture
def gate(site: Site) -> Iterator[GateProcess]:
    """A gate in front of it."""
    with GateProcess(site) as running:
        yield running


def blob_of(gate: GateProcess) -> str:
    """Return the path of the layer."""
    layer = gate.get(MANIFEST).json["layers"][0]
    return f"/v2/apps/solver/blobs/{layer['digest']}"


def right(gate: GateProcess, path: str) -> bool:
    """Return whether a blob comes, and is what it is called."""
    answer = gate.get(path)
    return answer.status == 200 and str(Digest.of(answer.body)) == path.rpartition("/")[2]


def test_policy_is_read_again_by_sighup(site: Site, gate: GateProcess) -> None:
    """The new policy holds for what the old one allowed, at once."""
    assert gate.get(MANIFEST).status == 200
    right_signer, site.signer = site.signer, MemorySigner()
    site.write_policy()
    gate.hang_up()
    denied = gate.get(MANIFEST)
    site.signer = right_signer
    site.write_policy()
    gate.hang_up()

    assert denied.status == 403
    assert "UNTRUSTED_KEY" in denied.message
    assert gate.get(MANIFEST).status == 200


def test_policy_is_read_again_when_its_file_changes(site: Site, gate: GateProcess) -> None:
    """Nobody has to tell the gate."""
    assert gate.get(MANIFEST).status == 200
    site.signer = MemorySigner()
    site.write_policy()

    wait_for(lambda: gate.get(MANIFEST).status == 403, 15)


def test_broken_policy_keeps_the_old_one_and_shouts(site: Site, gate: GateProcess) -> None:
    """A typing error opens nothing and closes nothing, and is seen in log and metrics."""
    assert gate.get(MANIFEST).status == 200
    site.policy.write_text("kind: ImagePolicy\nimages: [\n")
    gate.hang_up()

    assert gate.get(MANIFEST).status == 200
    assert "the old one stays in force" in gate.log.read_text()
    assert gate.get("/readyz").json["fault"]
    assert b"imagekit_gate_policy_kept 1" in gate.get("/metrics").body
    assert gate.audit[-1]["event"] == "policy-broken"


def test_21_older_policy_is_not_taken(site: Site, gate: GateProcess) -> None:
    """Attack 21: a policy of an older version than was in force is refused, also by a new gate."""
    assert gate.get(MANIFEST).status == 200
    site.version = 9
    site.write_policy()
    gate.hang_up()
    site.version = 3
    site.write_policy()
    gate.hang_up()
    assert "version 9 was in force" in gate.get("/readyz").json["fault"]
    gate.stop()

    with pytest.raises(RuntimeError, match="POLICY_ROLLBACK"):
        gate.start()


def test_reload_drops_no_request(site: Site, gate: GateProcess) -> None:
    """While the policy is read again and again, every answer is right."""
    bad: list[object] = []
    stop = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=30)
        with contextlib.closing(connection):
            while not stop.is_set():
                connection.request("GET", MANIFEST)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    bad.append(answer.status)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        site.write_policy()
        gate.hang_up()
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join(30)

    assert bad == []


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_blob_after_a_restart(gate: GateProcess, way: str) -> None:
    """Who resumes asks for a blob without its manifest: the gate remembers, also after kill -9."""
    blob = blob_of(gate)
    getattr(gate, way)()
    gate.start()

    answer = gate.get(blob, headers={"Range": "bytes=1000-"})

    assert answer.status == 206
    assert Digest.of(answer.body) == Digest.of(gate.get(blob).body[1000:])


def test_cache_after_kill_9(gate: GateProcess) -> None:
    """Killed in the middle of downloads, the cache has nothing wrong, and no parts are left."""
    blob = blob_of(gate)
    for delay in (0.0, 0.005, 0.02, 0.05):
        with socket.create_connection(("127.0.0.1", gate.port), timeout=10) as client:
            client.sendall(f"GET {blob} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            time.sleep(delay)
            gate.kill()
        gate.start()
        cache = gate.folder / "cache"
        assert not [*(cache / "parts").iterdir()]
        for file in cache.glob("sha256/*"):
            assert Digest.of(file.read_bytes()).hex == file.name
    assert right(gate, blob)


def test_stop_finishes_what_runs(gate: GateProcess) -> None:
    """SIGTERM lets a running answer end, and the gate ends well."""
    blob = blob_of(gate)
    assert right(gate, blob)
    with socket.create_connection(("127.0.0.1", gate.port), timeout=20) as client:
        client.sendall(f"GET {blob} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        came = client.recv(1000)
        gate.process.send_signal(signal.SIGTERM)
        while piece := client.recv(1 << 20):
            came += piece

    assert Digest.of(came.partition(b"\r\n\r\n")[2]) == Digest.parse(blob.rpartition("/")[2])
    assert gate.process.wait(30) == 0


def test_second_gate_in_one_folder(site: Site, gate: GateProcess) -> None:
    """Two gates do not write into one folder."""
    with pytest.raises(RuntimeError, match="gate/in-use"):
        GateProcess(site)


def test_probes(gate: GateProcess) -> None:
    """Health, readiness and metrics are there without a login, outside of /v2."""
    assert gate.get("/healthz").status == 200
    assert gate.get("/readyz").json["ready"] is True
    assert b"# TYPE imagekit_gate_decision_seconds histogram" in gate.get("/metrics").body


def test_audit_log(site: Site, gate: GateProcess) -> None:
    """Every decision is a line: what, by which policy, and until when; and who was refused."""
    site.push("apps/unsigned", "1", signed=False, content=b"unsigned")
    gate.get(MANIFEST)
    gate.get("/v2/apps/unsigned/manifests/1")

    lines = gate.audit
    allowed = next(line for line in lines if line.get("decision") == "allow")
    refused = next(line for line in lines if line["event"] == "refused")
    assert lines[0]["event"] == "policy"
    assert allowed["reference"] == f"{site.host}/apps/solver:1"
    assert allowed["digest"].startswith("sha256:")
    assert (refused["status"], refused["code"]) == (403, "DENIED")
    assert refused["client"] == "127.0.0.1"


def test_outage_of_a_real_registry(tmp_path: Path) -> None:
    """The registry dies: what was pulled is served, the rest is 503 with Retry-After."""
    (tmp_path / "registry").mkdir()
    with RegistryServer.docker_registry(tmp_path / "registry") as server:
        site = Site(server.host, tmp_path)
        site.push("apps/solver", "1", content=CONTENT)
        site.push("apps/other", "1", content=b"other")
        with GateProcess(site) as gate:
            blob = blob_of(gate)
            assert right(gate, blob)
            server.stop()
            assert gate.get(f"{MANIFEST}?again").status == 200
            assert right(gate, blob)
            other = gate.get("/v2/apps/other/manifests/1")

    assert other.status == 503
    assert int(other.headers["Retry-After"]) > 0


@pytest.mark.parametrize(("address", "warned"), [("0.0.0.0:0", True), ("[::1]:0", False)])
def test_a_public_address_without_tls_is_warned_of(
    site: Site, address: str, *, warned: bool
) -> None:
    """Passwords and tokens would be read by whoever listens on the network."""
    with GateProcess(site, "--listen", address) as gate:
        assert ("cross the network as plain text" in gate.log.read_text()) == warned


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 64),
        (("--upstream", "nothing/here"), 2),
        (("--upstream", "oci:/nowhere"), 2),
        (("--upstream", "a.example", "--upstream", "b.example"), 2),
        (("--upstream", "a.example", "--listen", "nowhere"), 2),
        (("--upstream", "a.example", "--tls-cert", "x"), 64),
    ],
    ids=["nothing", "no-host", "no-layout", "two-without-names", "bad-address", "half-tls"],
)
def test_wrong_words(site: Site, words: tuple[str, ...], code: int, tmp_path: Path) -> None:
    """What is wrong is said before anything listens, with a hint and without a traceback."""
    argv = [sys.executable, "-m", "imagekit", "gate", "--policy", str(site.policy), *words]
    listen = () if "--listen" in words else ("--listen", "127.0.0.1:0")
    env = {**os.environ, "HOME": str(tmp_path)}
    ran = subprocess.run(
        [*argv, *listen, "--state", str(tmp_path / "state"), "--cache", str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        env=env,
        timeout=30,
        check=False,
    )

    assert ran.returncode == code
    assert "Traceback" not in ran.stderr
    assert "   = " in ran.stderr


def test_configuration_with_faults(site: Site, tmp_path: Path) -> None:
    """A broken configuration is shown with the place of every fault."""
    config = tmp_path / "gate.yaml"
    config.write_text(
        "apiVersion: imagekit/v1\nkind: Gate\nlissten: 127.0.0.1:0\ntimes: {pin: soon}\n"
    )
    with pytest.raises(RuntimeError) as caught:
        GateProcess(site, "--config", str(config))

    assert "gate/unknown-key" in str(caught.value)
    assert "gate.yaml:4" in str(caught.value)


def test_schema() -> None:
    """``imagekit schema gate`` prints the schema of configurations."""
    argv = [sys.executable, "-m", "imagekit", "schema", "gate"]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)

    assert json.loads(ran.stdout)["properties"]["upstreams"]["type"] == "array"

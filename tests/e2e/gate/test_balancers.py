"""Two gates behind the balancers of the documentation: a repository stays with one gate."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from tests.e2e.gate.kit import CHECKOUT, GateProcess, Site, ask, wait_for
from tests.support.programs import bench_program
from tests.support.servers import free_port

pytestmark = pytest.mark.real

EXAMPLES = CHECKOUT / "docs" / "gate"
NAMES = [f"apps/solver-{number}" for number in range(12)]
_NGINX = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{
access_log off;
client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
{text}
}}
"""


def adapted(name: str, gates: list[GateProcess], port: int) -> str:
    """Return the example with the test's addresses, and without TLS."""
    text = (EXAMPLES / name).read_text()
    for number, gate in enumerate(gates, 1):
        text = text.replace(f"gate-{number}.site.example:5443", gate.host)
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    text = re.sub(r"(?m)^\s*ssl_certificate.*\n", "", text)
    return re.sub(r"bind :443.*", f"bind 127.0.0.1:{port}", text)


@pytest.fixture
def gates(registry: str, tmp_path: Path) -> Iterator[list[GateProcess]]:
    """Two gates in front of one registry, which share nothing."""
    site = Site(registry, tmp_path)
    for name in NAMES:
        site.push(name, "1", content=f"{tmp_path}{name}".encode())
    with contextlib.ExitStack() as stack:
        made = []
        for number in range(2):
            # Each a site of its own for its files, in front of the same images.
            mine = replace(site, folder=tmp_path / f"site{number}")
            made.append(stack.enter_context(GateProcess(mine)))
        yield made


def _answers(port: int) -> bool:
    try:
        return ask(port, "/v2/").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("balancer", ["nginx", "haproxy"])
def test_balancer(bench: Path, gates: list[GateProcess], tmp_path: Path, balancer: str) -> None:
    """Blobs are found at the gate that allowed the manifest; hostile paths are refused there."""
    bench_program(bench, balancer, part="servers")
    port = free_port()
    config = tmp_path / "balancer.conf"
    if balancer == "nginx":
        text = _NGINX.format(folder=tmp_path, text=adapted("nginx.conf", gates, port))
        argv = [str(bench / "nginx"), "-c", str(config), "-p", str(tmp_path)]
    else:
        text = adapted("haproxy.cfg", gates, port)
        argv = [str(bench / "haproxy"), "-db", "-f", str(config)]
    config.write_text(text)
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            wait_for(lambda: _answers(port))
            for name in NAMES:
                manifest = ask(port, f"/v2/{name}/manifests/1")
                assert manifest.status == 200
                layer = manifest.json["layers"][0]["digest"]
                for _ in range(3):
                    blob = ask(port, f"/v2/{name}/blobs/{layer}")
                    assert str(Digest.of(blob.body)) == layer
            hostile = ask(port, f"/v2/{NAMES[0].replace('/', '%2F')}/manifests/1")
            assert hostile.status == 400
            judged = [{line["event"] for line in gate.audit} for gate in gates]
            assert all("judged" in events for events in judged)
        finally:
            process.terminate()

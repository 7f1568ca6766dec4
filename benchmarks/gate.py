"""Compares the gate with the registry itself, nginx and distribution's pull-through cache.

Usage: python benchmarks/gate.py [SECONDS], in the checkout, after tests/support/bench/setup servers

All on loopback, in one run, by turns: a manifest by its tag, for the first time and again; a blob
of 60 MB, by 1 and by 16 clients; and what the server spent for it. Load on the same machine takes
from all alike, so the ratios say more than the numbers.
"""

import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import matched

from tests.e2e.gate.kit import GateProcess, Site
from tests.support.servers import RegistryServer, free_port

BLOB = 60_000_000
COLD = 30
BENCH = Path(os.environ.get("IMAGEKIT_BENCH") or Path.home() / ".cache/imagekit-bench") / "bin"
_NGINX = """\
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
daemon off;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  upstream origin {{ server {origin}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location /file/ {{ alias {folder}/files/; }}
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host {origin}; proxy_buffering off;
    }}
  }}
}}
"""
_CACHE = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
proxy: {{remoteurl: "http://{origin}"}}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """Something that serves, and its process."""

    name: str
    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds and peak memory of a process tree."""

    cpu: float
    rss: int


def spent(pid: int) -> Spent:
    """Return what a process and its children spent."""
    cpu, rss = 0.0, 0
    for one in (pid, *children(pid)):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        status = Path(f"/proc/{one}/status").read_text()
        rss = max(rss, int(matched(r"VmHWM:\s+(\d+)", status)[1]) // 1024)
    return Spent(cpu, rss)


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def latency(peer: Peer, paths: list[str]) -> list[float]:
    """Return the milliseconds of each request, on one connection that is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=60)
    headers = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    taken = []
    for path in paths:
        began = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        taken.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise RuntimeError(f"{peer.name}: {path} answered {answer.status}")
    connection.close()
    return taken


def wrk(peer: Peer, path: str, *, clients: int, seconds: float) -> tuple[float, float]:
    """Return requests and bytes a second."""
    script = BENCH / "accept.lua"
    script.write_text('wrk.headers["Accept"] = "application/vnd.oci.image.manifest.v1+json"\n')
    argv = [
        *(str(BENCH / "wrk"), "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "30s"),
        *("-s", str(script), f"http://127.0.0.1:{peer.port}{path}"),
    ]
    out = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        raise RuntimeError(f"{peer.name}: {path}: {out}")
    unit = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
    rate = matched(r"Transfer/sec:\s+([\d.]+)(\w+)", out)
    return float(matched(r"Requests/sec:\s+([\d.]+)", out)[1]), float(rate[1]) * unit[rate[2]]


@contextmanager
def program(argv: list[str], port: int) -> Iterator[int]:
    """Run a program until it is not needed any more; yield its process id."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(1000):
                try:
                    http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
                    break
                except OSError:
                    time.sleep(0.02)
            yield process.pid
        finally:
            process.terminate()


def start(stack: ExitStack, folder: Path) -> tuple[Site, list[Peer], list[GateProcess]]:
    """Start all peers in front of one registry that has the images."""
    (folder / "registry").mkdir()
    server = stack.enter_context(RegistryServer.docker_registry(folder / "registry"))
    site = Site(server.host, folder)
    site.push("apps/big", "1", content=os.urandom(BLOB))
    for number in range(COLD):
        site.push("apps/cold", str(number), content=b"%d" % number)
    peers = [Peer("direct", int(server.host.partition(":")[2]), server.pid)]
    port = free_port()
    (folder / "files").mkdir()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, origin=server.host, port=port))
    argv = [str(BENCH / "nginx"), "-c", str(config), "-p", str(folder)]
    peers.append(Peer("nginx proxy", port, stack.enter_context(program(argv, port))))
    port = free_port()
    config = folder / "cache.yml"
    config.write_text(_CACHE.format(root=folder / "mirror", origin=server.host, port=port))
    argv = [shutil.which("docker-registry") or "", "serve", str(config)]
    peers.append(Peer("pull-through", port, stack.enter_context(program(argv, port))))
    gates = []
    for name, words in (("gate", ()), ("gate, no cache", ("--cache-size", "0"))):
        place = folder / name.replace(", ", "-").replace(" ", "-")
        folders = ("--state", str(place / "state"), "--cache", str(place / "cache"))
        gates.append(stack.enter_context(GateProcess(site, *words, *folders)))
        peers.append(Peer(name, gates[-1].port, gates[-1].process.pid))
    return site, peers, gates


def percentile(values: list[float], part: float) -> float:
    """Return a percentile."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # nginx reads files as nobody
        site, peers, _gates = start(stack, folder)
        big = site.writer().tags(site.repository("apps/big"))[0]
        warm = "/v2/apps/big/manifests/" + big
        connection = http.client.HTTPConnection("127.0.0.1", peers[0].port)
        connection.request(
            "GET", warm, headers={"Accept": "*/*, application/vnd.oci.image.manifest.v1+json"}
        )
        layer = json.loads(connection.getresponse().read())["layers"][0]["digest"]
        connection.close()
        blob = f"/v2/apps/big/blobs/{layer}"
        stored = folder / "registry/data/docker/registry/v2/blobs/sha256"
        hexadecimal = layer.partition(":")[2]
        shutil.copy(stored / hexadecimal[:2] / hexadecimal / "data", folder / "files" / "blob")
        print(
            f"load before: {Path('/proc/loadavg').read_text().split()[:3]}, {os.cpu_count()} CPUs"
        )
        manifests(peers, warm, seconds)
        blobs(peers, blob, seconds)


def manifests(peers: list[Peer], warm: str, seconds: float) -> None:
    """Measure manifests by tag."""
    cold = [f"/v2/apps/cold/manifests/{number}" for number in range(COLD)]
    print("\nmanifest by tag, ms        cold p50   p99 | cached p50    p99 | 16 clients/s  us CPU")
    for peer in peers:
        first = latency(peer, cold)
        again = latency(peer, [warm] * 20 + [warm] * 1500)[20:]
        before = spent(peer.pid)
        rate, _ = wrk(peer, warm, clients=16, seconds=seconds)
        cpu = (spent(peer.pid).cpu - before.cpu) / (rate * seconds) * 1e6
        print(
            f"{peer.name:<24}{statistics.median(first):10.2f}{percentile(first, 0.99):7.1f} |"
            f"{statistics.median(again):10.3f}{percentile(again, 0.99):8.2f} |"
            f"{rate:12.0f}{cpu:9.0f}"
        )


def blobs(peers: list[Peer], blob: str, seconds: float) -> None:
    """Measure blobs."""
    rows = [(peer, blob) for peer in peers]
    rows.insert(2, (Peer("nginx file", peers[1].port, peers[1].pid), "/file/blob"))
    print("\nblob of 60 MB, GB/s        1 client  16 clients | CPU s per GB   peak MB")
    for peer, path in rows:
        latency(peer, [path])  # into the cache, where there is one
        before = spent(peer.pid)
        _, one = wrk(peer, path, clients=1, seconds=seconds)
        _, many = wrk(peer, path, clients=16, seconds=seconds)
        after = spent(peer.pid)
        per = (after.cpu - before.cpu) / ((one + many) * seconds / 1e9)
        print(f"{peer.name:<24}{one / 1e9:10.2f}{many / 1e9:12.2f} |{per:14.2f}{after.rss:10d}")


if __name__ == "__main__":
    main()

"""A gate and a webhook under strangers who want to keep others from being served.

Usage: python benchmarks/gate_hostile.py [--connections 200] [--seconds 8] [SORT ...]
(in the checkout)

For each sort of hostile client, 200 connections of one address of loopback do their worst in a
process of their own, and come again as soon as they are ended. Meanwhile honest clients of another
address pull what is cached, pull what is new, and log in for the first time; and the policy is
changed. Printed are the times of the honest and the memory of the server. It ends with 1 where one
of these is over: cached pulls 100 ms (19 of 20 of them), new pulls and logins 5 s, a change of the
policy 2 s, memory 400 MB. `--together` lets the honest ask from the address of the hostile ones.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import matched

from tests.e2e.gate.kit import GateProcess, Site
from tests.support.servers import RegistryServer, free_port

HOSTILE, HONEST = "127.0.0.66", "127.0.0.2"
CACHED_MS, NEW_S, RELOAD_S, MEMORY_MB = 100, 5, 2, 400
COST = 10
_TURNS = 8
BIG = 64 << 20
_CONFIG = """\
apiVersion: imagekit/v1
kind: Gate
upstreams: [{{registry: "{host}"}}]
clients: {{htpasswd: htpasswd}}
access: [{{users: [anonymous], repositories: ["**"]}}]
"""
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


# The hostile: each takes a connection and does its worst until it is ended.


async def slow_headers(stream: Stream, _big: str) -> None:
    """A header that never ends, byte by byte."""
    reader, writer = stream
    writer.write(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    while not reader.at_eof():
        writer.write(b"x")
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1000), 0.5)


async def half_bodies(stream: Stream, _big: str) -> None:
    """A review, or a request with a body, of which half never comes."""
    reader, writer = stream
    writer.write(b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n")
    writer.write(b"{" * 2_000_000)
    while await reader.read(1 << 16):
        pass


async def wrong_passwords(stream: Stream, _big: str) -> None:
    """One wrong password after the other, for the account of an honest user too."""
    reader, writer = stream
    while True:
        user = "alice" if os.urandom(1)[0] % 2 else os.urandom(4).hex()
        pair = base64.b64encode(f"{user}:{os.urandom(8).hex()}".encode()).decode()
        await _ask(reader, writer, "/v2/", f"Authorization: Basic {pair}\r\n")


async def random_digests(stream: Stream, _big: str) -> None:
    """Images that nobody has ever seen."""
    reader, writer = stream
    while True:
        await _ask(reader, writer, f"/v2/apps/cached/manifests/sha256:{os.urandom(32).hex()}")


async def malformed(stream: Stream, _big: str) -> None:
    """What is no request, on a new connection each time; the answer is not waited for."""
    _, writer = stream
    writer.write(b"GET /v2/ HTTP/9.9\r\n: \x00\r\nContent-Length: -1\r\n\r\n")
    await writer.drain()


async def idle(stream: Stream, _big: str) -> None:
    """Nothing."""
    await stream[0].read(1)


async def slow_readers(stream: Stream, big: str) -> None:
    """A large blob, a few bytes a second."""
    reader, writer = stream
    writer.write(f"GET {big} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    while True:
        if not await reader.read(10):
            return
        await asyncio.sleep(1)


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, more: str = ""
) -> None:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    await reader.readexactly(int(length[1]) if length else 0)


SORTS: dict[str, Callable[[Stream, str], Awaitable[None]]] = {
    "slow-headers": slow_headers,
    "half-bodies": half_bodies,
    "wrong-passwords": wrong_passwords,
    "random-digests": random_digests,
    "malformed": malformed,
    "idle": idle,
    "slow-readers": slow_readers,
}


async def attack(sorts: list[str], port: int, big: str, connections: int) -> None:
    """Be hostile until killed."""

    async def one(sort: str) -> None:
        while True:
            writer = None
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, local_addr=(HOSTILE, 0), limit=1 << 12
                )
                await SORTS[sort]((reader, writer), big)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.01)
            finally:
                if writer is not None:
                    writer.close()

    await asyncio.gather(*(one(sort) for sort in sorts for _ in range(connections)))


# The honest, and what is measured.


@dataclass
class Bench:
    """A gate with images, and what came of one sort."""

    site: Site
    gate: GateProcess
    passwords: dict[str, str]
    address: str = HONEST
    images: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))
    big: str = ""
    blob: str = ""
    rss: int = 0

    def get(self, path: str, user: str = "") -> tuple[int, bytes]:
        """Ask on a connection of its own."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.gate.port, timeout=60, source_address=(self.address, 0)
        )
        pair = base64.b64encode(f"{user}:{self.passwords.get(user, '')}".encode()).decode()
        with contextlib.closing(connection):
            connection.request(
                "GET", path, headers={"Authorization": f"Basic {pair}"} if user else {}
            )
            answer = connection.getresponse()
            return answer.status, answer.read()

    def timed(self, path: str, user: str = "", status: int = 200) -> float:
        """Return the seconds that a good answer takes."""
        began = time.perf_counter()
        got, raw = self.get(path, user)
        if got != status:
            raise RuntimeError(f"{path} was answered with {got}: {raw[:300]!r}")
        return time.perf_counter() - began

    def processor(self) -> float:
        """Return the seconds of processors that the gate took."""
        stat = Path(f"/proc/{self.gate.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def note_memory(self) -> None:
        """Note the resident memory."""
        text = Path(f"/proc/{self.gate.process.pid}/status").read_text()
        self.rss = max(self.rss, int(matched(r"VmRSS:\s+(\d+)", text)[1]) // 1024)


def measure(bench: Bench, seconds: float) -> dict[str, float]:
    """Return the worst times of the honest, in seconds, and the memory in MB."""
    cached, new, logins, reloads = [], [], [], []
    end = time.monotonic() + seconds
    bench.rss, turn = 0, 0
    began, used = time.monotonic(), bench.processor()
    while turn < _TURNS and (time.monotonic() < end or turn < 2):
        turn += 1
        # The policy has changed: what was judged under the old one is judged anew.
        judged = [bench.timed("/v2/apps/cached/manifests/1", "alice")]
        judged.append(bench.timed(bench.blob, "alice"))
        new.append(max(judged))
        for _ in range(10):
            cached.append(bench.timed("/v2/apps/cached/manifests/1", "alice"))
            cached.append(bench.timed(bench.blob, "alice"))
            bench.note_memory()
        number = next(bench.images)
        new.append(bench.timed(f"/v2/apps/new/manifests/{number}"))
        logins.append(bench.timed("/v2/", f"user{number}"))
        reloads.append(reload(bench, number, by_signal=turn % 2 == 0))
    return {
        "cached": statistics.quantiles(cached, n=20)[-1],
        "cached (worst)": max(cached),
        "new": max(new),
        "login": max(logins),
        "reload": max(reloads),
        "memory": bench.rss,
        "processor": (bench.processor() - used) / (time.monotonic() - began),
    }


def reload(bench: Bench, number: int, *, by_signal: bool) -> float:
    """Withdraw an image that was served a moment ago; return when it is refused."""
    path = f"/v2/apps/new/manifests/{number}"
    _, raw = bench.get(path)
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    began = time.perf_counter()
    bench.site.write_policy(more=f'deny: {{digests: ["{digest}"]}}')
    if by_signal:
        bench.gate.process.send_signal(signal.SIGHUP)
    while bench.get(path)[0] == 200:
        if time.perf_counter() - began > 60:
            raise RuntimeError("the new policy is not obeyed")
        time.sleep(0.02)
    return time.perf_counter() - began


@contextmanager
def hostile(sorts: list[str], port: int, big: str, connections: int) -> Iterator[None]:
    """Let them be hostile meanwhile."""
    words = ["--attack", str(port), "--big", big, "--connections", str(connections), *sorts]
    # Elsewhere they have machines of their own; here they leave the processors to the gate.
    with subprocess.Popen(["nice", "-n", "15", sys.executable, __file__, *words]) as process:
        try:
            time.sleep(2)
            yield
        finally:
            process.kill()


def prepare(folder: Path, stack: ExitStack, images: int) -> Bench:
    """Push images, write logins, start the gate, and pull what is to be cached."""
    (folder / "registry").mkdir()
    server = stack.enter_context(RegistryServer.docker_registry(folder / "registry"))
    site = Site(server.host, folder)
    passwords = {
        name: os.urandom(9).hex() for name in ("alice", *(f"user{n}" for n in range(images)))
    }
    hashes = [
        f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST)).decode()}\n"
        for name, password in passwords.items()
    ]
    (folder / "htpasswd").write_text("".join(hashes))
    config = folder / "gate.yaml"
    config.write_text(_CONFIG.format(host=server.host))
    site.push("apps/cached", "1", content=b"cached")
    site.push("apps/big", "1", content=os.urandom(BIG))
    for number in range(images):
        site.push("apps/new", str(number), content=b"%d" % number)
    gate = stack.enter_context(GateProcess(site, "--config", str(config)))
    bench = Bench(site=site, gate=gate, passwords=passwords)
    for name in ("cached", "big"):
        _, raw = bench.get(f"/v2/apps/{name}/manifests/1", "alice")
        place = f"/v2/apps/{name}/blobs/{json.loads(raw)['layers'][0]['digest']}"
        bench.get(place, "alice")
        setattr(bench, "big" if name == "big" else "blob", place)
    return bench


def judge(sort: str, found: dict[str, float]) -> bool:
    """Print what was measured, and tell whether all of it is within its bounds."""
    limits = {"cached": CACHED_MS / 1000, "new": NEW_S, "login": NEW_S, "reload": RELOAD_S}
    over = [name for name, most in limits.items() if name in found and found[name] > most]
    over += ["memory"] if found.get("memory", 0) > MEMORY_MB else []
    units = {"memory": (1, "MB"), "processor": (100, "%")}
    shown = []
    for name, value in found.items():
        factor, unit = units.get(name, (1000, "ms"))
        shown.append(f"{name} {value * factor:.0f} {unit}")
    print(
        f"{sort:>16}: {', '.join(shown)}{'   OVER: ' + ', '.join(over) if over else ''}", flush=True
    )
    return not over


def webhook(folder: Path, site: Site, connections: int, seconds: float) -> dict[str, float]:
    """Measure reviews by an honest API server, while others send half of theirs."""
    port, log = free_port(), folder / "hook.log"
    argv = [
        *(sys.executable, "-m", "imagekit", "webhook", "--policy", str(site.policy)),
        *("--listen", f"127.0.0.1:{port}", "--allow-tags", "--state", str(folder / "hook.db")),
    ]
    image = {"name": "c", "image": f"{site.host}/apps/cached:1"}
    request = {
        "uid": "1",
        "operation": "CREATE",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "object": {"metadata": {"name": "x"}, "spec": {"containers": [image]}},
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    taken: list[float] = []
    with log.open("wb") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
        try:
            while b"answering at" not in log.read_bytes():
                time.sleep(0.1)
            with hostile(["half-bodies"], port, "-", connections):
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    began = time.perf_counter()
                    connection = http.client.HTTPConnection(
                        "127.0.0.1", port, timeout=60, source_address=(HONEST, 0)
                    )
                    connection.request("POST", "/validate?timeout=10s", json.dumps(review))
                    answer = connection.getresponse().read()
                    connection.close()
                    if not json.loads(answer)["response"]["allowed"]:
                        raise RuntimeError(answer.decode())
                    taken.append(time.perf_counter() - began)
            text = Path(f"/proc/{process.pid}/status").read_text()
            memory = int(matched(r"VmHWM:\s+(\d+)", text)[1]) // 1024
        finally:
            process.terminate()
    return {"new": max(taken), "memory": memory}


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sorts", nargs="*", choices=[*SORTS, []], metavar="SORT")
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--attack", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--big", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sorts = arguments.sorts or [*SORTS]
    if arguments.attack:
        asyncio.run(attack(sorts, arguments.attack, arguments.big, arguments.connections))
    good = True
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = prepare(folder, stack, images=_TURNS * (len(sorts) + 2))
        bench.address = HOSTILE if arguments.together else HONEST
        load = " ".join(f"{each:.1f}" for each in os.getloadavg())
        print(f"{os.cpu_count()} processors, load {load}", flush=True)
        good &= judge("nobody", measure(bench, arguments.seconds / 2))
        for sort in [*([one] for one in sorts), *([sorts] if len(sorts) > 1 else [])]:
            with hostile(sort, bench.gate.port, bench.big, arguments.connections):
                found = measure(bench, arguments.seconds)
            good &= judge(sort[0] if len(sort) == 1 else "all at once", found)
        bench.site.write_policy()
        if "half-bodies" in sorts:
            found = webhook(folder, bench.site, arguments.connections, arguments.seconds)
            good &= judge("webhook", found)
        if "Traceback" in (log := bench.gate.log.read_text()):
            print(f"the gate's log has a traceback:\n{log[-2000:]}")
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""A gate under load and trouble: nothing wrong is ever served, and nothing is left behind.

Usage: python benchmarks/gate_load.py [--seconds 600] [--clients 200]  (in the checkout)

Clients ask for manifests, blobs, parts of blobs, refused images and hostile paths, all at once.
Meanwhile the policy is written anew, the registry falls silent or dies, and, in the first half, the
gate is killed by kill -9. Every answer that comes is checked: its bytes by their digest, a refusal
by its code. 503 and broken connections are counted and allowed while something is down. In the
second half memory, open files and connections must stay flat. Ends with 1 where anything is wrong.
"""

import argparse
import asyncio
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from yarl import URL

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.e2e.gate.kit import GateProcess, Site
from tests.support.servers import RegistryServer

IMAGES = 12
SIZES = (1 << 10, 300_000, 4 << 20)
GROWTH = 64
"""MB that the gate may grow by in the second half: caches that fill."""


@dataclass
class Load:
    """What is asked for, and what came of it."""

    site: Site
    gate: GateProcess
    digests: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, tuple[str, int, bytes]] = field(default_factory=dict)
    evil: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def fail(self, what: str) -> None:
        """Note a wrong answer."""
        self.counts["WRONG"] += 1
        if len(self.wrong) < 20:
            self.wrong.append(what)


def prepare(site: Site) -> Load:
    """Push images, signed and not."""
    load = Load(site=site, gate=GateProcess(site))
    for number in range(IMAGES):
        name = f"apps/load-{number}"
        content = random.Random(number).randbytes(SIZES[number % len(SIZES)])
        image = site.push(name, "1", content=content)
        load.digests[name] = str(image.digest)
        answer = load.gate.get(f"/v2/{name}/manifests/1")
        layer = answer.json["layers"][0]
        raw = load.gate.get(f"/v2/{name}/blobs/{layer['digest']}").body
        load.blobs[name] = (layer["digest"], layer["size"], raw)
    bad = site.push("apps/evil", "1", content=b"evil", signed=False)
    raw = site.writer().manifest(bad).raw
    load.evil = raw.decode().rpartition('"digest": "')[2].partition('"')[0]
    return load


async def client(load: Load, session: aiohttp.ClientSession, end: float) -> None:
    """Ask again and again."""
    kinds = (manifest, manifest, by_digest, blob, part, refused, foreign, hostile)
    while time.monotonic() < end:
        kind = random.choice(kinds)
        name = random.choice(list(load.digests))
        try:
            outcome = await kind(load, session, name)
        except (aiohttp.ClientError, TimeoutError, OSError):
            outcome = "broken"
            await asyncio.sleep(0.05)
        load.counts[outcome] += 1
        if outcome == "503":
            await asyncio.sleep(0.1)


def at(load: Load, path: str) -> URL:
    """Return a URL whose path is sent as it is."""
    return URL(f"http://{load.gate.host}{path}", encoded=True)


async def manifest(load: Load, session: aiohttp.ClientSession, name: str) -> str:
    """A manifest by tag."""
    async with session.get(at(load, f"/v2/{name}/manifests/1")) as answer:
        return check(load, name, answer.status, await answer.read(), load.digests[name])


async def by_digest(load: Load, session: aiohttp.ClientSession, name: str) -> str:
    """A manifest by digest."""
    async with session.get(at(load, f"/v2/{name}/manifests/{load.digests[name]}")) as answer:
        return check(load, name, answer.status, await answer.read(), load.digests[name])


async def blob(load: Load, session: aiohttp.ClientSession, name: str) -> str:
    """A whole blob."""
    digest = load.blobs[name][0]
    async with session.get(at(load, f"/v2/{name}/blobs/{digest}")) as answer:
        return check(load, name, answer.status, await answer.read(), digest)


async def part(load: Load, session: aiohttp.ClientSession, name: str) -> str:
    """A part of a blob."""
    digest, size, raw = load.blobs[name]
    start = random.randrange(size)
    headers = {"Range": f"bytes={start}-"}
    async with session.get(at(load, f"/v2/{name}/blobs/{digest}"), headers=headers) as answer:
        body = await answer.read()
        if answer.status == 503:
            return "503"
        if answer.status not in {200, 206} or body != raw[start:]:
            load.fail(f"part of {name}: {answer.status}, {len(body)} bytes")
        return str(answer.status)


async def refused(load: Load, session: aiohttp.ClientSession, name: str) -> str:
    """An image that nobody signed."""
    del name
    async with session.get(at(load, "/v2/apps/evil/manifests/1")) as answer:
        return only(load, "unsigned", answer.status, {403, 503})


async def foreign(load: Load, session: aiohttp.ClientSession, name: str) -> str:
    """A blob of an image that nobody signed."""
    async with session.get(at(load, f"/v2/{name}/blobs/{load.evil}")) as answer:
        return only(load, "blob of the unsigned", answer.status, {404, 503})


async def hostile(load: Load, session: aiohttp.ClientSession, name: str) -> str:
    """A path outside of the grammar."""
    path = f"/v2/{name.replace('/', '%2F')}/manifests/1"
    async with session.get(at(load, path)) as answer:
        return only(load, path, answer.status, {400, 404})


def check(load: Load, name: str, status: int, body: bytes, digest: str, /) -> str:
    """Check an answer that should be the image's."""
    if status == 503:
        return "503"
    if status != 200 or f"sha256:{hashlib.sha256(body).hexdigest()}" != digest:
        load.fail(f"{name}: {status}, {body[:200]!r}")
    return str(status)


def only(load: Load, what: str, status: int, good: set[int], /) -> str:
    """Check a refusal."""
    if status not in good:
        load.fail(f"{what}: {status}")
    return str(status)


async def trouble(load: Load, server: RegistryServer, end: float, half: float) -> None:
    """Make it until the end; what stops the gate only in the first half."""
    turn = 0
    while time.monotonic() < end - 4:
        turn += 1
        await asyncio.sleep(2)
        await asyncio.to_thread(load.site.write_policy)
        load.gate.process.send_signal(signal.SIGHUP)
        if turn % 3 == 0:
            os.kill(server.pid, signal.SIGSTOP)
            await asyncio.sleep(1.5)
            os.kill(server.pid, signal.SIGCONT)
        if turn % 4 == 0 and time.monotonic() < half:
            await asyncio.to_thread(restart, load)


def restart(load: Load) -> None:
    """Kill the gate and start it again on the same port."""
    load.gate.kill()
    load.gate.start()
    load.counts["restarts"] += 1


def memory(pid: int) -> tuple[int, int]:
    """Return resident MB and open files."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))
    raise AssertionError(pid)


async def watch(load: Load, start: float, end: float, seen: list[tuple[int, int]]) -> None:
    """Note memory and open files in the second half."""
    while time.monotonic() < end:
        await asyncio.sleep(1)
        if time.monotonic() > start:
            seen.append(memory(load.gate.process.pid))


async def run(load: Load, server: RegistryServer, *, seconds: float, clients: int) -> bool:
    """Run everything and print what came of it."""
    began = time.monotonic()
    half, end = began + seconds / 2, began + seconds
    seen: list[tuple[int, int]] = []
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=90)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        await asyncio.gather(
            *(client(load, session, end) for _ in range(clients)),
            trouble(load, server, end, half),
            watch(load, half + seconds / 10, end, seen),
        )
    await asyncio.sleep(3)
    last = memory(load.gate.process.pid)
    counts = dict(sorted(load.counts.items()))
    total = sum(value for key, value in counts.items() if key not in {"WRONG", "restarts"})
    print(f"{total} requests in {seconds:.0f} s by {clients} clients: {counts}")
    print(f"memory in the second half, MB: {seen[0][0]} first, {seen[-1][0]} last")
    print(f"open files: {seen[-1][1]} under load, {last[1]} afterwards")
    for line in load.wrong:
        print(f"WRONG: {line}")
    flat = seen[-1][0] - seen[0][0] < GROWTH
    closed = last[1] < 100
    if not flat or not closed:
        print(f"flat memory: {flat}; connections closed: {closed}")
    return not load.wrong and flat and closed


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=200)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "registry").mkdir()
        server = stack.enter_context(RegistryServer.docker_registry(folder / "registry"))
        load = prepare(Site(server.host, folder))
        stack.callback(load.gate.stop)
        good = asyncio.run(run(load, server, seconds=arguments.seconds, clients=arguments.clients))
        print((folder / "gate/log").read_text()[-2000:], file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""The library against the HTTP round trips alone, in one process; and many images at once.

    python benchmarks/verify_warm.py [RUNS] [IMAGES]

- a first look at an image and a second one, each against the very same requests sent one after the
  other over one connection by ``http.client``: nothing that verifies could be faster, but for what
  it asks at once;
- so many images in repositories of their own by one ``Verifier``; one reference as often, ten times
  as often, and by a policy that remembers releases; and the memory that all this took.
"""

import http.client
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

from common import publish, push_signed, registry, write_policy
from msgspec.structs import replace

from imagekit import Verifier, load_policy
from imagekit.oci.registry.stdlib_transport import StdlibResponse, StdlibTransport
from imagekit.oci.registry.transport import Request
from imagekit.policy.ruleset import Freshness, OpenedPolicy
from imagekit.verify.rollback import SqliteRollbackStore


def main() -> int:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    with registry() as (folder, host):
        image = publish(folder, f"{host}/x")
        policy = load_policy(folder / write_policy(folder, host, "cyclonedx", "slsaprovenance1"))
        one(policy, image, host, runs)
        images = push_signed(folder, f"{host}/many", count)
        many(load_policy(folder / write_policy(folder, host)), images, "distinct", folder)
        many(policy, [image] * count, "one reference", folder)
        many(policy, [image] * count * 10, "one reference", folder)
        fresh = Freshness(monotonic=True)
        rules = tuple(replace(rule, freshness=fresh) for rule in policy.images)
        many(replace(policy, images=rules), [image] * count, "one reference, remembered", folder)
    return 0


def one(policy: OpenedPolicy, image: str, host: str, runs: int) -> None:
    """Compare the first and the second look with their requests alone."""
    asked: list[Request] = []
    send = StdlibTransport.send

    def record(self: StdlibTransport, request: Request) -> StdlibResponse:
        asked.append(request)
        return send(self, request)

    verifier = Verifier(policy)
    looks = []
    with patch.object(StdlibTransport, "send", record):
        for _ in range(2):
            asked.clear()
            verifier.verify(image)
            looks.append(list(asked))
    connection = http.client.HTTPConnection(host)
    alone = [median(partial(requests, connection, host, each), runs) for each in looks]
    first = median(lambda: Verifier(policy).verify(image), runs)
    second = median(lambda: verifier.verify(image), runs)
    for what, look, ours, http_alone in zip(
        ("first", "second"), looks, (first, second), alone, strict=True
    ):
        print(
            f"{what} look, {len(look)} requests: imagekit {ours[0]:.1f} ms (least {ours[1]:.1f}), "
            f"requests alone {http_alone[0]:.1f} ms (least {http_alone[1]:.1f}), "
            f"ratio {ours[0] / http_alone[0]:.2f} (of the least {ours[1] / http_alone[1]:.2f})",
            flush=True,
        )


def requests(connection: http.client.HTTPConnection, host: str, asked: list[Request]) -> None:
    """Send what was asked before and read the answers, and nothing else."""
    for request in asked:
        path = request.url.partition(host)[2]
        connection.request(request.method, path, headers=dict(request.headers))
        connection.getresponse().read()


def median(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Return the median and the least of so many runs, in milliseconds."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times), min(times)


def many(policy: OpenedPolicy, images: list[str], what: str, folder: Path) -> None:
    """Judge them by one verifier."""
    before, began = time.process_time(), time.perf_counter()
    verifier = Verifier(policy, memory=SqliteRollbackStore(folder / "seen.db"))
    allowed = sum(
        one.verdict is not None and one.verdict.allowed for one in verifier.verify_many(images)
    )
    wall, processors = time.perf_counter() - began, time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(images)} images, {what}: {wall:.2f} s, {processors:.2f} s of processors, "
        f"{allowed} allowed, peak so far {peak:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())

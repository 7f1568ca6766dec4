"""Attack 27: paths that a registry would understand and the grammar does not. By raw sockets.

Whatever is sent, the answer is a refusal and the origin hears nothing.
"""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagekit.gate.limits import ListenerLimits
from tests.e2e.gate.local import LocalGate, Making
from tests.e2e.gate.origin import Origin

pytestmark = pytest.mark.real

DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    """A registry with one image."""
    with Origin(b"layer") as running:
        yield running


@pytest.fixture(scope="module")
def gate(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGate]:
    """A gate in front of it."""
    folder: Path = tmp_path_factory.mktemp("gate")
    made = Making(
        folder=folder,
        policy=origin.world.policy(),
        upstreams=(origin.upstream(),),
        # Here all that is refused comes from one client, and none of it shall be delayed.
        limits=ListenerLimits(refusals=10_000),
    )
    with LocalGate(made) as running:
        yield running


def send(gate: LocalGate, request: bytes) -> bytes:
    """Send bytes, and return what came until the gate closed or had answered."""
    with socket.create_connection(("127.0.0.1", gate.port), timeout=2) as client:
        client.sendall(request)
        came = b""
        try:
            while piece := client.recv(1 << 16):
                came += piece
        except (TimeoutError, ConnectionError):
            pass
        return came


def get(gate: LocalGate, target: bytes) -> int:
    """Ask for a target as it is, and return the status."""
    came = send(gate, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return int(came.split(b" ", 2)[1]) if came else 0


TARGETS = [
    b"/v2/apps%2Fdemo/manifests/1",
    b"/v2/apps%2fdemo/manifests/1",
    b"/v2/apps/demo%2Fmanifests/1",
    b"/v2/apps/demo/manifests/%31",
    b"/v2/%61pps/demo/manifests/1",
    b"//v2/apps/demo/manifests/1",
    b"/v2//apps/demo/manifests/1",
    b"/v2/apps//demo/manifests/1",
    b"/v2/apps/demo//manifests/1",
    b"/v2/apps/demo/manifests//1",
    b"/v2/apps/demo/manifests/1/",
    b"/v2/../v2/apps/demo/manifests/1",
    b"/v2/apps/./demo/manifests/1",
    b"/v2/apps/x/../demo/manifests/1",
    b"/v2/apps/demo/manifests/..",
    b"/v2/apps/demo/manifests/.",
    b"/v2/apps/demo;x/manifests/1",
    b"/v2/apps/demo/manifests/1;x",
    b"/v2/Apps/demo/manifests/1",
    b"/V2/apps/demo/manifests/1",
    b"/v2/apps/demo/Manifests/1",
    b"/v2/apps\\demo/manifests/1",
    b"/v2/apps/demo/manifests/1\\",
    b"/v2/apps/demo/manifests/1%00",
    b"/v2/apps/demo/manifests/1%0d%0aX:y",
    b"/v2/apps/demo/manifests/1#x",
    b"/v2/apps/demo/manifests/1%3Fns=x",
    b"/v2/apps/demo/manifests/" + b"a" * 129,
    b"/v2/" + b"a/" * 200 + b"manifests/1",
    b"/v2/" + b"a" * 5000 + b"/manifests/1",
    b"/v2/apps/demo/manifests/-x",
    b"/v2/apps/demo/manifests/",
    b"/v2/apps/demo/manifests",
    b"/v2/manifests/1",
    b"/v2/apps/demo/",
    b"/v2/apps/demo",
    b"/v2/apps/demo/blobs/uploads/",
    b"/v2/apps/demo/blobs/uploads/x",
    b"/v2/apps/demo/blobs/1",
    b"/v2/apps/demo/tags/1",
    b"/v2/apps/demo/tags/list/",
    b"/v2/apps/demo/referrers/1",
    b"/v2/apps/demo/_manifests/1",
    b"/v2/apps/demo/blobs/sha256:../../x",
    b"/v2/apps/demo/blobs/sha256:" + b"A" * 64,
    b"/v2/apps/demo/blobs/" + DIGEST.encode() + b"/x",
    b"/v2/apps/demo/blobs/" + DIGEST.encode() + b"%20",
    b"/v2/-apps/demo/manifests/1",
    b"/v2/apps-/demo/manifests/1",
    b"/v2/apps/demo.../manifests/1",
    b"/v2/apps:5000/demo/manifests/1",
    b"/v2/user@apps/demo/manifests/1",
    b"/v1/repositories/apps/demo/images",
    b"/v2/_catalog/",
    b"/v2/_catalog",
    b"/token",
    b"/",
    b"*",
    b"http://other.example/v2/apps/demo/manifests/1",
    b"/v2/apps/demo/manifests/1?ns=other.example",
    b"/v2/apps/demo/manifests/1?" + b"a=b&" * 100,
    "/v2/ápps/demo/manifests/1".encode(),
    b"/v2/apps/demo/manifests/1\xff",
    b"/v2/apps/demo/tags/list?n=-1",
    b"/v2/apps/demo/tags/list?n=1e9",
]


@pytest.mark.parametrize(
    "target", TARGETS, ids=[f"{n}-{ascii(each)[2:40]}" for n, each in enumerate(TARGETS)]
)
def test_27_path(origin: Origin, gate: LocalGate, target: bytes) -> None:
    """A path outside of the grammar is 400 or 404, and goes nowhere."""
    origin.asked.clear()

    status = get(gate, target)

    assert status in {400, 404, 414}
    assert origin.asked == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        (
            b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /v2/apps/demo/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n"
        ),
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET " + b"x" * 100_000,
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    ],
    ids=["cl-te", "bad-te", "bad-cl", "tls", "long-line", "many-headers"],
)
def test_bytes_that_are_no_request(origin: Origin, gate: LocalGate, request_bytes: bytes) -> None:
    """Nothing behind or beside a request is taken for one, and the gate goes on."""
    origin.asked.clear()

    came = send(gate, request_bytes)

    assert came.count(b"HTTP/1.1 200") <= 1
    assert origin.asked == []
    assert get(gate, b"/v2/") == 200


def test_body_of_a_get_is_no_request(origin: Origin, gate: LocalGate) -> None:
    """A request in the body of another is not answered."""
    inner = b"GET /v2/apps/demo/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(inner)
    origin.asked.clear()

    came = send(gate, head + inner)

    assert came.count(b"HTTP/1.1 ") == 1
    assert origin.asked == []


def test_requests_behind_each_other(origin: Origin, gate: LocalGate) -> None:
    """Pipelined requests are each answered by their own."""
    one = f"GET {origin.manifest} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    two = b"GET /v2/apps%2Fdemo/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n"

    came = send(gate, one + two + one)

    statuses = re.findall(rb"HTTP/1\.1 (\d+)", came)
    assert statuses == [b"200", b"400", b"200"]


def test_http_1_0(gate: LocalGate, origin: Origin) -> None:
    """An old client gets its answer, and the connection is closed."""
    came = send(gate, f"GET {origin.manifest} HTTP/1.0\r\n\r\n".encode())

    assert came.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200"))
    assert origin.world.registry.manifest(origin.image).raw in came

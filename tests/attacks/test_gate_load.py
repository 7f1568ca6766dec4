"""Attack 53: strangers who want to keep others from being served. By raw sockets.

Each address of 127.0.0.0/8 is a client of its own.
"""

import contextlib
import ipaddress
import socket
import struct
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.gate.auth.authenticate import Grant, Rights
from imagekit.gate.auth.logins import load_rights
from imagekit.gate.limits import ListenerLimits
from imagekit.oci.digest import Digest
from tests.e2e.gate.kit import Reply, wait_for
from tests.e2e.gate.local import LocalGate, Making
from tests.e2e.gate.origin import Origin
from tests.support.fakes import push_image
from tests.support.hostile import Answer, Asked

pytestmark = pytest.mark.real

STRANGER, HONEST = "127.0.0.66", "127.0.0.2"
SECOND = timedelta(seconds=1)
LIMITS = ListenerLimits(
    connections=40,
    connections_per_client=10,
    connections_per_second=10_000,
    header_bytes=8 << 10,
    header=SECOND,
    idle=2 * SECOND,
    send=2 * SECOND,
    waiting_per_client=4,
    refusals=10,
)
HELLO = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A registry with one image, whose layer no socket's buffers hold."""
    with Origin(bytes(32 << 20)) as running:
        yield running


def making(origin: Origin, folder: Path, **changes: object) -> Making:
    """Return what the gate is made of."""
    made = Making(
        folder=folder,
        policy=origin.world.policy(),
        upstreams=(origin.upstream(),),
        limits=LIMITS,
    )
    return replace(made, **changes)


@pytest.fixture
def gate(origin: Origin, tmp_path: Path) -> Iterator[LocalGate]:
    """A gate with small limits."""
    with LocalGate(making(origin, tmp_path)) as running:
        yield running


@pytest.fixture
def connect(gate: LocalGate) -> Iterator["Connect"]:
    """Return what makes connections."""
    with contextlib.ExitStack() as stack:
        yield Connect(gate, stack)


class Connect:
    """Makes connections from an address."""

    def __init__(self, gate: LocalGate, stack: contextlib.ExitStack) -> None:
        self._gate = gate
        self._stack = stack

    def __call__(self, address: str, sent: bytes = b"", *, buffer: int = 0) -> socket.socket:
        """Return a connection on which something was sent."""
        made = self._stack.enter_context(socket.socket())
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.settimeout(15)
        made.bind((address, 0))
        made.connect(("127.0.0.1", self._gate.port))
        made.sendall(sent)
        return made


def received(client: socket.socket) -> bytes:
    """Return what comes until the gate ends the connection."""
    came = bytearray()
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(1 << 20):
            came += piece
    return bytes(came)


def answered(client: socket.socket) -> bool:
    """Return whether there is a good answer."""
    with contextlib.suppress(ConnectionError):
        return client.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    return False


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /v2/ HT", b"GET /v2/ HTTP/1.1\r\nX: y\r\n", HELLO + b"GET /v2/ HTTP/1.1\r\n"],
    ids=["nothing", "half-a-line", "half-of-headers", "after-a-request"],
)
def test_headers_that_do_not_come_are_not_waited_for(connect: Connect, sent: bytes) -> None:
    """Also where a byte comes now and then; an idle connection has a longer time."""
    began = time.monotonic()
    client = connect(STRANGER, sent)
    client.settimeout(0.3)
    ended = False
    while not ended and time.monotonic() - began < 10:
        try:
            ended = not client.recv(1 << 16)
            client.sendall(b"x" if sent else b"")
        except TimeoutError:
            continue
        except ConnectionError:
            ended = True

    assert ended
    assert time.monotonic() - began < 8


def test_headers_are_bounded_as_a_whole(gate: LocalGate, connect: Connect) -> None:
    """However many lines they have, and whether they come at once or in pieces."""
    line = b"X-Much: " + b"y" * 1000 + b"\r\n"
    whole = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + line * 12 + b"\r\n"
    at_once = received(connect(STRANGER, whole))
    client = connect(STRANGER, whole[:6000])
    time.sleep(0.2)
    client.sendall(whole[6000:-2])
    in_pieces = received(client)
    few = received(connect(STRANGER, HELLO[:-2] + line * 4 + b"Connection: close\r\n\r\n"))

    assert at_once.startswith(b"HTTP/1.1 431 ")
    assert in_pieces.startswith(b"HTTP/1.1 431 ")
    assert few.startswith(b"HTTP/1.1 200 ")
    assert [line["event"] for line in gate.audit] == ["malformed", "malformed"]


def test_one_client_does_not_take_all_connections(connect: Connect) -> None:
    """Others connect; and it can itself: what it left waiting goes first."""
    waiting = [connect(STRANGER, b"GET ") for _ in range(60)]

    assert answered(connect(HONEST, HELLO))
    assert answered(connect(STRANGER, HELLO))
    assert received(waiting[0]) == b""


def test_many_clients_do_not_take_all_connections(connect: Connect) -> None:
    """Who has most of them loses one, and not who has one."""
    for number in range(6):
        for _ in range(8):
            connect(f"127.0.7.{number + 1}", b"GET ")

    assert answered(connect(HONEST, HELLO))


def test_new_connections_are_bounded(origin: Origin, tmp_path: Path) -> None:
    """Who comes again and again is not accepted for a while; others are."""
    limits = replace(LIMITS, connections_per_second=1)
    made = making(origin, tmp_path, limits=limits)
    with LocalGate(made) as gate, contextlib.ExitStack() as stack:
        connect = Connect(gate, stack)
        accepted = 0
        for _ in range(40):
            with contextlib.suppress(ConnectionError):
                accepted += answered(connect(STRANGER, HELLO))

        assert 10 <= accepted < 30
        assert answered(connect(HONEST, HELLO))
        assert b'connection_total{outcome="rate"}' in gate.get("/metrics").body


def test_an_idle_connection_ends(connect: Connect) -> None:
    """It is not kept for ever, and an answer that is taken slowly is not idle."""
    client = connect(STRANGER, HELLO)
    assert answered(client)
    began = time.monotonic()

    assert received(client) == b""
    assert 1 < time.monotonic() - began < 8


@pytest.mark.parametrize("cached", [True, False], ids=["from-the-cache", "passed-through"])
def test_who_does_not_read_is_not_waited_for(
    origin: Origin, tmp_path: Path, *, cached: bool
) -> None:
    """The answer is cut off, and its files and connections are given back."""
    made = making(origin, tmp_path, cache_size=64 << 20 if cached else 0)
    with LocalGate(made) as gate, contextlib.ExitStack() as stack:
        assert gate.get(origin.manifest).status == 200
        if cached:
            assert gate.get(origin.blob).status == 200
        request = f"GET {origin.blob} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        connect = Connect(gate, stack)
        clients = [connect(STRANGER, request, buffer=4096) for _ in range(4)]
        for client in clients:
            client.recv(100)

        wait_for(lambda: b'connection_total{outcome="send"} 4' in gate.get("/metrics").body, 15)
        assert len(received(clients[0])) < 16 << 20
        # Who reads is served whole, slowly too.
        slow = connect(HONEST, request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        came = b""
        for _ in range(10):
            came += slow.recv(1 << 20)
            time.sleep(0.1)
        came += received(slow)
        assert Digest.of(came.partition(b"\r\n\r\n")[2]) == origin.digest
        assert "fault" not in gate.said.getvalue()


MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /v2/ HTTP/9.9\r\n\r\n",
    b"GET /v2/\r\n\r\n",
    b"\r\n\r\nnonsense\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost x\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\n: x\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nA: \x00\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: x\r\nA: " + b"y" * 9000 + b"\r\n\r\n",
    b"GET /" + b"y" * 9000 + b" HTTP/1.1\r\n\r\n",
    b"GET /v2/%2e HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET http://[x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET //[x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"POST /v2/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\r\nx",
]


@pytest.mark.parametrize("sent", MALFORMED, ids=[str(number) for number in range(len(MALFORMED))])
def test_what_is_malformed_is_one_line_of_the_audit_log(
    gate: LocalGate,
    connect: Connect,
    sent: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the client that sent it, and no traceback anywhere."""
    client = connect(STRANGER, sent)
    client.shutdown(socket.SHUT_WR)
    received(client)

    wait_for(lambda: len(gate.audit) > 0, 5)
    assert [line["client"] for line in gate.audit] == [STRANGER]
    assert len(gate.said.getvalue()) < 3000
    assert not [record for record in caplog.records if record.exc_info]


def test_a_client_that_resets_leaves_no_traceback(
    gate: LocalGate, connect: Connect, origin: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    """In the middle of a blob, or of a request."""
    gate.get(origin.manifest)
    for sent in (b"GET ", f"GET {origin.blob} HTTP/1.1\r\nHost: x\r\n\r\n".encode()):
        client = connect(STRANGER, sent, buffer=4096)
        time.sleep(0.3)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    time.sleep(0.5)

    assert gate.get(origin.manifest).status == 200
    assert not [record for record in caplog.records if record.exc_info]


def test_a_flood_of_refusals_is_answered_slowly(gate: LocalGate, connect: Connect) -> None:
    """So it takes no more of the gate than so many a second; others are answered at once."""
    began = time.monotonic()

    def flood() -> None:
        with contextlib.suppress(OSError):
            client = connect(STRANGER, b"")
            for _ in range(20):
                client.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
                client.recv(4096)

    threads = [threading.Thread(target=flood) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.monotonic() - began

    # A burst of fifty, and ten a second.
    assert taken > 3
    assert answered(connect(HONEST, HELLO))


def test_a_denial_is_not_delayed(origin: Origin, tmp_path: Path) -> None:
    """A withdrawal is seen at once, also by who shares an address with a flood."""
    world = origin.world
    world.tag("2", push_image(world.registry, world.repository, content=b"unsigned"))
    made = making(origin, tmp_path, limits=replace(LIMITS, refusals=1))
    with LocalGate(made) as gate:
        target = "/v2/apps/demo/manifests/2"
        assert gate.get(target).status == 403
        began = time.monotonic()
        assert {gate.get(target).status for _ in range(12)} == {403}

        assert time.monotonic() - began < 5


def test_random_digests_do_not_fill_the_row(origin: Origin, tmp_path: Path) -> None:
    """A registry that is slow keeps who asks for them waiting, and nobody else for long."""

    def slow(asked: Asked, answer: Answer) -> None:
        if answer.status == 404:
            time.sleep(0.5)

    with LocalGate(making(origin, tmp_path)) as gate, contextlib.ExitStack() as stack:
        connect = Connect(gate, stack)
        origin.lie = slow
        flood = []
        for number in range(10):
            target = f"/v2/apps/demo/manifests/sha256:{number:064x}"
            flood.append(connect(STRANGER, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()))
        wait_for(lambda: len(origin.asked) >= 4)
        began = time.monotonic()
        request = f"GET {origin.manifest} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        assert answered(connect(HONEST, request))
        taken = time.monotonic() - began
        statuses = [client.recv(4096).split(b" ", 2)[1] for client in flood]

    # Six at work, four that wait; what a verdict on the honest image asks for is slow, too.
    assert taken < 5
    assert set(statuses) == {b"404"}


def test_random_digests_are_bounded(origin: Origin, tmp_path: Path) -> None:
    """More than may wait is refused at once, with a time to come back."""

    def slow(asked: Asked, answer: Answer) -> None:
        if answer.status == 404:
            time.sleep(1)

    limits = replace(LIMITS, connections_per_client=40)
    made = making(origin, tmp_path, limits=limits)
    with LocalGate(made) as gate, contextlib.ExitStack() as stack:
        connect = Connect(gate, stack)
        origin.lie = slow
        flood = []
        for number in range(30):
            target = f"/v2/apps/demo/manifests/sha256:{number:064x}"
            flood.append(connect(STRANGER, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()))
        answers = [client.recv(4096) for client in flood]

    refused = [each for each in answers if each.startswith(b"HTTP/1.1 429 ")]
    assert len(refused) >= 30 - 6 - 4 - 8
    assert all(b"Retry-After: " in each and b"TOOMANYREQUESTS" in each for each in refused)


def test_clients_behind_a_balancer_are_told_apart(origin: Origin, tmp_path: Path) -> None:
    """By what the balancer saw; who forges the header elsewhere is taken for himself."""
    proxies = (ipaddress.ip_network("127.0.0.9/32"),)
    with LocalGate(making(origin, tmp_path, proxies=proxies)) as gate:
        with contextlib.ExitStack() as stack:
            connect = Connect(gate, stack)
            for address in ("127.0.0.9", STRANGER):
                head = b"X-Forwarded-For: 6.6.6.6, 198.51.100.7\r\nConnection: close\r\n\r\n"
                received(connect(address, b"GET /nothing HTTP/1.1\r\nHost: x\r\n" + head))
            # A balancer has more connections than one client.
            many = [connect("127.0.0.9", HELLO) for _ in range(20)]
            assert all(answered(each) for each in many)

        assert [line["client"] for line in gate.audit] == ["198.51.100.7", STRANGER]


def test_what_is_not_of_the_registry_needs_a_login(origin: Origin, tmp_path: Path) -> None:
    """Metrics and the policy's state are for who may see something; that it lives is for all."""
    open_to_all = Grant(users=("anonymous",), repositories=("**",))
    rights = Rights(
        passwords={}, tokens={bytes.fromhex(Digest.of(b"t").hex): "robot"}, grants=(open_to_all,)
    )
    with LocalGate(making(origin, tmp_path, rights=rights)) as gate:
        login = {"Authorization": "Bearer t"}

        assert gate.get("/metrics").status == gate.get("/readyz").status == 401
        assert gate.get("/metrics", headers=login).status == 200
        assert gate.get("/healthz", headers={"Authorization": "Basic x"}).status != 401


def _other(origin: Origin, other: Origin, rights: Rights, folder: Path) -> LocalGate:
    upstreams = (
        replace(origin.upstream(), name="site"),
        replace(other.upstream(), name="hub"),
    )
    made = Making(folder=folder, policy=other.world.policy(), upstreams=upstreams, rights=rights)
    return LocalGate(made)


def test_rights_are_about_the_upstream_that_was_chosen(origin: Origin, tmp_path: Path) -> None:
    """A name of another upstream before it, or none, gives no right there."""
    site = Grant(users=("anonymous",), repositories=("site/**", "apps/**"))
    rights = Rights(passwords={}, tokens={}, grants=(site,))
    with Origin(b"secret") as other, _other(origin, other, rights, tmp_path) as gate:
        asked: list[Reply] = [
            gate.get(f"/v2/{path}/manifests/1?ns={other.host}")
            for path in ("apps/demo", "site/apps/demo", "hub/apps/demo")
        ]
        strangers = gate.get("/v2/nothing/apps/demo/manifests/1")

        assert [each.status for each in asked] == [401, 401, 401]
        assert other.asked == []
        # Which upstreams there are is not told to who may see none of them.
        assert (strangers.status, "hub" in strangers.message) == (401, False)


def test_who_may_see_an_upstream_may_by_its_namespace(origin: Origin, tmp_path: Path) -> None:
    """The same right, by whatever name containerd asks."""
    rights = Rights(
        passwords={},
        tokens={},
        grants=(Grant(users=("anonymous",), repositories=("hub/apps/*",)),),
    )
    with Origin(b"hello") as other, _other(origin, other, rights, tmp_path) as gate:
        for path in ("/v2/hub/apps/demo/manifests/1", f"/v2/apps/demo/manifests/1?ns={other.host}"):
            assert gate.get(path).status == 200


def test_logins_are_read_from_files(tmp_path: Path) -> None:
    """A token is found by its digest alone."""
    file = tmp_path / "tokens"
    file.write_text(f"robot:sha256:{Digest.of(b't').hex}\n")
    rights = load_rights(htpasswd=None, tokens=file, certificates=False, grants=())

    assert rights.tokens == {bytes.fromhex(Digest.of(b"t").hex): "robot"}

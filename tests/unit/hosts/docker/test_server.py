"""Docker's questions over a unix socket: every one is answered, and every fault is a no."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagekit.errors import InputError, ToolError
from imagekit.hosts.docker.request import DockerRequest
from imagekit.hosts.docker.server import MAX_QUESTION, AuthzServer


class Plugin:
    """A running plugin that remembers what it was asked."""

    def __init__(self, path: Path) -> None:
        """Start it."""
        self.path = path
        self.asked: list[DockerRequest] = []
        self.fault: Exception | None = None
        self.server = AuthzServer(path, self.decide)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def decide(self, request: DockerRequest) -> tuple[bool, str]:
        """Allow what is asked for /good."""
        self.asked.append(request)
        if self.fault is not None:
            raise self.fault
        return request.uri == "/good", "because"

    def stop(self) -> None:
        """Stop it."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def send(self, raw: bytes) -> bytes:
        """Send bytes as they are, and return all that comes back."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(self.path))
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def post(self, path: str, body: bytes) -> Any:
        """Post a body and return the answer's document."""
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        answer = self.send(head.encode() + b"Connection: close\r\n\r\n" + body)
        return json.loads(answer.partition(b"\r\n\r\n")[2])

    def ask(self, **fields: object) -> Any:
        """Ask as Docker does."""
        return self.post("/AuthZPlugin.AuthZReq", json.dumps(fields).encode())


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    """A plugin that runs."""
    made = Plugin(tmp_path / "sock")
    yield made
    made.stop()


def test_it_says_what_it_is(plugin: Plugin) -> None:
    """Docker asks once, when it starts."""
    assert plugin.post("/Plugin.Activate", b"") == {"Implements": ["authz"]}


def test_a_question_is_handed_on_and_answered(plugin: Plugin) -> None:
    """Method, path, length and body, which comes in base64."""
    body = base64.b64encode(b'{"Image": "x"}').decode()
    headers = {"Content-Length": "14", "User-Agent": "x"}

    good = plugin.ask(
        RequestMethod="POST", RequestUri="/good", RequestBody=body, RequestHeaders=headers
    )
    bad = plugin.ask(RequestMethod="POST", RequestUri="/bad")

    assert good == {"Allow": True, "Msg": "because", "Err": ""}
    assert bad["Allow"] is False
    assert plugin.asked == [
        DockerRequest(method="POST", uri="/good", body=b'{"Image": "x"}', length="14"),
        DockerRequest(method="POST", uri="/bad"),
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"junk",
        b"[]",
        b"{}",
        b'{"RequestMethod": "POST"}',
        b'{"RequestMethod": "POST", "RequestUri": 7}',
        b'{"RequestMethod": "POST", "RequestUri": "/good", "RequestBody": "***"}',
        b'{"RequestMethod": "POST", "RequestUri": "/bad", "requesturi": "/good"}',
        b'{"RequestMethod": "POST", "RequestUri": "/good", "RequestHeaders": []}',
        b'{"RequestMethod": "GET", "RequestUri": "/good", "RequestHeaders": {"Content-Length": 0}}',
    ],
)
def test_what_is_no_question_is_refused(plugin: Plugin, raw: bytes) -> None:
    """Nobody is asked then."""
    assert plugin.post("/AuthZPlugin.AuthZReq", raw)["Allow"] is False
    assert plugin.asked == []


@pytest.mark.parametrize("fault", [ToolError("silent"), RuntimeError("bug"), MemoryError()])
def test_a_fault_is_a_no(plugin: Plugin, fault: Exception) -> None:
    """Whatever it is."""
    plugin.fault = fault

    assert plugin.ask(RequestMethod="GET", RequestUri="/good")["Allow"] is False


@pytest.mark.parametrize("length", ["-1", "x", str(MAX_QUESTION + 1), "9" * 40, "", "0x5"])
def test_a_length_that_is_none_is_refused(plugin: Plugin, length: str) -> None:
    """And nothing is waited for."""
    head = f"POST /AuthZPlugin.AuthZReq HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"

    answer = plugin.send(head.encode() + b'{"RequestMethod": "GET", "RequestUri": "/good"}')

    assert b'"Allow": false' in answer
    assert plugin.asked == []


def test_a_question_that_is_cut_short_is_refused(plugin: Plugin) -> None:
    """Half a question may say something else than the whole."""
    head = b"POST /AuthZPlugin.AuthZReq HTTP/1.1\r\nContent-Length: 500\r\n\r\n"

    assert b'"Allow": false' in plugin.send(head + b'{"RequestMethod": "GET"')


def test_other_paths_do_not_exist(plugin: Plugin) -> None:
    """It answers Docker and nobody else."""
    assert (
        b" 404 " in plugin.send(b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n").split(b"\r\n")[0]
    )


def test_only_its_owner_may_ask(plugin: Plugin) -> None:
    """The socket is root's, as Docker is."""
    assert plugin.path.stat().st_mode & 0o077 == 0


def test_a_socket_that_was_left_is_replaced(tmp_path: Path) -> None:
    """A plugin that was killed starts again."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "sock"))
    again = Plugin(tmp_path / "sock")

    assert again.ask(RequestMethod="GET", RequestUri="/good")["Allow"] is True
    again.stop()


def test_a_socket_that_is_in_use_stays(plugin: Plugin) -> None:
    """Docker's own would be taken from everybody else."""
    with pytest.raises(InputError, match="another process listens"):
        AuthzServer(plugin.path, lambda _: (True, ""))

    assert plugin.ask(RequestMethod="GET", RequestUri="/good")["Allow"] is True


def test_a_file_in_the_way_stays(tmp_path: Path) -> None:
    """It may be somebody's."""
    (tmp_path / "sock").write_text("x")

    with pytest.raises(InputError, match="no socket"):
        AuthzServer(tmp_path / "sock", lambda *_: (True, ""))

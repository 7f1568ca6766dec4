"""The webhook on the wire: its answers, and everything that must not become a yes."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gate.kit import Site, wait_for
from tests.support.servers import answers, free_port
from tests.unit.hosts.kubernetes.test_review import review

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Hook:
    """A webhook that runs."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def post(self, body: bytes, path: str = "/validate?timeout=10s") -> tuple[int, Any]:
        """Send a body; return status and document."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(raw) if answer.status == 200 else raw.decode()

    def pod(self, *images: str) -> Any:
        """Ask whether a pod of these images may be."""
        spec = {"containers": [{"name": "c", "image": image} for image in images]}
        status, document = self.post(review("Pod", {"spec": spec}))
        assert status == 200, document
        return document["response"]


@pytest.fixture
def site(registry: str, tmp_path: Path) -> Site:
    """A registry, and a policy for it."""
    return Site(host=registry, folder=tmp_path)


@pytest.fixture
def hook(site: Site) -> Iterator[Hook]:
    """A webhook that accepts tags, without TLS: as behind a proxy on the same host."""
    port, log = free_port(), site.folder / "hook.log"
    argv = [
        *(sys.executable, "-P", "-m", "imagekit", "webhook", "--policy", str(site.policy)),
        *("--listen", f"127.0.0.1:{port}", "--allow-tags", "--contact", "images@r.site"),
        *("--state", str(site.folder / "seen.db")),
    ]
    with log.open("wb") as file:
        process = subprocess.Popen(
            argv, env=dict(os.environ), stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        answers(process, port, log)
        yield Hook(port=port, process=process, log=log)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_signed_images_are_admitted_and_others_are_not(site: Site, hook: Hook) -> None:
    """By tag and digest; the answer says what is wrong and whom to ask."""
    good = site.push("apps/good", "1")
    bad = site.push("apps/bad", "1", signed=False)

    assert hook.pod(f"{good.repository}:1", f"{good.repository}:1@{good.digest}")["allowed"]
    refused = hook.pod(f"{good.repository}:1", f"{bad.repository}:1")
    assert refused["allowed"] is False
    assert "NO_SIGNATURE" in refused["status"]["message"]
    assert "images@r.site" in refused["status"]["message"]
    assert '"decision": "deny"' in hook.log.read_text()


def test_a_registry_that_does_not_answer_is_a_no(hook: Hook) -> None:
    """As is an image of a registry that no rule speaks of."""
    assert not hook.pod(f"127.0.0.1:{free_port()}/apps/x:1")["allowed"]
    assert not hook.pod("nginx")["allowed"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/validate", b"{", 400),
        ("/validate", review("Strange", {}), 400),
        ("/validate", b"x" * ((7 << 20) + 1), 400),
        ("/", b"", 404),
        ("/validate/..", b"", 404),
    ],
    ids=["no JSON", "an unknown kind", "too much", "no path", "another path"],
)
def test_what_is_no_review_gets_no_yes(hook: Hook, path: str, body: bytes, status: int) -> None:
    """An API server with failurePolicy Fail takes each of these for a no."""
    assert hook.post(body, path)[0] == status


def test_a_body_that_drips_is_ended(hook: Hook) -> None:
    """It holds a place for a bounded time only."""
    with socket.create_connection(("127.0.0.1", hook.port), timeout=30) as client:
        client.sendall(b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_new_policy_is_obeyed_and_a_broken_one_is_not(site: Site, hook: Hook) -> None:
    """SIGHUP reads it; what is broken leaves the old one in force."""
    good = site.push("apps/good", "1")
    site.policy.write_text("apiVersion: imagekit/v1\n")
    hook.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the old one stays in force" in hook.log.read_text())
    assert hook.pod(f"{good.repository}:1")["allowed"]

    site.write_policy(more=f'deny: {{digests: ["{good.digest}"]}}')
    hook.process.send_signal(signal.SIGHUP)
    wait_for(lambda: not hook.pod(f"{good.repository}:1")["allowed"])

"""A mirror of Debian on loopback, which passes on what it is asked for to this host's own."""

import base64
import functools
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import requests


@functools.cache
def _mirror(suite: str) -> str:
    """Return this host's own mirror of a suite, as apt has it."""
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI)", f"Release: {suite}"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return said.split()[0].removesuffix("/")


class MirrorRelay(ThreadingHTTPServer):
    """The server; it is a proxy, too, as it looks at the path only."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.port = self.server_port
        self.logins: set[str] = set()
        """What it was shown, as a mirror and as a proxy."""
        self.asked = 0
        """How many requests there were."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Pass on what apt asks for, to the mirror that this host really has."""
        relay = self.server
        assert isinstance(relay, MirrorRelay)
        relay.asked += 1
        for header in ("Authorization", "Proxy-Authorization"):
            word = (self.headers.get(header) or "").removeprefix("Basic ")
            relay.logins.add(base64.b64decode(word).decode())
        path = urlsplit(self.path).path
        security = path.startswith("/debian-security")
        base = _mirror("bookworm-security" if security else "bookworm")
        rest = path.removeprefix("/debian-security" if security else "/debian")
        # Bytes as they lie there: a file that is packed has its digest so.
        answer = requests.get(base + rest, headers={"Accept-Encoding": "identity"}, timeout=60)
        raw, status = (answer.content if answer.ok else b""), answer.status_code
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def mirror_relay() -> Iterator[MirrorRelay]:
    """Run the server."""
    with MirrorRelay() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

"""A front of a registry that plays the tricks of the table, in the repositories that ask for one.

All else is passed on as it comes.
"""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from imagekit.oci.types import INDEX, PREDICATE_TYPE
from imagekit.signatures.release import WITHDRAWAL
from tests.e2e.differential.copies import Json, packed
from tests.e2e.differential.store import Store

LINKS = {
    "several": '</v2/>; rel="first", <{}>; rel="next"',
    "bare": "<{}>; rel=next",
    "capital": '<{}>; REL="Next"',
    "relations": '<{}>; rel="last next"',
    "behind-others": '<{}>; title="a, b; rel=prev"; rel=next',
    "spaces": '<{}>\t;  rel = "next"',
    "escaped": '<{}>; rel="n\\ext"',
    "anchored": '<{}>; rel="next"; anchor=""',
    "no-relation": "<{}>",
    "torn": '<{}>; rel="next',
}
"""Ways in which a registry may write that its list goes on; the last two cannot be read."""
LATER = "later-page-"
NO_API = "-without-api"
_PASSED = (
    "Content-Type",
    "Location",
    "Docker-Content-Digest",
    "Range",
    "OCI-Filters-Applied",
    "OCI-Subject",
)
_NOT_FOUND = 404


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behind: str

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        repository, _, digest = path.removeprefix("/v2/").partition("/referrers/")
        if digest and repository.endswith(NO_API):
            self._send(_NOT_FOUND, {}, b"")
            return
        status, headers, body = self._passed()
        way = repository.rpartition(LATER)[2] if LATER in repository else ""
        if digest and way and status == http.client.OK:
            entries = json.loads(body)["manifests"]
            last = [entry for entry in entries if self._withdraws(repository, entry["digest"])]
            if query == "later":
                body = _index(last)
            elif last:
                body = _index([entry for entry in entries if entry not in last])
                headers["Link"] = LINKS[way].format(f"{path}?later")
        self._send(status, headers, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - http.server's names

    def _withdraws(self, repository: str, digest: str) -> bool:
        found = Store(self.behind, repository, referrers=True).get(digest)
        said = found.json.get("annotations", {}) if found else {}
        return bool(said.get(PREDICATE_TYPE) == WITHDRAWAL)

    def _passed(self) -> tuple[int, dict[str, str], bytes]:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection(self.behind, timeout=60)
        try:
            target = self.path.removesuffix("?later")
            connection.request(self.command, target, body=body, headers=dict(self.headers))
            answer = connection.getresponse()
            found = {name: answer.headers[name] for name in _PASSED if name in answer.headers}
            if self.command == "HEAD" and "Content-Length" in answer.headers:
                found["Content-Length"] = answer.headers["Content-Length"]
            return answer.status, found, answer.read()
        finally:
            connection.close()

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
        """Say nothing."""


def _index(entries: list[Json]) -> bytes:
    return packed({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


@contextmanager
def before(host: str) -> Iterator[str]:
    """Run a front of a registry, and yield its own host."""
    handler = type("Front", (_Handler,), {"behind": host})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A registry of the attacker's: every answer is a function of the request, chosen by the test."""

import contextlib
import http.server
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from msgspec import Struct, field


class Asked(Struct, frozen=True):
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


class Answer(Struct):
    """An answer; ``drip`` writes the body itself, for bodies that never end.

    With ``raw`` it writes the status line and the headers as well.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    drip: Callable[[Callable[[bytes], None]], None] | None = None
    raw: bool = False


Script = Callable[[Asked], Answer]


class HostileRegistry:
    """Listens on a loopback port and answers by the script; ``asked`` lists what came."""

    def __init__(self, script: Script) -> None:
        self.asked: list[Asked] = []
        self._server = _Server(script, self.asked)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, script: Script, asked: list[Asked]) -> None:
        self.script = script
        self.asked = asked
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body together: else each answer waits for an ACK
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            # The client went away, which is what many tests want of it.
            self.close_connection = True

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def do_GET(self) -> None:
        request = Asked(
            method=self.command,
            path=self.path,
            headers={k.lower(): v for k, v in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        server = self.server
        assert isinstance(server, _Server)
        server.asked.append(request)
        answer = server.script(request)
        if not answer.raw:
            self._head(answer)
        if answer.drip is not None:
            answer.drip(self._write)
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815 - http.server's names

    def _head(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.drip is None:
            self.send_header("Content-Length", str(len(answer.body)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if answer.drip is not None:
            self.wfile.flush()

    def _write(self, piece: bytes) -> None:
        self.wfile.write(piece)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
        del format, args

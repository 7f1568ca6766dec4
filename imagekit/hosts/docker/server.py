"""HTTP over a unix socket, as Docker calls its authorization plugins.

https://docs.docker.com/engine/extend/plugins_authorization/

Every question gets an answer: what cannot be read or understood is refused, and so is what could
not be decided. Questions are bounded in size and time, and answered in parallel.
"""

import json
import os
import socket
import socketserver
import stat
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar, cast

from imagekit.documents import strictjson
from imagekit.documents.digits import decimal
from imagekit.documents.fields import Fields, strict_base64
from imagekit.errors import ImagekitError, InputError
from imagekit.files import storage_errors
from imagekit.hosts.docker.request import DockerRequest

MAX_QUESTION = 8 << 20
"""Docker passes on bodies of at most 1 MiB, in base64."""
_SECONDS = 30.0
_ANSWERS_SECONDS = 5.0
_BAD = "BAD_QUESTION"

Decide = Callable[[DockerRequest], tuple[bool, str]]
"""Whether Docker may do it, and why not."""


class AuthzServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers on a socket until it is shut down.

    Args:
        path: of the socket; one that no process listens on any more is replaced.
        decide: answers; what it raises is a refusal.

    Raises:
        InputError: something else than a socket is in the way, or one that is in use.
        RegistryError: the socket cannot be made.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path, decide: Decide) -> None:
        self.decide = decide
        _clear(path)
        with storage_errors(f"the socket {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            before = os.umask(0o177)
            try:
                super().__init__(os.fspath(path), _Handler)
            finally:
                os.umask(before)


class _Handler(BaseHTTPRequestHandler):
    """One connection; Docker keeps some open."""

    protocol_version = "HTTP/1.1"
    timeout: ClassVar[float | None] = _SECONDS

    def do_POST(self) -> None:
        """Answer one question."""
        body = self._body()
        match self.path:
            case "/Plugin.Activate":
                self._say({"Implements": ["authz"]})
            case "/AuthZPlugin.AuthZReq":
                self._say(self._decided(body))
            case "/AuthZPlugin.AuthZRes":
                # What was allowed has been done; nothing in its answer has to be hidden.
                self._say(_answer(allow=True))
            case _:
                self.close_connection = True
                self.send_error(404)

    def _decided(self, body: bytes | None) -> dict[str, object]:
        if body is None:
            return _answer(allow=False, message="imagekit: the question has no valid length")
        try:
            allow, message = cast("AuthzServer", self.server).decide(_question(body))
        except ImagekitError as error:
            return _answer(allow=False, message=f"imagekit: {error.message}")
        except Exception as error:  # noqa: BLE001 - whatever happens, the answer is no
            return _answer(allow=False, message=f"imagekit: a fault: {type(error).__name__}")
        return _answer(allow=allow, message=message)

    def _body(self) -> bytes | None:
        """Return the question; None where its length is not valid, or it is incomplete."""
        size = decimal(self.headers.get("Content-Length", ""), most=len(str(MAX_QUESTION)))
        if size is None or size > MAX_QUESTION:
            self.close_connection = True
            return None
        raw = self.rfile.read(size)
        return raw if len(raw) == size else None

    def _say(self, document: object) -> None:
        raw = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Write no log of connections; decisions are logged elsewhere."""

    def address_string(self) -> str:
        """Return nothing: a unix socket has no address."""
        return ""


def _question(raw: bytes) -> DockerRequest:
    document = strictjson.loads(raw, what="the question")
    fields = Fields.of(document, what="the question", code=_BAD)
    body = None
    text = fields.optional_text("RequestBody")
    if text:
        body = strict_base64(text)
        if body is None:
            raise fields.fault("has no base64 in 'RequestBody'")
    headers = fields.optional_object("RequestHeaders")
    length = None if headers.get("Content-Length") is None else headers.text("Content-Length")
    return DockerRequest(
        method=fields.text("RequestMethod"),
        uri=fields.text("RequestUri"),
        body=body,
        length=length,
    )


def _answer(*, allow: bool, message: str = "") -> dict[str, object]:
    return {"Allow": allow, "Msg": message, "Err": ""}


def _clear(path: Path) -> None:
    """Remove the socket of a server that is gone; one that answers is in use.

    Raises:
        InputError: a server answers there, or it is no socket.
        RegistryError: it cannot be removed.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise InputError(f"{path} is there, and no socket", hint="name another one")
    if _answers(path):
        raise InputError(f"another process listens on {path}", hint="end it, or name another one")
    with storage_errors(f"the socket {path}"):
        path.unlink()


def _answers(path: Path) -> bool:
    """Return whether a server listens there; only a refused connection shows that none does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_ANSWERS_SECONDS)
        try:
            client.connect(os.fspath(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True

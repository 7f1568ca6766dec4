"""A registry in memory that takes uploads as distribution does, and fails as a test says."""

import json
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from imagekit.oci.digest import Digest
from imagekit.oci.registry.transport import Body, ConnectionFaultError, Request

HOST = "127.0.0.1:5000"
_UPLOADS = "/blobs/uploads/"


class Answered:
    """An answer: an implementation of ``transport.Response``."""

    def __init__(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.status = status
        self._body = body
        self._headers = {name.replace("_", "-").lower(): text for name, text in headers.items()}

    def header(self, name: str) -> str:
        """Return a header, or an empty text."""
        return self._headers.get(name.lower(), "")

    def changed(self, **headers: str) -> "Answered":
        """Return it with other headers."""
        named = {name.replace("_", "-").lower(): text for name, text in headers.items()}
        other = Answered(self.status, self._body)
        other._headers = self._headers | named
        return other

    def read(self, amount: int) -> bytes:
        """Return the next bytes."""
        piece, self._body = self._body[:amount], self._body[amount:]
        return piece

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


Fault = Callable[["UploadRegistry", Request], Answered]


class UploadRegistry:
    """Takes blobs: an implementation of ``transport.Transport``.

    Args:
        faults: what happens instead at the n-th request of a method, counted from 1.
        forgetful: whether it forgets an upload of another length than the client thinks, as
            distribution 2 does.
    """

    def __init__(
        self, faults: dict[tuple[str, int], Fault] | None = None, *, forgetful: bool = False
    ) -> None:
        self.faults = dict(faults or {})
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.received = 0
        self.tokens: list[str] = []
        """Tokens that are given, the last one first; only the one given last is good."""
        self.given = ""
        self.most_scopes = 2
        """For how many scopes a token is given."""
        self._uploads: dict[str, bytearray] = {}
        self._forgetful = forgetful
        self._counts: Counter[str] = Counter()

    @property
    def methods(self) -> str:
        """The methods of all requests but those for tokens."""
        return " ".join(method for method, path in self.asked if path != "/token")

    def send(self, request: Request) -> Answered:
        """Answer one request."""
        parts = urlsplit(request.url)
        self.asked.append((request.method, parts.path))
        if parts.path == "/token":
            if parts.query.count("scope=") > self.most_scopes:
                return Answered(403)
            self.given = self.tokens.pop()
            return Answered(200, json.dumps({"token": self.given}).encode())
        self._counts[request.method] += 1
        fault = self.faults.get((request.method, self._counts[request.method]))
        return self.answer(request) if fault is None else fault(self, request)

    def answer(self, request: Request) -> Answered:
        """Answer as an honest registry does."""
        parts, query = urlsplit(request.url), parse_qs(urlsplit(request.url).query)
        good = f"Bearer {self.given}"
        if (self.tokens or self.given) and request.headers.get("Authorization") != good:
            return unauthorized(self, request)
        repository, _, name = parts.path.removeprefix("/v2/").partition("/blobs/")
        if request.method == "HEAD":
            return Answered(200 if (repository, name) in self.blobs else 404)
        name = name.removeprefix("uploads/")
        if request.method == "POST":
            return self._begin(repository, query)
        if name not in self._uploads:
            return Answered(404)
        return self._go_on(request, repository, name)

    def _go_on(self, request: Request, repository: str, name: str) -> Answered:
        parts, query = urlsplit(request.url), parse_qs(urlsplit(request.url).query)
        upload = self._uploads[name]
        if query.get("_state", [str(len(upload))]) != [str(len(upload))]:
            self.forget()
            return Answered(416)
        # Distribution 2 appends a part wherever it says that it begins.
        self.take(request)
        if request.method == "PUT":
            return self._end(repository, name, query["digest"][0])
        end = max(len(upload) - 1, 0)
        status = 202 if request.method == "PATCH" else 204
        place = parts.path + (f"?_state={len(upload)}" if self._forgetful else "")
        return Answered(status, Range=f"0-{end}", Location=place)

    def take(self, request: Request, *, most: float = 1) -> None:
        """Take the body of a request, or a part of it."""
        upload = self._uploads[urlsplit(request.url).path.rpartition("/")[2]]
        raw = b"" if request.body is None else _all(request.body)
        upload += raw[: int(len(raw) * most)]
        self.received += len(raw)

    def forget(self) -> None:
        """Forget all uploads."""
        self._uploads.clear()

    def _begin(self, repository: str, query: dict[str, list[str]]) -> Answered:
        source = (query.get("from", [""])[0], query.get("mount", [""])[0])
        if source in self.blobs:
            self.blobs[repository, source[1]] = self.blobs[source]
            return Answered(201, Docker_Content_Digest=source[1])
        name = f"upload{self._counts['POST']}"
        self._uploads[name] = bytearray()
        return Answered(202, Location=f"/v2/{repository}{_UPLOADS}{name}")

    def _end(self, repository: str, name: str, digest: str) -> Answered:
        raw = bytes(self._uploads.pop(name))
        if str(Digest.of(raw)) != digest:
            return Answered(400, b'{"errors": [{"code": "DIGEST_INVALID"}]}')
        self.blobs[repository, digest] = raw
        return Answered(201, Docker_Content_Digest=digest)


def dropped(most: float = 0.5) -> Fault:
    """Break the connection when a part of the body is there, and keep it."""

    def fault(registry: UploadRegistry, request: Request) -> Answered:
        registry.take(request, most=most)
        raise ConnectionFaultError("the connection broke", code="CONNECTION")

    return fault


def unanswered(registry: UploadRegistry, request: Request) -> Answered:
    """Do what is asked for, and break the connection before the answer."""
    registry.answer(request)
    raise ConnectionFaultError("the connection broke", code="CONNECTION")


def forgotten(registry: UploadRegistry, request: Request) -> Answered:
    """Break the connection, and forget the upload, as a registry that is started anew."""
    del request
    registry.forget()
    raise ConnectionFaultError("the connection broke", code="CONNECTION")


def unauthorized(registry: UploadRegistry, request: Request) -> Answered:
    """Ask for a token; the one that there was is good for nothing more."""
    del registry, request
    challenge = f'Bearer realm="http://{HOST}/token",service="x",scope="repository:x:pull"'
    return Answered(401, WWW_Authenticate=challenge)


def answered(status: int, **headers: str) -> Fault:
    """Answer with a status, and do nothing."""
    return lambda _registry, _request: Answered(status).changed(**headers)


def lying(**headers: str) -> Fault:
    """Do what is asked for, and answer with other headers."""
    return lambda registry, request: registry.answer(request).changed(**headers)


def expired(registry: UploadRegistry, request: Request) -> Answered:
    """End the token."""
    registry.given = ""
    return registry.answer(request)


def _all(body: Body) -> bytes:
    pieces = []
    while piece := body.read(3):
        pieces.append(piece)
    return b"".join(pieces)

"""A real registry that fails: what is asked of it passes through here, and goes wrong."""

import http.client
import json
import re
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from msgspec import Struct

from tests.support.hostile import Answer, Asked, HostileRegistry

STEPS = {
    "look for the version": ("GET", r"/manifests/1\.0\.0"),
    "look for the moving tag": ("GET", "/manifests/latest"),
    "look for a blob": ("HEAD", "/blobs/sha256:"),
    "begin an upload": ("POST", "/blobs/uploads/"),
    "send a chunk": ("PATCH", "/blobs/uploads/"),
    "end an upload": ("PUT", "/blobs/uploads/"),
    "store a manifest": ("PUT", "/manifests/sha256:"),
    "read a manifest": ("GET", "/manifests/sha256:"),
    "read a blob": ("GET", "/blobs/sha256:"),
    "list the referrers": ("GET", "/referrers/"),
    "read the list of referrers": ("GET", "/manifests/sha256-[0-9a-f]{64}$"),
    "write the list of referrers": ("PUT", "/manifests/sha256-[0-9a-f]{64}$"),
    "read the older form of signatures": ("GET", r"/manifests/sha256-.*\.sig"),
    "write the older form of signatures": ("PUT", r"/manifests/sha256-.*\.sig"),
    "write the version": ("PUT", r"/manifests/1\.0\.0"),
    "write the moving tag": ("PUT", "/manifests/latest"),
}
"""All that a publish asks of a registry that does not fail, by method and path."""
_OTHER = {
    "ask what has come of an upload": ("GET", "/blobs/uploads/"),
    "list the tags": ("GET", "/tags/list"),
}
"""What a publish asks of one that does, and what tests ask."""


def step_of(asked: Asked) -> str:
    """Return which step of a publish a request is."""
    for name, (method, path) in {**STEPS, **_OTHER}.items():
        if asked.method == method and re.search(path, asked.path):
            return name
    raise AssertionError(f"no step of a publish asks {asked.method} {asked.path}")


Honest = Callable[[], Answer]
"""Asks the real registry."""


class Failure(Struct, frozen=True, kw_only=True):
    """A way to fail at one step."""

    answer: Callable[[Honest], Answer] = lambda honest: honest()
    """Returns what is answered instead; it may ask the registry, or not."""
    once: bool = False
    """Whether one request of the step meets it; else all from that one on."""
    tokens: bool = False
    """Whether the registry wants a token, and ends the one that there was instead."""


class FaultyRegistry:
    """Passes requests on to a real registry; ``host`` is what references begin with.

    Args:
        real: HOST:PORT of the real one.
    """

    def __init__(self, real: str) -> None:
        self._real = real
        self._turn = threading.Lock()
        self._step, self._number = "", 1
        self._failure: Failure | None = None
        self._wants_tokens, self._token = False, secrets.token_hex(8)
        self._server = HostileRegistry(self._answer)
        self.host = self._server.host
        self.seen: Counter[str] = Counter()
        """How often which step was asked for."""
        self.failed = 0
        """How many requests met the failure."""
        self.stored: Counter[tuple[str, str]] = Counter()
        """How often the real registry has stored a blob anew, by repository and digest."""

    @contextmanager
    def failing(self, step: str, failure: Failure, *, number: int = 1) -> Iterator[None]:
        """Fail at one step, from its request of that number on, until the body ends."""
        self.seen.clear()
        self._step, self._number, self._failure, self.failed = step, number, failure, 0
        self._wants_tokens = failure.tokens
        try:
            yield
        finally:
            self._failure, self._wants_tokens = None, False

    def _challenge(self) -> Answer:
        """End the token that there was, and ask for one."""
        self._token = secrets.token_hex(8)
        return self._asking()

    def _asking(self) -> Answer:
        challenge = f'Bearer realm="http://{self.host}/token",service="x",scope="repository:x:pull"'
        return Answer(401, {"WWW-Authenticate": challenge})

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(None, None, None)

    def _answer(self, asked: Asked) -> Answer:
        if asked.path.startswith("/token"):
            return Answer(body=json.dumps({"token": self._token}).encode())
        if self._wants_tokens and asked.headers.get("authorization") != f"Bearer {self._token}":
            return self._asking()
        step, failure = step_of(asked), self._failure
        with self._turn:
            self.seen[step] += 1
            failing = failure is not None and self._meets(step, failure)
            self.failed += failing
        if failure is None or not failing:
            return self._pass_on(asked)
        if failure.tokens:
            return self._challenge()
        return failure.answer(lambda: self._pass_on(asked))

    def _meets(self, step: str, failure: Failure) -> bool:
        due = self.seen[step] >= self._number and not (failure.once and self.failed)
        return due and step == self._step

    def _pass_on(self, asked: Asked) -> Answer:
        connection = http.client.HTTPConnection(self._real, timeout=30)
        try:
            # Of the name that it is asked by a registry makes the places that it answers with.
            connection.request(asked.method, asked.path, asked.body, dict(asked.headers))
            answer = connection.getresponse()
            kept = {
                name: value
                for name, value in answer.getheaders()
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "date"}
            }
            body = answer.read()
        finally:
            connection.close()
        self._note(asked, answer.status)
        return Answer(answer.status, kept, body)

    def _note(self, asked: Asked, status: int) -> None:
        digest = re.search(r"[?&]digest=(sha256(?::|%3A)[0-9a-f]{64})", asked.path)
        if digest is not None and asked.method == "PUT" and status == http.HTTPStatus.CREATED:
            repository = asked.path.partition("/blobs/")[0]
            with self._turn:
                self.stored[repository, digest[1].replace("%3A", ":")] += 1

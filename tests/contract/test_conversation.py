"""The same conversations over real sockets, by every transport: each has the same outcome."""

import asyncio
import socket
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from imagekit.errors import RegistryError
from imagekit.gate.blobs.origin import RegistryOrigin
from imagekit.gate.upstreams import Upstream
from imagekit.oci.reference import Repository
from imagekit.oci.registry.client import RegistryClient
from imagekit.oci.registry.options import Credential, RegistryOptions
from imagekit.oci.registry.oras import OrasTransport
from imagekit.oci.registry.session import Session
from imagekit.oci.registry.stdlib_transport import StdlibTransport
from imagekit.oci.registry.transport import Transport
from tests.support.conversations import (
    ATTEMPTS,
    BLOB,
    BROKEN,
    DEADLINE,
    GOOD,
    SILENT,
    TALKS,
    Course,
    Hosts,
    Talk,
    fault,
)
from tests.support.hostile import Answer, Asked, HostileRegistry

_SILENCE = 0.4
Fetch = Callable[[Repository, RegistryOptions, Credential | None, Course], bytes]


def _by_session(make: Callable[[str, RegistryOptions], Transport]) -> Fetch:
    def fetch(
        repository: Repository, options: RegistryOptions, login: Credential | None, course: Course
    ) -> bytes:
        session = Session(
            make(repository.host, options),
            StdlibTransport(options),
            options=options,
            credentials=lambda _: login,
            sleep=course.pauses.append,
        )
        return RegistryClient(session).blob(repository, BLOB, limit=BLOB.size)

    return fetch


def _by_gate(
    repository: Repository, options: RegistryOptions, login: Credential | None, course: Course
) -> bytes:
    async def sleep(seconds: float) -> None:
        course.pauses.append(seconds)

    async def ask() -> bytes:
        upstream = Upstream(host=repository.host, options=options)
        origin = RegistryOrigin(upstream, credentials=lambda _: login, sleep=sleep)
        try:
            async with origin.open(repository, BLOB.digest, size=BLOB.size) as pieces:
                return b"".join([piece async for piece in pieces])
        finally:
            await origin.close()

    return asyncio.run(ask())


WAYS: dict[str, Fetch] = {
    "stdlib": _by_session(lambda _host, options: StdlibTransport(options)),
    "oras": _by_session(OrasTransport),
    "aiohttp": _by_gate,
}


@pytest.fixture(params=WAYS)
def fetch(request: pytest.FixtureRequest) -> Fetch:
    """Fetch a blob by each transport."""
    return WAYS[request.param]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine, which vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    _certify(cert, key)
    return cert, key


def _certify(cert: Path, key: Path) -> None:
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    words += ["-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    argv = ["openssl", *words, "-out", str(cert), "-keyout", str(key)]
    subprocess.run(argv, check=True, capture_output=True)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name is one of this machine; an address stays what it is."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **more: Any) -> Any:
        return real("127.0.0.1" if "example.org" in str(host) else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def _sent(answer: Answer) -> Answer:
    """Return an answer as a server can give it."""
    if answer == BROKEN:
        return Answer(raw=True, drip=lambda _write: None)
    if answer == SILENT:
        return Answer(raw=True, drip=lambda _write: time.sleep(2 * _SILENCE))
    return answer


@contextmanager
def _served(talk: Talk, course: Course, pair: tuple[Path, Path], *, twice: bool) -> Iterator[Hosts]:
    """Yield who takes part, while they answer by the script.

    Args:
        talk: has the script.
        course: the requests are kept there.
        pair: a certificate and its key.
        twice: whether a transport asks once more by itself where a connection broke, which is no
            try of the conversation's.
    """
    seen: Counter[str] = Counter()
    again = False
    with ExitStack() as stack:

        def script(asked: Asked) -> Answer:
            nonlocal again
            if again:
                again = False
                return _sent(BROKEN)
            course.note(hosts, asked)
            seen[asked.path] += 1
            answer = talk.script(hosts)(asked, seen[asked.path] - 1)
            again = twice and answer == BROKEN
            return _sent(answer)

        servers = [HostileRegistry(script) for _ in range(2)]
        if talk.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*pair)
            listening = servers[0]._server
            listening.socket = context.wrap_socket(listening.socket, server_side=True)
        registry, other = (stack.enter_context(server).host for server in servers)
        port = registry.partition(":")[2]
        hosts = Hosts(
            registry=f"registry.example.org:{port}" if talk.named else registry,
            other=other,
            inner=f"inner.example.org:{other.partition(':')[2]}",
        )
        yield hosts


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)
def test_a_conversation_over_sockets(
    talk: Talk, fetch: Fetch, certificate: tuple[Path, Path]
) -> None:
    """The same is asked, waited for and concluded, as where a script answers."""
    options = RegistryOptions(
        attempts=ATTEMPTS,
        deadline_seconds=DEADLINE,
        read_seconds=_SILENCE,
        plain_http=talk.named,
        ca_file=certificate[0] if talk.tls else None,
    )
    course = Course()
    with _served(talk, course, certificate, twice=fetch is _by_gate) as hosts:
        repository = Repository(hosts.registry, "a/b")
        try:
            course.outcome = fetch(repository, options, talk.login, course).decode()
        except RegistryError as error:
            course.outcome = fault(error)

    course.check(talk)


def test_several_headers_of_one_name_are_read(fetch: Fetch) -> None:
    """A registry that offers two kinds of login in two headers (RFC 9110 section 5.3)."""

    def challenge(write: Callable[[bytes], None]) -> None:
        offers = b"WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic realm=x\r\n"
        write(b"HTTP/1.1 401 Unauthorized\r\n" + offers + b"Content-Length: 0\r\n\r\n")

    def script(asked: Asked) -> Answer:
        return GOOD if "authorization" in asked.headers else Answer(raw=True, drip=challenge)

    with HostileRegistry(script) as server:
        got = fetch(Repository(server.host, "a/b"), RegistryOptions(), _LOGIN, Course())

    assert got == GOOD.body


@contextmanager
def _wanting_a_login() -> Iterator[tuple[HostileRegistry, Course]]:
    """Yield a registry that wants one, and what it will have been asked."""
    talk, course = TALKS["basic"], Course()
    with HostileRegistry(lambda asked: talk.script(hosts)(asked, 0)) as server:
        hosts = Hosts(registry=server.host, other="", inner="")
        yield server, course
        for asked in server.asked:
            course.note(hosts, asked)


_LOGIN = Credential(username="admin", password="secret")
_ONCE = ["registry", "registry Basic", "registry Basic"]


def test_a_session_keeps_a_login_for_the_next_blob() -> None:
    """Nobody logs in for each, and no login is shown before it is asked for."""
    options = RegistryOptions()
    light = StdlibTransport(options)
    session = Session(light, light, options=options, credentials=lambda _: _LOGIN)
    with _wanting_a_login() as (server, course):
        for _ in range(2):
            repository = Repository(server.host, "a/b")
            RegistryClient(session).blob(repository, BLOB, limit=BLOB.size)

    assert course.asked == _ONCE


def test_the_gate_keeps_a_login_for_the_next_blob() -> None:
    """As a session does."""

    async def ask(host: str) -> None:
        origin = RegistryOrigin(Upstream(host=host), credentials=lambda _: _LOGIN)
        for _ in range(2):
            async with origin.open(Repository(host, "a/b"), BLOB.digest, size=BLOB.size) as pieces:
                assert [piece async for piece in pieces] == [GOOD.body]
        await origin.close()

    with _wanting_a_login() as (server, course):
        asyncio.run(ask(server.host))

    assert course.asked == _ONCE


def test_who_is_not_trusted_is_not_asked_again(
    fetch: Fetch, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """A certificate of somebody else's does not become better by waiting."""
    other = tmp_path / "other.pem"
    _certify(other, tmp_path / "other.key")
    course = Course()
    with _served(TALKS["with TLS"], course, certificate, twice=False) as hosts:
        options = RegistryOptions(ca_file=other)
        with pytest.raises(RegistryError) as caught:
            fetch(Repository(hosts.registry, "a/b"), options, None, course)

    assert (caught.value.code, course.pauses, course.asked) == ("TLS", [], [])


def test_headers_that_drip_are_left_at_the_deadline() -> None:
    """No read times out, and the gate's client waits."""
    options = RegistryOptions(attempts=1, deadline_seconds=0.5, read_seconds=2)

    def drip(write: Callable[[bytes], None]) -> None:
        write(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(40):
            write(b"x")
            time.sleep(0.1)

    for fetch in (WAYS["stdlib"], WAYS["aiohttp"]):
        began = time.monotonic()
        with HostileRegistry(lambda _: Answer(raw=True, drip=drip)) as server:
            with pytest.raises(RegistryError) as caught:
                fetch(Repository(server.host, "a/b"), options, None, Course())
            assert time.monotonic() - began < 3
        assert caught.value.code == "TIMEOUT"

"""A listener: HTTP on an address, with bounded connections, headers and times.

What cannot be understood as a request is one line of the audit log and one short answer.
"""

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion10, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.errors import InputError
from imagekit.gate.clients import Asker, Clients
from imagekit.gate.config import Address, Tls
from imagekit.gate.connections import Connection, Connections, Listening, Phase
from imagekit.gate.limits import ListenerLimits
from imagekit.gate.pace import Pace
from imagekit.policy.findings import plain

_log = logging.getLogger(__name__)
_END_SECONDS = 30.0
_SWEEP_SECONDS = 1.0
# RFC 9112 section 3: 8000 octets should be taken.
_MAX_LINE = 8190
# As Apache and http.client have it.
_MAX_HEADERS = 100
_BACKLOG = 1024
_ACCEPTED_AT_ONCE = 16
_READ_AT_ONCE = 64 << 10
_REST_SECONDS = 2.0
_MOST_SAID = 300

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ListenerOptions(Struct, frozen=True, kw_only=True):
    """The limits of a listener, and what it calls.

    Args:
        limits: how many, and how long.
        clients: identifies them.
        takes_bodies: whether requests have bodies.
        pace: shared with whoever refuses requests.
        malformed: is called with a client's address and what was wrong with its request.
        ended: is called with the reason for which a connection was ended or not accepted.
    """

    limits: ListenerLimits = field(default_factory=ListenerLimits)
    clients: Clients = field(default_factory=Clients)
    takes_bodies: bool = False
    """Whether requests have bodies: the rest of one is read for a while, so that who sends it sees
    the answer."""
    pace: Pace = field(default_factory=lambda: Pace(ListenerLimits()))
    malformed: Callable[[str, str], None] = lambda _client, _message: None
    ended: Callable[[str], None] = lambda _why: None


async def listen(
    stack: AsyncExitStack,
    handler: Handler,
    address: Address,
    *,
    tls: ssl.SSLContext | None = None,
    options: ListenerOptions | None = None,
) -> Address:
    """Serve on an address until the stack ends; return the address with its port.

    Raises:
        InputError: it cannot be listened on.
    """
    options = options or ListenerOptions()
    table = Connections(options.limits, options.clients, options.ended)
    server = _Server(handler, table, options)
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=_END_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        for bound in await _bound(address, table):
            await _Site(
                runner, bound, tls=tls, header=options.limits.header.total_seconds()
            ).start()
    except OSError as error:
        raise InputError(
            f"cannot listen on {address}: {error.strerror or error}",
            hint="is another program listening there?",
            code="gate/listen",
        ) from error
    sweeping = asyncio.create_task(_sweep(table))
    stack.callback(sweeping.cancel)
    return replace(address, port=runner.addresses[0][1])


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return the certificate of a server, and what clients must show.

    Raises:
        InputError: it cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # RFC 8996: older ones must not be used.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            required = tls.client_required
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"the certificate {tls.certificate} with {tls.key} cannot be used: {error}",
            hint="both are files in PEM, and belong together",
            code="gate/tls",
        ) from error
    return context


async def _bound(address: Address, table: Connections) -> list[Listening]:
    """Return a socket for each address that a host's name has, all with one port."""
    addresses = await asyncio.get_running_loop().getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[Listening] = []
    port = address.port
    try:
        for family, kind, protocol, _, place in dict.fromkeys(addresses):
            bound = Listening(family, kind, protocol)
            sockets.append(bound)
            bound.table = table
            # A restart does not wait for what is left of the last run's connections.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # Else it would take the port for IPv4, too, for which there is a socket of its own.
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((place[0], port, *place[2:]))
            port = bound.getsockname()[1]
    except OSError:
        for bound in sockets:
            bound.close()
        raise
    return sockets


async def _sweep(table: Connections) -> None:
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        try:
            table.sweep()
        except Exception:  # noqa: BLE001 - one fault must not end all sweeps
            _log.exception("a fault of the listener")


class _Site(web.BaseSite):
    """A site whose handshakes of TLS end in time, and which takes few connections in one go."""

    def __init__(
        self,
        runner: web.ServerRunner,
        bound: Listening,
        *,
        tls: ssl.SSLContext | None,
        header: float,
    ) -> None:
        super().__init__(runner, ssl_context=tls)
        self._bound = bound
        self._handshake = None if tls is None else header

    @property
    def name(self) -> str:
        """Where it listens."""
        return str(self._bound.getsockname())

    async def start(self) -> None:
        """Listen."""
        await super().start()
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner of a site was not set up")
        self._server = await asyncio.get_running_loop().create_server(
            server,
            sock=self._bound,
            ssl=self._ssl_context,
            backlog=_ACCEPTED_AT_ONCE,
            ssl_handshake_timeout=self._handshake,
        )
        # Many may wait to be accepted; the number above is how many are in one step of the loop.
        self._bound.listen(_BACKLOG)


class _Server(web.Server):
    """Makes a protocol for each connection."""

    def __init__(self, handler: Handler, table: Connections, options: ListenerOptions) -> None:
        limits = options.limits
        line = min(_MAX_LINE, limits.header_bytes)
        self._http_options: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": limits.idle.total_seconds(),
            "max_line_size": line,
            "max_field_size": line,
            "max_headers": _MAX_HEADERS,
            "tcp_keepalive": True,
            "lingering_time": _REST_SECONDS if options.takes_bodies else 0,
            # What is compressed could become anything.
            "auto_decompress": False,
        }
        # A client that goes away ends what is done for it: a blob would be fetched for nobody.
        super().__init__(_phased(handler), handler_cancellation=True)
        self._table = table
        self._options = options

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return _Protocol(self, self._table, options=self._options, http_options=self._http_options)


class _Protocol(web.RequestHandler):
    """HTTP on one connection."""

    __slots__ = ("_head", "_options", "_table", "connection", "may_be_large", "rest")

    def __init__(
        self,
        server: _Server,
        table: Connections,
        *,
        options: ListenerOptions,
        http_options: dict[str, Any],
    ) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **http_options)
        self._table = table
        self._options = options
        self._head = 0
        self.may_be_large = False
        self.rest = False
        """Whether the rest of a request's body is still coming, after its answer."""
        self.connection: Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection from the table."""
        own = transport.get_extra_info("socket")
        connection = self._table.of(own.fileno())
        if isinstance(transport, asyncio.Transport):
            connection.abort = transport.abort
            connection.buffered = transport.get_write_buffer_size
        if hasattr(transport, "max_size"):
            # What asyncio reads in one go, and holds until somebody wants it.
            transport.max_size = _READ_AT_ONCE
        connection.enter(Phase.HEAD)
        self.connection = connection
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Read, and count the bytes of headers."""
        connection = self.connection
        if connection is None or connection.ended:
            return
        if connection.phase is Phase.IDLE and not self.rest:
            connection.enter(Phase.HEAD)
        before = self._request_count
        super().data_received(data)
        self._head += len(data) if connection.phase is Phase.HEAD else 0
        large = self._head > self._options.limits.header_bytes
        if self._request_count != before:
            # What came may have been a small head with a body: this is looked at with the request.
            self.may_be_large, self._head, self.rest = large, 0, False
            connection.enter(Phase.WORK)
        elif large:
            self.too_large()
            if self.transport is not None:
                self.transport.write(_TOO_LARGE)
            self.force_close()

    def too_large(self) -> None:
        """Note a request whose headers are too large."""
        self._note(f"more than {self._options.limits.header_bytes} bytes of headers")

    def refusal(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Return the answer to a request that is none for its form, where it is."""
        if request.version < HttpVersion10:
            return _Malformed(self._note("no version of HTTP that is served"), self._options.pace)
        large, self.may_be_large = self.may_be_large, False
        if not large:
            return None
        lines = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
        if len(request.raw_path) + lines <= self._options.limits.header_bytes:
            return None
        self.too_large()
        return _too_large()

    def handle_error(  # noqa: PLR0917 - the framework's
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no request; faults of ours are answered as they are elsewhere."""
        if isinstance(exc, ConnectionError):
            # The client went away in the middle of its answer.
            raise exc
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        return _Malformed(self._note(exc), self._options.pace)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Note a body that cannot be read in one line; log what else is wrong."""
        error = kw.get("exc_info")
        if isinstance(error, (HttpProcessingError, web.RequestPayloadError)):
            self._note(error)
        else:
            super().log_exception(*args, **kw)

    def _note(self, error: BaseException | str | None) -> str:
        """Write the line of the audit log; return whose request it was."""
        message = plain(str(error or "no request"))[:_MOST_SAID]
        peer = "" if self.connection is None else self.connection.peer
        self._options.malformed(peer, message)
        return self._options.clients.named(peer)


class _Malformed(web.Response):
    """The answer to what is no request; it comes later to who sends much of it."""

    def __init__(self, client: str, pace: Pace) -> None:
        error = {"code": "UNSUPPORTED", "message": "imagekit: this is no request of HTTP/1.1"}
        body = json.dumps({"errors": [error]}).encode()
        super().__init__(status=400, body=body, content_type="application/json")
        self.force_close()
        self._client = client
        self._pace = pace

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Begin the answer when it is due."""
        await self._pace.refused(Asker(self._client))
        return await super().prepare(request)


# RFC 6585 section 5. Written by hand: there is no request to answer yet.
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n"
    b"\r\n"
)


def _too_large() -> web.Response:
    answer = web.Response(status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    answer.force_close()
    return answer


def _phased(handler: Handler) -> Handler:
    """Return a handler that says when its connection is at work."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        protocol = request.protocol
        connection = protocol.connection if isinstance(protocol, _Protocol) else None
        if connection is None or not isinstance(protocol, _Protocol):
            raise ConnectionResetError("the client went away")
        connection.enter(Phase.WORK)
        try:
            return protocol.refusal(request) or await handler(request)
        finally:
            protocol.rest = not request.content.is_eof()
            connection.enter(Phase.IDLE)

    return handle

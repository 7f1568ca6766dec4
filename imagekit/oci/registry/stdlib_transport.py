"""The transport of the standard library: imported in milliseconds, connections kept open."""

import http.client
import ssl
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

from imagekit.errors import InputError, RegistryError
from imagekit.oci.registry.deadline_socket import DeadlineSocket, Limit
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.protocol import is_inner_address, origin, shown
from imagekit.oci.registry.proxies import Proxies, Proxy
from imagekit.oci.registry.transport import ConnectionFaultError, Request

_BLOCK = 1 << 20
_SHORT = 8 << 10
_MAX_IDLE = 32
"""Most connections that are kept open while nothing is asked, whatever hosts they lead to."""
_Origin = tuple[str, str, int]


class StdlibTransport:
    """One connection per host and use, kept for the next request; safe in several threads.

    Args:
        options: what the user said.
        tls: whom to trust; None for the system's authorities and those of the options.
        proxies: who is asked for others; None for those that the environment names.
    """

    def __init__(
        self,
        options: RegistryOptions,
        *,
        tls: ssl.SSLContext | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._options = options
        self._idle: list[tuple[_Origin, http.client.HTTPConnection]] = []
        self._lock = threading.Lock()
        self._context = tls
        self._proxies = Proxies() if proxies is None else proxies
        # Nobody has to close it: what is kept open ends with it.
        weakref.finalize(self, _close_all, self._idle)

    def send(self, request: Request) -> "StdlibResponse":
        """Send one request; a kept connection that the server closed meanwhile is replaced."""
        key = origin(request.url)
        connection = self._take(key, outside=request.outside)
        if connection is not None:
            try:
                return self._exchange(connection, request)
            except ConnectionFaultError as error:
                # Who was too slow is not waited for again; what is appended is not sent twice.
                if error.code == "TIMEOUT" or request.method == "PATCH":
                    raise
                if request.body is not None:
                    request.body.rewind()
        return self._exchange(self._connect(key, outside=request.outside), request)

    def _exchange(
        self, connection: http.client.HTTPConnection, request: Request
    ) -> "StdlibResponse":
        limit = Limit(request.deadline, silence=self._options.read_seconds)
        cast("DeadlineSocket", connection.sock).limit = limit
        try:
            # RFC 9112 section 9.5: a server may answer before it has the whole request, such as one
            # that is too large for it, and takes no more then.
            with suppress(BrokenPipeError, ConnectionResetError):
                self._write(connection, request)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _fault(request, error, late=limit.passed) from error
        except BaseException:
            connection.close()
            raise
        return StdlibResponse(
            request=request,
            answer=answer,
            limit=limit,
            give_back=lambda good: self._give_back(connection, request, good=good),
        )

    def _connect(self, key: _Origin, *, outside: bool) -> http.client.HTTPConnection:
        scheme, host, port = key
        proxy = self._proxies.of(key)
        connection = self._connection(key, proxy)
        shown_host = f"{host}:{port}"
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise untrusted(shown_host, error) from error
        except OSError as error:
            raise unreachable(shown_host, scheme, error, proxy=proxy) from error
        # The address that was connected to, and no second look-up of the name, which the owner of
        # its domain could answer in another way (DNS rebinding).
        # Behind a proxy nobody reaches this machine's own addresses: those never go through it.
        peer = connection.sock.getpeername()[0] if proxy is None else host
        if outside and is_inner_address(peer):
            connection.close()
            raise inner_address(shown_host, peer)
        # A connection that broke must not be made again unnoticed, without the limit.
        connection.auto_open = 0
        connection.sock = DeadlineSocket(connection.sock)
        return connection

    def _connection(self, key: _Origin, proxy: Proxy | None) -> http.client.HTTPConnection:
        scheme, host, port = key
        at = (host, port) if proxy is None else (proxy.host, proxy.port)
        connect = self._options.connect_seconds
        if scheme != "https":
            return http.client.HTTPConnection(*at, timeout=connect, blocksize=_BLOCK)
        connection = http.client.HTTPSConnection(
            *at, timeout=connect, blocksize=_BLOCK, context=self._tls()
        )
        if proxy is not None:
            connection.set_tunnel(host, port, {"Host": f"{host}:{port}", **proxy.headers})
        return connection

    def _write(self, connection: http.client.HTTPConnection, request: Request) -> None:
        key = origin(request.url)
        proxy = self._proxies.of(key) if key[0] == "http" else None
        target, headers = _target(request.url), dict(request.headers)
        if proxy is not None:
            # RFC 9112 section 3.2.2: a proxy is sent the whole address.
            target = f"{request.url.partition('://')[0]}://{urlsplit(request.url).netloc}{target}"
            headers |= proxy.headers
        if request.body is not None:
            headers["Content-Length"] = str(request.body.size)
        # RFC 9110 section 8.6: a method that may have content has a length, also where it is 0.
        elif request.method in {"POST", "PUT", "PATCH"}:
            headers["Content-Length"] = "0"
        # A digest is that of the bytes as they are stored: http.client itself asks for no encoding.
        connection.request(request.method, target, body=request.body, headers=headers)

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = tls_context(self._options.ca_file)
        return self._context

    def _take(self, key: _Origin, *, outside: bool) -> http.client.HTTPConnection | None:
        if outside:
            return None
        with self._lock:
            # The one that was used last is the least likely to have been closed by the server.
            for number in reversed(range(len(self._idle))):
                if self._idle[number][0] == key:
                    return self._idle.pop(number)[1]
        return None

    def _give_back(
        self, connection: http.client.HTTPConnection, request: Request, *, good: bool
    ) -> None:
        if request.outside or not good:
            connection.close()
            return
        with self._lock:
            self._idle.append((origin(request.url), connection))
            oldest = self._idle.pop(0)[1] if len(self._idle) > _MAX_IDLE else None
        if oldest is not None:
            oldest.close()


class StdlibResponse:
    """An answer; its connection goes back when the body was read to the end."""

    def __init__(
        self,
        *,
        request: Request,
        answer: http.client.HTTPResponse,
        limit: Limit,
        give_back: Callable[[bool], None],
    ) -> None:
        self._request = request
        self._answer = answer
        self._limit = limit
        self._give_back = give_back

    @property
    def status(self) -> int:
        """The status."""
        return self._answer.status

    def header(self, name: str) -> str:
        """Return a header; several of one name are joined."""
        return self._answer.getheader(name) or ""

    def read(self, amount: int) -> bytes:
        """Return the next bytes."""
        try:
            return self._answer.read(amount)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise _fault(self._request, error, late=self._limit.passed) from error

    def close(self) -> None:
        """Give the connection back, or close it where the body was not read."""
        drained = self._drain()
        self._answer.close()
        self._give_back(drained and not self._answer.will_close)

    def _drain(self) -> bool:
        """Read a short rest, so that the connection can serve again."""
        answer = self._answer
        if answer.isclosed() or answer.length == 0:
            return True
        if answer.length is None or answer.length > _SHORT:
            return False
        try:
            return len(answer.read(_SHORT)) <= _SHORT and answer.isclosed()
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _close_all(idle: list[tuple[_Origin, http.client.HTTPConnection]]) -> None:
    for _, connection in idle:
        connection.close()


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return the system's authorities, and those of the file besides.

    Raises:
        InputError: the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"{ca_file} holds no certificates: {error}",
                hint="--ca-file wants a file of certificates in PEM",
            ) from error
    return context


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"


def _fault(request: Request, error: Exception, *, late: bool) -> ConnectionFaultError:
    where = f"{request.method} {shown(request.url.partition('?')[0])}"
    if late:
        return ConnectionFaultError(
            f"{where}: not answered whole within {request.deadline:.0f} s",
            hint="the registry is too slow: try again later, or ask whoever runs it",
            code="TIMEOUT",
        )
    if isinstance(error, TimeoutError):
        message, code = f"{where}: the registry stopped sending", "TIMEOUT"
    else:
        message, code = f"{where}: the connection broke: {shown(str(error))}", "CONNECTION"
    return ConnectionFaultError(message, hint="try again later", code=code)


def untrusted(host: str, error: ssl.SSLCertVerificationError) -> RegistryError:
    """Return the error for a certificate that no known authority vouches for."""
    return RegistryError(
        f"the certificate of {shown(host)} is not trusted: {error.verify_message}",
        hint="--ca-file, or caFile in a gate's configuration, names the authority that signed it",
        code="TLS",
    )


def inner_address(host: str, address: str) -> RegistryError:
    """Return the error for a host that a registry chose and that is this machine."""
    return RegistryError(
        f"the registry sends its client to {shown(host)}, which is {address}",
        hint="blobs may lie on another server, but not on this machine's own addresses",
        code="FOREIGN_REDIRECT",
    )


def unreachable(
    host: str, scheme: str, error: OSError, *, proxy: Proxy | None
) -> ConnectionFaultError:
    """Return the error for a host to which no connection could be made."""
    hint = "is the name right, and the registry running?"
    if isinstance(error, ssl.SSLError):
        hint = "it does not speak TLS; --plain-http does without, where that is what you want"
    way = ""
    if proxy is not None:
        way = f" through the proxy {shown(str(proxy))}"
        hint = "is it the right proxy? what is reached without one stands in NO_PROXY"
    reason = shown(error.strerror or str(error) or type(error).__name__)
    return ConnectionFaultError(
        f"cannot reach {shown(host)} by {scheme}{way}: {reason}", hint=hint, code="CONNECTION"
    )

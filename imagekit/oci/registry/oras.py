"""The transport for writing: oras' provider, with one request where it would make eighteen.

oras waits for minutes on a plain 401, sets no time limits and reads whole files into memory; so its
``do_request`` is replaced by one that carries exactly one request, and everything else (login,
retries, digests) is done by the session and the client for both transports alike. What is
oras' own: its HTTP session, its cookie policy, its view of hosts.
"""

import ssl
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import oras.provider
import requests
import urllib3
from requests.adapters import HTTPAdapter

from imagekit.errors import RegistryError
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.protocol import origin, shown
from imagekit.oci.registry.proxies import Proxies
from imagekit.oci.registry.stdlib_transport import tls_context, unreachable, untrusted
from imagekit.oci.registry.transport import Body, ConnectionFaultError, Request

_NO_CONNECTION = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    ssl.SSLError,
)


class OrasTransport:
    """Requests to one registry by oras; safe in several threads, each with a session of its own."""

    def __init__(self, host: str, options: RegistryOptions) -> None:
        self._host = host
        self._options = options
        self._local = threading.local()

    def send(self, request: Request) -> "OrasResponse":
        """Send one request."""
        provider = getattr(self._local, "provider", None)
        if provider is None:
            provider = self._local.provider = _Provider(self._host, self._options)
        began = time.monotonic()
        try:
            answer = provider.do_request(
                request.url,
                request.method,
                data=None if request.body is None else _Readable(request.body),
                headers=_headers(request),
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _unanswered(request, error) from error
        return OrasResponse(request, answer, began)


class OrasResponse:
    """An answer whose body is read as it comes."""

    def __init__(self, request: Request, answer: requests.Response, began: float) -> None:
        self._request = request
        self._answer = answer
        self._ends = began + request.deadline

    @property
    def status(self) -> int:
        """The status."""
        return self._answer.status_code

    def header(self, name: str) -> str:
        """Return a header, or an empty text."""
        return self._answer.headers.get(name) or ""

    def read(self, amount: int) -> bytes:
        """Return the next bytes, as many as came at once: slow ones end with the time."""
        if time.monotonic() > self._ends:
            raise _fault(self._request, TimeoutError())
        try:
            return bytes(self._answer.raw.read1(amount))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _fault(self._request, error) from error

    def close(self) -> None:
        """Let go of the connection."""
        self._answer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Provider(oras.provider.Registry):  # type: ignore[misc] # oras carries no types
    """oras' registry whose requests are single, timed and streamed."""

    def __init__(self, host: str, options: RegistryOptions) -> None:
        super().__init__(hostname=host, insecure=options.of(host).plain_http)
        self._timeout = (options.connect_seconds, options.read_seconds)
        # Neither ~/.netrc nor a CA bundle of the environment decides here; proxies are chosen as
        # the other transport does.
        self.session.trust_env = False
        self._proxies = Proxies()
        self.session.mount("https://", _TlsAdapter(options))

    def do_request(  # noqa: PLR0917 - oras' signature
        self,
        url: str,
        method: str = "GET",
        data: Any = None,
        headers: dict[str, str] | None = None,
        json: Any = None,
        stream: bool = True,  # noqa: FBT001, FBT002 - oras' signature
    ) -> requests.Response:
        proxy = self._proxies.of(origin(url))
        answer: requests.Response = self.session.request(
            method,
            url,
            data=data,
            json=json,
            headers=headers,
            stream=stream,
            timeout=self._timeout,
            allow_redirects=False,
            proxies={} if proxy is None else {"http": proxy.url, "https": proxy.url},
        )
        return answer


class _TlsAdapter(HTTPAdapter):
    """Trusts the system's authorities and the user's, as the other transport does."""

    def __init__(self, options: RegistryOptions) -> None:
        self._context = tls_context(options.ca_file)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(*args, ssl_context=self._context, **kwargs)

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        # The context has all authorities; requests would put its own bundle in their place.
        del args, kwargs


class _Readable:
    """A body as requests wants it: iterable, with a length, read in pieces."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def __len__(self) -> int:
        return self._body.size

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        piece = self.read(1 << 20)
        if not piece:
            raise StopIteration
        return piece

    def read(self, amount: int = -1) -> bytes:
        return self._body.read(amount)


def _headers(request: Request) -> dict[str, str]:
    # A digest is that of the bytes as they are stored: no encoding on the way.
    headers = {"Accept-Encoding": "identity", **request.headers}
    # RFC 9110 section 8.6: a method that may have content has a length, also where it is 0.
    if request.body is None and request.method in {"POST", "PUT", "PATCH"}:
        headers["Content-Length"] = "0"
    return headers


def _unanswered(request: Request, error: Exception) -> RegistryError:
    """Return the error for a request that got no answer, as the other transport tells it."""
    chain = list(_chain(error))
    # requests wraps what urllib3 wraps: only the innermost says why.
    reason = next(
        (cause for cause in reversed(chain) if isinstance(cause, OSError)), OSError(str(error))
    )
    key = origin(request.url)
    place = f"{key[1]}:{key[2]}"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return untrusted(place, reason)
    if any(isinstance(cause, _NO_CONNECTION) for cause in chain):
        return unreachable(place, key[0], reason, proxy=Proxies().of(key))
    return _fault(request, error, reason)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _fault(
    request: Request, error: Exception, reason: Exception | None = None
) -> ConnectionFaultError:
    where = f"{request.method} {shown(request.url.partition('?')[0])}"
    if isinstance(error, TimeoutError | requests.Timeout | urllib3.exceptions.ReadTimeoutError):
        return ConnectionFaultError(
            f"{where}: not answered whole within the time allowed",
            hint="the registry is too slow: try again later, or ask whoever runs it",
            code="TIMEOUT",
        )
    return ConnectionFaultError(
        f"{where}: the connection broke: {shown(str(reason or error))}",
        hint="try again later",
        code="CONNECTION",
    )

"""Where blobs come from: an upstream registry, asked asynchronously, or a layout's file.

What is asked and what a hostile registry may answer is decided by ``oci.registry.conversation``, as
for the other transports; here are its asynchronous driver, and what an answer to a range must be.
"""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from imagekit.errors import IntegrityError, RegistryError
from imagekit.gate.upstreams import Upstream
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository
from imagekit.oci.registry import connect, protocol
from imagekit.oci.registry.cache import AnswerCache
from imagekit.oci.registry.conversation import (
    REDIRECTS,
    Conversation,
    FindCredential,
    Pause,
    ReadBody,
    Send,
    Steps,
)
from imagekit.oci.registry.proxies import Proxies
from imagekit.oci.registry.session import MAX_LOGINS, FindLogin
from imagekit.oci.registry.stdlib_transport import inner_address, tls_context, untrusted
from imagekit.oci.registry.transport import Body, ConnectionFaultError, Request

_BUFFER = 1 << 20
_PIECE = 1 << 20
_MAX_HEADER = 64 << 10
# As many as there are places for answers of one upstream (``blob_server``).
_CONNECTIONS = 256
_OK, _PARTIAL = 200, 206

Pieces = AsyncGenerator[bytes]


class BlobOrigin(Protocol):
    """Where the blobs of an upstream come from."""

    def open(
        self, repository: Repository, digest: Digest, *, size: int, start: int = 0
    ) -> AbstractAsyncContextManager[Pieces]:
        """Yield the bytes of a blob from ``start`` on; nothing about them has been checked.

        Raises:
            RegistryError: there is no good answer.
        """
        ...

    async def place(self, repository: Repository, digest: Digest) -> str | None:
        """Return where a client may fetch a blob itself; None where that is nowhere.

        Raises:
            RegistryError: there is no good answer.
        """
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...


class LayoutOrigin:
    """Blobs of an OCI layout."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def open(
        self, repository: Repository, digest: Digest, *, size: int, start: int = 0
    ) -> AsyncIterator[Pieces]:
        """Yield the bytes of a blob."""
        from imagekit.oci.layout import LayoutStore  # gates of layouts only

        del repository, size
        loop = asyncio.get_running_loop()
        with LayoutStore(self._folder).open(digest) as file:
            file.seek(start)

            async def pieces() -> Pieces:
                while piece := await loop.run_in_executor(None, file.read, _PIECE):
                    yield piece

            yield pieces()

    async def place(self, repository: Repository, digest: Digest) -> str | None:
        """Nowhere: a folder is no place for clients."""
        del repository, digest
        return None

    async def close(self) -> None:
        """There is nothing to let go of."""


class RegistryOrigin:
    """Blobs of a registry; made on a running loop.

    Args:
        upstream: the registry.
        credentials: finds the login for a repository, in a thread; those that podman and docker
            keep where it is None.
        sleep: waits between two tries.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        credentials: FindLogin | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._options = upstream.options
        self._credentials = credentials or connect.credential_finder().find
        self._sleep = sleep
        self._logins: AnswerCache[str] = AnswerCache(most=MAX_LOGINS)
        self._proxies = Proxies()
        self._own = self._session(None)
        self._outside = self._session(_OutsideResolver())

    @asynccontextmanager
    async def open(
        self, repository: Repository, digest: Digest, *, size: int, start: int = 0
    ) -> AsyncIterator[Pieces]:
        """Yield the bytes of a blob from ``start`` on."""
        # RFC 9110 section 14.1.2, from an offset to the end; distribution-spec, "Pulling blobs":
        # registries should support it.
        headers = {"Range": f"bytes={start}-"} if start else {}
        answer = await self._ask(repository, digest, headers=headers, follow=True)
        try:
            await _check(answer, digest, start=start, size=size)
            yield answer.pieces()
        finally:
            # Also where the client went away in the middle: the rest is not waited for.
            answer.close()

    async def place(self, repository: Repository, digest: Digest) -> str | None:
        """Return where the registry sends who asks for a blob."""
        answer = await self._ask(repository, digest, headers={}, follow=False)
        answer.close()
        if answer.status not in REDIRECTS:
            return None
        # As if the gate went there itself: clients are within the network, and go where they are
        # sent.
        return protocol.redirected(answer.url, answer.header("Location"))

    async def close(self) -> None:
        """Let go of all connections."""
        await self._own.close()
        await self._outside.close()

    async def _ask(
        self, repository: Repository, digest: Digest, *, headers: Mapping[str, str], follow: bool
    ) -> "_Answer":
        talk = Conversation(repository, self._options, logins=self._logins, jitter=random.random)
        path = protocol.blob_path(repository, digest)
        return await self._drive(talk.ask("GET", path, headers=headers, follow=follow))

    async def _drive(self, steps: Steps) -> "_Answer":
        """Do what a conversation says, and return the answer that it ends with."""
        result: object = None
        with ExitStack() as unread:
            while True:
                try:
                    step = steps.send(result)
                except StopIteration as end:
                    unread.pop_all()
                    answer: _Answer = end.value
                    return answer
                if isinstance(step, ReadBody):
                    result = await step.answer.read_up_to(step.limit)
                unread.close()
                if isinstance(step, Send):
                    result = await self._sent(step.request, unread)
                elif isinstance(step, FindCredential):
                    loop = asyncio.get_running_loop()
                    result = await loop.run_in_executor(None, self._credentials, step.repository)
                elif isinstance(step, Pause):
                    await self._sleep(step.seconds)

    async def _sent(self, request: Request, unread: ExitStack) -> "_Answer | ConnectionFaultError":
        proxy = self._proxies.of(protocol.origin(request.url))
        # Of a request by a proxy, the name that is resolved here is the proxy's.
        session = self._outside if request.outside and proxy is None else self._own
        ends = asyncio.get_running_loop().time() + request.deadline
        try:
            async with asyncio.timeout_at(ends):
                response = await session.request(
                    request.method,
                    # As it is: a store of blobs may have signed every character of it.
                    URL(request.url, encoded=True),
                    # A digest is that of the bytes as they are stored: no encoding on the way.
                    headers={"Accept-Encoding": "identity", **request.headers},
                    data=None if request.body is None else _whole(request.body),
                    allow_redirects=False,
                    proxy=None if proxy is None else URL(proxy.url),
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _check_lasting(request.url, error)
            return _fault(request.url, error)
        answer = _Answer(response, url=request.url, ends=ends)
        unread.callback(answer.close)
        return answer

    def _session(self, resolver: AbstractResolver | None) -> aiohttp.ClientSession:
        options = self._options
        connector = aiohttp.TCPConnector(
            limit=_CONNECTIONS, resolver=resolver, ssl=tls_context(options.ca_file)
        )
        return aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_BUFFER,
            # As http.client has it, so that no transport refuses what the others take.
            max_field_size=_MAX_HEADER,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=options.connect_seconds, sock_read=options.read_seconds
            ),
        )


class _Answer:
    """An answer as conversations see it, and its body.

    The deadline is that of the headers, and of bodies that are read here. A blob is read at the
    pace of the client that it is for, so that silence alone ends it.
    """

    def __init__(self, answer: aiohttp.ClientResponse, *, url: str, ends: float) -> None:
        self._answer = answer
        self._ends = ends
        self.url = url

    @property
    def status(self) -> int:
        return self._answer.status

    def header(self, name: str) -> str:
        # RFC 9110 section 5.3: several lines of one name are one list.
        return ", ".join(self._answer.headers.getall(name, ()))

    def close(self) -> None:
        self._answer.close()

    async def pieces(self) -> Pieces:
        try:
            while piece := await self._answer.content.readany():
                yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _fault(self.url, error) from error

    async def read_up_to(self, limit: int) -> bytes:
        """Return the beginning of the body, at most so many bytes."""
        raw = bytearray()
        try:
            async with asyncio.timeout_at(self._ends):
                while len(raw) < limit and (piece := await self._answer.content.readany()):
                    raw += piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _fault(self.url, error) from error
        return bytes(raw[:limit])


class _OutsideResolver(AbstractResolver):
    """Resolves names that a registry chose: never to this machine's or link's own addresses."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = await self._inner.resolve(host, port, family)
        good = [address for address in addresses if not protocol.is_inner_address(address["host"])]
        if not good:
            raise _InnerAddressError
        return good

    async def close(self) -> None:
        await self._inner.close()


class _InnerAddressError(OSError):
    """A name that a registry chose leads to this machine."""


def _whole(body: Body) -> bytes:
    body.rewind()
    return body.read()


def _check_lasting(url: str, error: Exception) -> None:
    """Raise for what no second try makes better, as the other transports do."""
    host = urlsplit(url).netloc
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        raise untrusted(host, cause) from error
    if isinstance(cause, _InnerAddressError):
        raise inner_address(host, "an address of this machine") from error


def _fault(url: str, error: Exception) -> ConnectionFaultError:
    # Who cannot be connected to in time may be busy: that is no slow answer.
    late = isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError)
    reason = protocol.shown(str(error) or type(error).__name__)
    return ConnectionFaultError(
        f"{protocol.shown(url.partition('?')[0])}: {reason}",
        hint="try again later",
        code="TIMEOUT" if late else "CONNECTION",
    )


async def _check(answer: _Answer, digest: Digest, *, start: int, size: int) -> None:
    if answer.status not in {_OK, _PARTIAL}:
        raw = await answer.read_up_to(protocol.MAX_ERROR)
        raise protocol.refusal(answer.status, raw, what=f"the blob {digest}")
    # RFC 9110 section 14.2: a server may pass over Range and send everything.
    if (answer.status == _PARTIAL) != bool(start):
        raise RegistryError(f"the registry does not resume {digest}", code="NO_RANGE")
    # Here an error can still be the answer: as soon as bytes were sent, cutting is all that is
    # left.
    length = answer.header("Content-Length")
    if length and length != str(size - start):
        raise IntegrityError(
            f"the registry has {length[:20]} bytes for {digest}, which has {size - start} more",
            code="CONTENT_DIGEST_MISMATCH",
        )
    # RFC 9110 section 14.4: which bytes came is what this says, and not what was asked for.
    span = answer.header("Content-Range")
    if start and not span.startswith(f"bytes {start}-"):
        raise RegistryError(f"the registry resumes {digest} elsewhere", code="NO_RANGE")

"""Where blobs come from: an upstream registry, asked asynchronously, or a layout's file.

The requests and what a hostile registry may answer are judged by ``formats.distribution``, as for
the other transports: logins only for the registry's own or a listed realm, redirects neither to
this machine nor away from TLS, and no credentials on another host.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from cachetools import LRUCache
from yarl import URL

from imagekit.errors import IntegrityError, RegistryError
from imagekit.gate.upstreams import Upstream
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository
from imagekit.oci.registry import connect, protocol
from imagekit.oci.registry.proxies import Proxies
from imagekit.oci.registry.stdlib_transport import tls_context

_BUFFER = 1 << 20
_PIECE = 1 << 20
_MAX_REDIRECTS = 5
_CONNECTIONS = 256
_LOGINS = 10_000
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK, _PARTIAL, _UNAUTHORIZED = 200, 206, 401

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
    """Blobs of a registry; made on a running loop."""

    def __init__(self, upstream: Upstream) -> None:
        self._options = upstream.options
        self._find = connect.credential_finder().find
        self._logins: LRUCache[Repository, str] = LRUCache(_LOGINS)
        self._proxies = Proxies()
        self._own = self._session(None)
        self._outside = self._session(_OutsideResolver())

    @asynccontextmanager
    async def open(
        self, repository: Repository, digest: Digest, *, size: int, start: int = 0
    ) -> AsyncIterator[Pieces]:
        """Yield the bytes of a blob from ``start`` on."""
        url = f"{self._base(repository)}{protocol.blob_path(repository, digest)}"
        answer = await self._ask(repository, url, start=start)
        try:
            await _check(answer, digest, start=start, size=size)
            yield _pieces(answer)
        finally:
            # Also where the client went away in the middle: the rest is not waited for.
            answer.close()

    async def place(self, repository: Repository, digest: Digest) -> str | None:
        """Return where the registry sends who asks for a blob."""
        url = f"{self._base(repository)}{protocol.blob_path(repository, digest)}"
        answer = await self._ask(repository, url, start=0, follow=False)
        try:
            if answer.status not in _REDIRECTS:
                return None
            return protocol.redirected(url, answer.headers.get("Location", ""))
        finally:
            answer.close()

    async def close(self) -> None:
        """Let go of all connections."""
        await self._own.close()
        await self._outside.close()

    def _base(self, repository: Repository) -> str:
        options = self._options
        return protocol.base_url(
            repository, plain_http=options.plain_http, has_ca=options.ca_file is not None
        )

    async def _ask(
        self, repository: Repository, url: str, *, start: int, follow: bool = True
    ) -> aiohttp.ClientResponse:
        """Ask, log in where that is wanted, and follow redirects."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        at, base, tried = url, protocol.origin(self._base(repository)), False
        for _ in range(_MAX_REDIRECTS + 2):
            own = protocol.origin(at) == base
            login = self._logins.get(repository) if own else None
            sent = {**headers, "Authorization": login} if login else headers
            answer = await self._get(at, sent, outside=self._is_outside(repository, at))
            if answer.status == _UNAUTHORIZED and own and not tried:
                tried = True
                challenge = answer.headers.get("WWW-Authenticate", "")
                answer.close()
                self._logins[repository] = await self._log_in(repository, challenge)
            elif answer.status in _REDIRECTS and follow:
                location = answer.headers.get("Location", "")
                answer.close()
                at = protocol.redirected(at, location)
            else:
                return answer
        raise RegistryError("the registry's redirects go round", code="FOREIGN_REDIRECT")

    async def _log_in(self, repository: Repository, header: str) -> str:
        challenge = protocol.parse_challenge(header)
        loop = asyncio.get_running_loop()
        credential = await loop.run_in_executor(None, self._find, repository)
        if challenge.scheme == "basic":
            if credential is None or credential.identity_token:
                raise protocol.refusal(_UNAUTHORIZED, b"", what=f"logging in to {repository}")
            return protocol.basic(credential)
        asked = protocol.token_request(
            challenge,
            credential,
            registry=self._base(repository),
            wanted=protocol.scope(repository, push=False),
            realms=self._options.realms,
        )
        outside = self._is_outside(repository, asked.url)
        answer = await self._get(asked.url, dict(asked.headers), outside=outside, form=asked.form)
        try:
            raw = await _bounded(answer, protocol.MAX_TOKEN)
            if answer.status != _OK:
                what = f"logging in to {repository.host}"
                raise protocol.refusal(_UNAUTHORIZED, raw, what=what)
        finally:
            answer.close()
        return f"Bearer {protocol.parse_token(raw)}"

    def _is_outside(self, repository: Repository, url: str) -> bool:
        own = protocol.origin(self._base(repository))[1]
        return not repository.is_loopback and protocol.origin(url)[1] != own

    async def _get(
        self, url: str, headers: dict[str, str], *, outside: bool, form: bytes | None = None
    ) -> aiohttp.ClientResponse:
        proxy = self._proxies.of(protocol.origin(url))
        # Of a request by a proxy, the name that is resolved here is the proxy's.
        session = self._outside if outside and proxy is None else self._own
        try:
            return await session.request(
                "GET" if form is None else "POST",
                # As it is: a store of blobs may have signed every character of it.
                URL(url, encoded=True),
                headers={"Accept-Encoding": "identity", **headers},
                data=form,
                allow_redirects=False,
                proxy=None if proxy is None else URL(proxy.url),
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise fault(url, error) from error

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
            trust_env=False,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=options.connect_seconds, sock_read=options.read_seconds
            ),
        )


class _OutsideResolver(AbstractResolver):
    """Resolves names that a registry chose: never to this machine's or link's own addresses."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        good = [one for one in found if not protocol.is_inner_address(one["host"])]
        if not good:
            raise OSError(f"{host} is an address of this machine, where a registry has no say")
        return good

    async def close(self) -> None:
        await self._inner.close()


def fault(url: str, error: Exception) -> RegistryError:
    """Return the error for a connection that failed."""
    late = isinstance(error, TimeoutError)
    said = protocol.shown(str(error) or type(error).__name__)
    return RegistryError(
        f"{protocol.shown(url.partition('?')[0])}: {said}",
        hint="try again later",
        code="TIMEOUT" if late else "CONNECTION",
    )


async def _pieces(answer: aiohttp.ClientResponse) -> Pieces:
    try:
        while piece := await answer.content.readany():
            yield piece
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise fault(str(answer.url), error) from error


async def _check(answer: aiohttp.ClientResponse, digest: Digest, *, start: int, size: int) -> None:
    if answer.status not in {_OK, _PARTIAL}:
        raw = await _bounded(answer, protocol.MAX_ERROR)
        raise protocol.refusal(answer.status, raw, what=f"the blob {digest}")
    if (answer.status == _PARTIAL) != bool(start):
        raise RegistryError(f"the registry does not resume {digest}", code="NO_RANGE")
    length = answer.headers.get("Content-Length")
    if length is not None and length != str(size - start):
        raise IntegrityError(
            f"the registry has {length[:20]} bytes for {digest}, which has {size - start} more",
            code="CONTENT_DIGEST_MISMATCH",
        )
    span = answer.headers.get("Content-Range", "")
    if start and not span.startswith(f"bytes {start}-"):
        raise RegistryError(f"the registry resumes {digest} elsewhere", code="NO_RANGE")


async def _bounded(answer: Any, limit: int) -> bytes:
    raw = bytearray()
    try:
        while len(raw) <= limit and (piece := await answer.content.readany()):
            raw += piece
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise fault(str(answer.url), error) from error
    return bytes(raw[:limit])

"""Who asks, and which repositories they may see: htpasswd, tokens and client certificates.

Rights only ever narrow: an image that the policy denies is denied to everybody.
"""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagekit.gate.answers import RefusedError
from imagekit.gate.lru import Lru
from imagekit.verify.glob import matches

if TYPE_CHECKING:
    from aiohttp import web

ANONYMOUS = ""
_KNOWN = 10_000
_KNOWN_SECONDS = 300.0
_MAX_HEADER = 8 << 10


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: a name, or nobody in particular."""

    name: str = ANONYMOUS
    refused: bool = False
    """Whether credentials were shown that are wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Repositories that some may see."""

    users: tuple[str, ...]
    """Names; ``*`` is everybody who is known, ``anonymous`` everybody at all."""
    repositories: tuple[str, ...]
    """Globs of names as they are called here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What the configuration says about clients."""

    passwords: Mapping[str, bytes]
    """bcrypt hashes of htpasswd, by user."""
    tokens: Mapping[bytes, str]
    """SHA-256 of each bearer token, and whose it is."""
    certificates: bool = False
    """Whether clients are known by the subject of their certificate."""
    grants: tuple[Grant, ...] = ()

    @property
    def open(self) -> bool:
        """Whether everybody may see everything."""
        return not (self.passwords or self.tokens or self.certificates or self.grants)


NOBODY = Client()


class Guard:
    """Knows clients; on one event loop.

    Args:
        rights: what the configuration says.
    """

    def __init__(self, rights: Rights) -> None:
        self._rights = rights
        self.open = rights.open
        """Whether everybody may see everything."""
        self._known: Lru[bytes, tuple[float, Client]] = Lru(_KNOWN)
        self._may: Lru[tuple[str, str], bool] = Lru(_KNOWN)
        # Equal work for unknown users, so that time does not tell who exists.
        self._decoy = next(iter(rights.passwords.values()), b"")

    async def client(self, request: "web.BaseRequest") -> Client:
        """Return who asks."""
        if self.open:
            return NOBODY
        header = request.headers.get("Authorization", "")
        if header:
            return await self._by_header(header)
        name = _certified(request) if self._rights.certificates else ""
        return Client(name) if name else NOBODY

    def allows(self, client: Client, path: str) -> bool:
        """Tell whether the client may see a repository."""
        if self.open:
            return True
        if client.refused:
            # Who failed to log in has the anonymous name, and is not remembered under it.
            return False
        key = (client.name, path)
        known = self._may.get(key)
        if known is None:
            known = self._granted(client, path)
            self._may.put(key, known)
        return known

    def check(self, client: Client, path: str | None) -> None:
        """Refuse who may not see a repository, or without one who is not known at all.

        Raises:
            RefusedError: 401 where a login may help, else 403.
        """
        if self.open:
            return
        if client.refused:
            raise self._unauthorized("wrong name, password or token")
        if path is None:
            # Clients learn here how to log in; who need not, goes on without.
            if client.name == ANONYMOUS and self._logins():
                raise self._unauthorized("log in first")
            return
        if self.allows(client, path):
            return
        if client.name == ANONYMOUS:
            raise self._unauthorized(f"log in to see {path}")
        raise RefusedError(
            403, "DENIED", f"imagekit gate: {client.name} has no right to pull from {path}"
        )

    def _granted(self, client: Client, path: str) -> bool:
        if not self._rights.grants:
            return client.name != ANONYMOUS
        return any(
            any(_names(user, client.name) for user in grant.users)
            and any(matches(glob, path) for glob in grant.repositories)
            for grant in self._rights.grants
        )

    def _unauthorized(self, message: str) -> RefusedError:
        scheme = 'Basic realm="imagekit gate"' if self._logins() else 'Bearer realm="none"'
        return RefusedError(
            401,
            "UNAUTHORIZED",
            f"imagekit gate: {message}",
            headers={"WWW-Authenticate": scheme},
        )

    def _logins(self) -> bool:
        # Tokens may be shown as passwords, too, which is what clients can do.
        return bool(self._rights.passwords or self._rights.tokens)

    async def _by_header(self, header: str) -> Client:
        key = hashlib.sha256(header[:_MAX_HEADER].encode(errors="replace")).digest()
        known = self._known.get(key)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        client = await self._recognise(header)
        if not client.refused:
            self._known.put(key, (time.monotonic() + _KNOWN_SECONDS, client))
        return client

    async def _recognise(self, header: str) -> Client:
        if len(header) > _MAX_HEADER:
            return Client(refused=True)
        scheme, _, rest = header.partition(" ")
        match scheme.lower():
            case "bearer":
                return self._by_token(rest.strip())
            case "basic":
                return await self._by_pair(rest.strip())
            case _:
                return Client(refused=True)

    def _by_token(self, token: str) -> Client:
        found = hashlib.sha256(token.encode(errors="replace")).digest()
        for digest, name in self._rights.tokens.items():
            if hmac.compare_digest(digest, found):
                return Client(name)
        return Client(refused=True)

    async def _by_pair(self, text: str) -> Client:
        try:
            user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
        except ValueError:
            return Client(refused=True)
        if not colon:
            return Client(refused=True)
        kept = self._rights.passwords.get(user)
        if kept is None:
            by_token = self._by_token(password)
            if not by_token.refused or not self._decoy:
                return by_token
        good = await asyncio.to_thread(_check_password, password, kept or self._decoy)
        return Client(user) if good and kept is not None else Client(refused=True)


def _check_password(password: str, kept: bytes) -> bool:
    import bcrypt  # noqa: PLC0415 - only where there is a password file

    try:
        return bcrypt.checkpw(password.encode()[:72], kept)
    except ValueError:
        return False


def _names(user: str, name: str) -> bool:
    if user == "anonymous":
        return True
    return name != ANONYMOUS and user in {"*", name}


def _certified(request: "web.BaseRequest") -> str:
    """Return the common name of the client's certificate, which TLS has verified."""
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    if not certificate:
        return ""
    for parts in certificate.get("subject", ()):
        for key, value in parts:
            if key == "commonName":
                return str(value)
    return ""

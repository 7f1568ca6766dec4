"""Who asks, and which repositories they may see: htpasswd, tokens and client certificates.

Rights only ever narrow: an image that the policy denies is denied to everybody.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cachetools import LRUCache
from msgspec import Struct

from imagekit.gate.answers import RequestRefusedError, too_many
from imagekit.gate.clients import Asker
from imagekit.gate.limits import ListenerLimits
from imagekit.gate.rate import RateLimit
from imagekit.gate.threads import FairThreads
from imagekit.policy.glob import matches

if TYPE_CHECKING:
    from aiohttp import web

ANONYMOUS = ""
_KNOWN = 10_000
_MAX_HEADER = 8 << 10
_CHECKS = 2
"""Passwords that are checked at once, in threads of their own."""
_WAIT_SECONDS = 30.0
_MINUTE = 60.0
# A whole site may be behind one address.
_ACCOUNTS = 10


class Client(Struct, frozen=True):
    """Who asks: a name, or nobody in particular."""

    name: str = ANONYMOUS
    refused: bool = False
    """Whether credentials were shown that are wrong."""


class Grant(Struct, frozen=True, kw_only=True):
    """Repositories that some may see."""

    users: tuple[str, ...]
    """Names; ``*`` is everybody who is known, ``anonymous`` everybody at all."""
    repositories: tuple[str, ...]
    """Globs of names as they are called here."""


class Rights(Struct, frozen=True, kw_only=True):
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


class Authenticator:
    """Knows clients; on one event loop.

    Args:
        rights: what the configuration says; it holds as long as this object does.
        limits: how many wrong passwords a client may show.
    """

    def __init__(self, rights: Rights, limits: ListenerLimits | None = None) -> None:
        self._rights = rights
        self.open = rights.open
        """Whether everybody may see everything."""
        self._passwords = _Passwords(rights.passwords, limits or ListenerLimits())
        self._may: LRUCache[tuple[str, str], bool] = LRUCache(_KNOWN)

    async def client(self, request: "web.BaseRequest", address: str = "") -> Client:
        """Return who asks.

        Args:
            request: what came.
            address: the client by its address, for which wrong passwords are counted.

        Raises:
            RequestRefusedError: it showed too many wrong ones (429).
        """
        if self.open:
            return NOBODY
        header = request.headers.get("Authorization", "")
        if header:
            return await self._by_header(header, address)
        name = _certified(request) if self._rights.certificates else ""
        return Client(name) if name else NOBODY

    def close(self) -> None:
        """Let the threads end."""
        self._passwords.close()

    def allows(self, client: Client, path: str) -> bool:
        """Return whether the client may see a repository."""
        if self.open:
            return True
        if client.refused:
            # Who failed to log in has the anonymous name, and is not remembered under it.
            return False
        key = (client.name, path)
        allowed = self._may.get(key)
        if allowed is None:
            allowed = self._granted(client, path)
            self._may[key] = allowed
        return allowed

    def check(self, client: Client, path: str | None) -> None:
        """Refuse who may not see a repository, or without one who is not known at all.

        Raises:
            RequestRefusedError: 401 where a login may help, else 403.
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
        # RFC 9110 section 15.5.4: who asked is known, and another login of the same would not help.
        raise RequestRefusedError(
            403, "DENIED", f"imagekit gate: {client.name} has no right to pull from {path}"
        )

    def check_known(self, client: Client) -> None:
        """Refuse who is nobody in particular, whatever everybody may pull.

        Raises:
            RequestRefusedError: 401.
        """
        if not self.open and (client.refused or client.name == ANONYMOUS):
            raise self._unauthorized("log in first")

    def _granted(self, client: Client, path: str) -> bool:
        if not self._rights.grants:
            return client.name != ANONYMOUS
        return any(
            any(_names(user, client.name) for user in grant.users)
            and any(matches(glob, path) for glob in grant.repositories)
            for grant in self._rights.grants
        )

    def _unauthorized(self, message: str) -> RequestRefusedError:
        # RFC 9110 section 15.5.2: the answer 401 has a challenge; no scheme is for certificates.
        scheme = 'Basic realm="imagekit gate"' if self._logins() else 'Bearer realm="none"'
        return RequestRefusedError(
            401,
            "UNAUTHORIZED",
            f"imagekit gate: {message}",
            headers={"WWW-Authenticate": scheme},
        )

    def _logins(self) -> bool:
        # Tokens may be shown as passwords, too, which is what clients can do.
        return bool(self._rights.passwords or self._rights.tokens)

    async def _by_header(self, header: str, address: str) -> Client:
        if len(header) > _MAX_HEADER:
            return Client(refused=True)
        scheme, _, rest = header.partition(" ")
        # RFC 9110 section 11.1: the scheme is compared without regard to case.
        match scheme.lower():
            case "bearer":
                return self._by_token(rest.strip())
            case "basic":
                return await self._by_pair(rest.strip(), address)
            case _:
                return Client(refused=True)

    def _by_token(self, token: str) -> Client:
        # Found by its digest: the time that takes tells nothing about the tokens themselves.
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        name = self._rights.tokens.get(digest)
        return Client(refused=True) if name is None else Client(name)

    async def _by_pair(self, text: str, address: str) -> Client:
        # RFC 7617 section 2.1 leaves the charset to those who agree on one; clients send UTF-8.
        try:
            # RFC 7617 section 2: a name has no colon, and a password may have some.
            user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
        except ValueError:
            return Client(refused=True)
        if not colon:
            return Client(refused=True)
        if user not in self._rights.passwords:
            by_token = self._by_token(password)
            if not by_token.refused:
                return by_token
        good = await self._passwords.check(user, password, address)
        return Client(user) if good else Client(refused=True)


class _Passwords:
    """Checks passwords, so that wrong ones keep nobody with a right one from being served.

    What must hold:

    1. A pair that was right once is known without a check, under a key of its own; so is a wrong
       one. The file of passwords does not change while the gate runs.
    2. Wrong ones are bounded for each client and account: nobody is locked out elsewhere.
    3. Checks have threads of their own, in which clients take turns.

    Args:
        hashes: by user.
        limits: how many wrong ones a client may show.
    """

    def __init__(self, hashes: Mapping[str, bytes], limits: ListenerLimits) -> None:
        self._hashes = hashes
        # Equal work for unknown users, so that time does not tell who exists.
        self._decoy = next(iter(hashes.values()), b"")
        self._right: LRUCache[bytes, bool] = LRUCache(_KNOWN)
        self._wrong: LRUCache[bytes, bool] = LRUCache(_KNOWN)
        most = limits.login_failures
        self._accounts = RateLimit(burst=most, per_second=most / _MINUTE)
        most *= _ACCOUNTS
        self._clients = RateLimit(burst=most, per_second=most / _MINUTE)
        self._threads = FairThreads(
            "gate-login",
            _CHECKS,
            waiting=limits.waiting_per_client,
            wait=_WAIT_SECONDS,
        )

    async def check(self, user: str, password: str, address: str) -> bool:
        """Return whether a password is right.

        Raises:
            RequestRefusedError: too many were wrong (429), or the check takes too long (503).
        """
        if not self._decoy:
            return False
        account = hashlib.sha256(user.encode()).digest()
        # Behind an account of fixed length: no other name and password make the same text.
        pair = hashlib.sha256(account + password.encode()).digest()
        if self._right.get(pair):
            return True
        if self._wrong.get(pair):
            return False

        async def work() -> bool:
            good = await self._checked(user, password, address)
            (self._right if good else self._wrong)[pair] = True
            return good

        # For each address on its own: many requests from one do not delay those from another.
        key = (pair, address)
        return await self._threads.once(key, work, asker=Asker(address))

    async def _checked(self, user: str, password: str, address: str) -> bool:
        account = (address, hashlib.sha256(user.encode()).digest())
        early = max(self._accounts.wait(account), self._clients.wait(address))
        if early:
            raise too_many("too many wrong passwords", seconds=early)
        hashed = self._hashes.get(user)
        good = await self._threads.call(_check_password, password, hashed or self._decoy)
        if good and hashed is not None:
            return True
        self._accounts.charge(account)
        self._clients.charge(address)
        return False

    def close(self) -> None:
        """Let the threads end."""
        self._threads.close()


def _check_password(password: str, hashed: bytes) -> bool:
    import bcrypt  # only where there is a password file

    try:
        # bcrypt uses the first 72 bytes; the library's newer versions refuse to be given more.
        return bcrypt.checkpw(password.encode()[:72], hashed)
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

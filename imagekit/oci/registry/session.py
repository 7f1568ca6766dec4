"""A conversation with registries: login, patience and redirects, over any transport."""

import random
import threading
import time
from collections.abc import Callable, Mapping

from imagekit.errors import AuthError, RegistryError
from imagekit.oci.reference import Repository
from imagekit.oci.registry import protocol
from imagekit.oci.registry.options import Credential, RegistryOptions
from imagekit.oci.registry.transport import (
    Body,
    ConnectionFaultError,
    Request,
    Response,
    Transport,
)

FindCredential = Callable[[Repository], Credential | None]
_SLOWEST = 64 << 10
_LONGEST_PAUSE = 30.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_UNAUTHORIZED = 401
_OK = 200


class Session:
    """Sends requests about repositories, with the login that each needs.

    Args:
        transport: carries requests to the registry itself.
        outside: carries those to other hosts, without credentials.
        options: what the user said.
        credentials: finds the user's login for a repository; asked only after a 401.
        sleep: waits between two tries.
    """

    def __init__(
        self,
        transport: Transport,
        outside: Transport,
        *,
        options: RegistryOptions,
        credentials: FindCredential,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = transport
        self._outside = outside
        self._options = options
        self._credentials = credentials
        self._sleep = sleep
        self._logins: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    @property
    def settle_seconds(self) -> float:
        """How long is waited for other writers of a tag."""
        return self._options.settle_seconds

    def base(self, repository: Repository) -> str:
        """Return scheme and host of the repository's registry."""
        options = self._options
        return protocol.base_url(
            repository, plain_http=options.plain_http, has_ca=options.ca_file is not None
        )

    def send(
        self,
        repository: Repository,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        push: bool = False,
        expected: int = 0,
    ) -> Response:
        """Send a request, log in where that is asked for, and return the answer.

        Args:
            repository: whose rights are needed.
            method: of HTTP.
            url: a path, or a whole URL that the registry named.
            headers: besides Authorization.
            body: what is sent.
            push: whether the right to push is needed.
            expected: how many bytes are expected, for the time that is allowed.

        Raises:
            RegistryError: there was no answer.
        """
        whole = url if "://" in url else f"{self.base(repository)}{url}"
        size = expected + (0 if body is None else body.size)
        deadline = self._options.deadline_seconds + size / _SLOWEST
        request = Request(
            method=method, url=whole, headers=dict(headers or {}), body=body, deadline=deadline
        )
        if protocol.origin(whole) != protocol.origin(self.base(repository)):
            return self._patiently(self._outside, self._to_outside(request, repository))
        return self._with_login(repository, request, push=push)

    def follow(
        self, repository: Repository, response: Response, *, url: str, size: int
    ) -> Response:
        """Follow the redirects of a blob, without credentials on another host.

        Raises:
            RegistryError: they lead where they must not, or go round.
        """
        at = url if "://" in url else f"{self.base(repository)}{url}"
        for _ in range(_MAX_REDIRECTS):
            if response.status not in _REDIRECTS:
                return response
            location = response.header("Location")
            response.close()
            at = protocol.redirected(at, location)
            response = self.send(repository, "GET", at, expected=size)
        response.close()
        raise RegistryError("the registry's redirects go round", code="FOREIGN_REDIRECT")

    def _to_outside(self, request: Request, repository: Repository) -> Request:
        return Request(
            method=request.method,
            url=request.url,
            headers=request.headers,
            body=request.body,
            deadline=request.deadline,
            outside=self._is_outside(repository, request.url),
        )

    def _is_outside(self, repository: Repository, url: str) -> bool:
        """Return whether the registry chose a host that the user did not name."""
        own = protocol.origin(self.base(repository))[1]
        return not repository.is_loopback and protocol.origin(url)[1] != own

    def _with_login(self, repository: Repository, request: Request, *, push: bool) -> Response:
        scope = protocol.scope(repository, push=push)
        response = self._patiently(self._transport, self._logged_in(repository, request, scope))
        if response.status != _UNAUTHORIZED:
            return response
        header = response.header("WWW-Authenticate")
        response.close()
        self._log_in(repository, header, scope)
        if request.body is not None:
            request.body.rewind()
        return self._patiently(self._transport, self._logged_in(repository, request, scope))

    def _logged_in(self, repository: Repository, request: Request, scope: str) -> Request:
        with self._lock:
            login = self._logins.get((repository.host, scope))
        if login is None:
            return request
        return Request(
            method=request.method,
            url=request.url,
            headers={**request.headers, "Authorization": login},
            body=request.body,
            deadline=request.deadline,
        )

    def _log_in(self, repository: Repository, header: str, scope: str) -> None:
        challenge = protocol.parse_challenge(header)
        credential = self._credentials(repository)
        if challenge.scheme == "bearer":
            token = self._token(repository, challenge=challenge, credential=credential, scope=scope)
            login = f"Bearer {token}"
        elif credential is None or credential.identity_token:
            raise AuthError(
                f"{repository.host} wants a name and a password for {repository.path}",
                hint=f"podman login {repository.host}",
                code="UNAUTHORIZED",
                http_status=_UNAUTHORIZED,
            )
        else:
            login = protocol.basic(credential)
        with self._lock:
            self._logins[repository.host, scope] = login

    def _token(
        self,
        repository: Repository,
        *,
        challenge: protocol.Challenge,
        credential: Credential | None,
        scope: str,
    ) -> str:
        from imagekit.oci.registry.bodies import BytesBody

        asked = protocol.token_request(
            challenge,
            credential,
            registry=self.base(repository),
            wanted=scope,
            realms=self._options.realms,
        )
        request = Request(
            method="GET" if asked.form is None else "POST",
            url=asked.url,
            headers=asked.headers,
            body=None if asked.form is None else BytesBody(asked.form),
            deadline=self._options.deadline_seconds,
            outside=self._is_outside(repository, asked.url),
        )
        with self._patiently(self._outside, request) as response:
            raw = read_bounded(response, protocol.MAX_TOKEN, what="the token server's answer")
            if response.status != _OK:
                what = f"logging in to {repository.host}"
                raise protocol.refusal(_UNAUTHORIZED, raw, what=what)
            return protocol.parse_token(raw)

    def _patiently(self, transport: Transport, request: Request) -> Response:
        """Ask again only where the fault may pass: no connection, too many requests, 5xx."""
        for attempt in range(1, self._options.attempts + 1):
            last = attempt == self._options.attempts
            pause = random.uniform(0.1, 0.3) * 4 ** (attempt - 1)  # noqa: S311 - jitter, no secret
            try:
                response = transport.send(request)
            except ConnectionFaultError as error:
                # Who was too slow once is not waited for again.
                if last or error.code == "TIMEOUT":
                    raise
            else:
                if last or response.status not in protocol.TRANSIENT:
                    return response
                longest = min(_LONGEST_PAUSE, self._options.deadline_seconds)
                pause = min(_pause(response.header("Retry-After"), pause), longest)
                response.close()
            self._sleep(pause)
            if request.body is not None:
                request.body.rewind()
        raise AssertionError  # pragma: no cover - the last attempt returned or raised


def read_bounded(response: Response, limit: int, *, what: str) -> bytes:
    """Return the whole body.

    Raises:
        RegistryError: it has more than ``limit`` bytes, or ended early (``TOO_LARGE``).
    """
    pieces: list[bytes] = []
    size = 0
    while piece := response.read(min(1 << 16, limit + 1 - size)):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise RegistryError(
                f"{what} is larger than {limit} bytes",
                hint="no honest registry sends as much",
                code="TOO_LARGE",
            )
    return b"".join(pieces)


def _pause(retry_after: str, default: float) -> float:
    good = retry_after.isascii() and retry_after.isdigit()
    return float(retry_after) if good else default

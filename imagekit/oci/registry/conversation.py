"""The conversation with a registry, without I/O: login, retries and redirects.

A generator yields what is to be done next and is sent what came of it; it returns the answer that
was asked for. What must hold, whatever transport drives it:

1. A login is shown to the registry itself only: its scheme, host and port.
2. A registry is asked at most once for a login, and follows with at most ``MAX_REDIRECTS`` places.
3. Of a host that the registry chose, this machine's own addresses are refused.
4. Only faults that may pass by themselves are waited for, a bounded time and number.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from imagekit.errors import AuthError, RegistryError
from imagekit.oci.reference import Repository
from imagekit.oci.registry import protocol
from imagekit.oci.registry.bodies import BytesBody
from imagekit.oci.registry.cache import AnswerCache
from imagekit.oci.registry.options import Credential, RegistryOptions
from imagekit.oci.registry.transport import Body, ConnectionFaultError, Request

# Registries redirect once, to where their blobs are; who leads on and on holds the client up.
MAX_REDIRECTS = 5
# RFC 9110 section 15.4, without 300, which leaves a choice, and 304, which answers a conditional
# GET: there is none here.
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Bytes a second: half a megabit. Who sends less on purpose would keep a client for hours.
_SLOWEST = 64 << 10
# Retry-After could hold a client for days.
_LONGEST_PAUSE = 30.0
_UNAUTHORIZED = 401
_OK = 200


class AnswerHead(Protocol):
    """What is seen of an answer here; its body is the driver's."""

    @property
    def status(self) -> int:
        """The status."""
        ...

    def header(self, name: str) -> str:
        """Return a header, several of one name joined by commas; or an empty text."""
        ...


class Send(Struct, frozen=True):
    """Close the answer before this one, if any, and send a request, its body from the beginning.

    The result is an ``AnswerHead``, or the ``ConnectionFaultError`` that came in its place.
    """

    request: Request
    own: bool
    """Whether it goes to the registry itself, so that it may carry a login."""


class ReadBody(Struct, frozen=True):
    """Read the last answer's body and close it; the result is its beginning."""

    answer: Any
    """As it came from the driver."""
    limit: int
    """Most bytes that are read."""


class FindCredential(Struct, frozen=True):
    """Close the last answer and look for a user's login; the result is a ``Credential`` or None."""

    repository: Repository


class Pause(Struct, frozen=True):
    """Close the last answer and wait."""

    seconds: float


Step: TypeAlias = Send | ReadBody | FindCredential | Pause
Steps: TypeAlias = Generator[Step, Any, Any]
"""A conversation: it returns the last answer, whose body nobody has read."""


class Conversation:
    """What is said to the registry of one repository until an answer is here.

    Args:
        repository: whose rights are needed.
        options: what the user said.
        logins: those that were had already; new ones are kept there.
        jitter: a random number from 0 to 1.
        push: whether the right to push is needed.
        also_pull: another repository of the registry that is read.
        attempts: how often a request is made whose fault may pass; None for what the user said.
    """

    def __init__(
        self,
        repository: Repository,
        options: RegistryOptions,
        *,
        logins: AnswerCache[str],
        jitter: Callable[[], float],
        push: bool = False,
        also_pull: Repository | None = None,
        attempts: int | None = None,
    ) -> None:
        self._repository = repository
        self._options = options
        # Logging in is tried again all the same.
        self._asking = options if attempts is None else replace(options, attempts=attempts)
        self._logins = logins
        self._jitter = jitter
        self._base = base(repository, options)
        self._origin = protocol.origin(self._base)
        self._scope = protocol.scope(repository, push=push)
        if also_pull is not None:
            self._scope += f" {protocol.scope(also_pull, push=False)}"
        self._tried = False

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        expected: int = 0,
        follow: bool = False,
    ) -> Steps:
        """Send a request, and log in where that is asked for.

        Args:
            method: of HTTP.
            url: a path, or a whole URL that the registry named.
            headers: besides Authorization.
            body: what is sent.
            expected: how many bytes are expected, for the time that is allowed.
            follow: whether a redirect is followed, as those of blobs are.

        Raises:
            RegistryError: there was no answer, or the registry sends its client where it must not
                go.
        """
        size = expected + (0 if body is None else body.size)
        deadline = self._options.deadline_seconds + size / _SLOWEST

        def ask_at(place: str) -> Steps:
            origin = protocol.origin(place)
            request = Request(
                method=method,
                url=place,
                headers=headers or {},
                body=body,
                deadline=deadline,
                outside=self._is_outside(origin),
            )
            # distribution-spec, "API": Authorization is not forwarded to another host.
            if origin == self._origin:
                return self._ask_own(request)
            return self._with_retries(request, own=False)

        at = url if "://" in url else f"{self._base}{url}"
        return (yield from followed(ask_at, at) if follow else ask_at(at))

    def _ask_own(self, request: Request) -> Steps:
        answer: AnswerHead = yield from self._with_retries(self._logged_in(request), own=True)
        if answer.status != _UNAUTHORIZED or self._tried:
            return answer
        self._tried = True
        # Docker's token specification, "How to authenticate": the answer 401 says where the token
        # comes from.
        login = yield from self._log_in(answer.header("WWW-Authenticate"))
        self._logins.keep(self._key, login, size=len(login))
        return (yield from self._with_retries(self._logged_in(request, login), own=True))

    @property
    def _key(self) -> tuple[str, str]:
        return self._repository.host, self._scope

    def _logged_in(self, request: Request, login: str | None = None) -> Request:
        login = login or self._logins.get(self._key)
        if login is None:
            return request
        return replace(request, headers={**request.headers, "Authorization": login})

    def _log_in(self, header: str) -> Generator[Step, Any, str]:
        challenge = protocol.parse_challenge(header)
        credential: Credential | None = yield FindCredential(self._repository)
        if challenge.scheme == "bearer":
            return f"Bearer {yield from self._token(challenge, credential)}"
        if credential is None or credential.identity_token:
            host = self._repository.host
            raise AuthError(
                f"{host} wants a name and a password for {self._repository.path}",
                hint=f"podman login {host}",
                code="UNAUTHORIZED",
                http_status=_UNAUTHORIZED,
            )
        return protocol.basic(credential)

    def _token(
        self, challenge: protocol.Challenge, credential: Credential | None
    ) -> Generator[Step, Any, str]:
        token_request = protocol.token_request(
            challenge,
            credential,
            registry=self._base,
            wanted=self._scope,
            realms=self._options.realms,
        )
        request = Request(
            method="GET" if token_request.form is None else "POST",
            url=token_request.url,
            headers=token_request.headers,
            body=None if token_request.form is None else BytesBody(token_request.form),
            deadline=self._options.deadline_seconds,
            outside=self._is_outside(protocol.origin(token_request.url)),
        )
        answer: AnswerHead = yield from with_retries(
            request, own=False, options=self._options, jitter=self._jitter
        )
        if answer.status != _OK:
            raw: bytes = yield ReadBody(answer, protocol.MAX_ERROR)
            what = f"logging in to {self._repository.host}"
            raise protocol.refusal(_UNAUTHORIZED, raw, what=what)
        raw = yield ReadBody(answer, protocol.MAX_TOKEN + 1)
        protocol.check_size(raw, protocol.MAX_TOKEN, what="the token server's answer")
        return protocol.parse_token(raw)

    def _is_outside(self, origin: tuple[str, str, int]) -> bool:
        """Return whether the registry chose a host that the user did not name."""
        return origin[1] != self._origin[1] and not self._repository.is_loopback

    def _with_retries(self, request: Request, *, own: bool) -> Steps:
        return with_retries(request, own=own, options=self._asking, jitter=self._jitter)


def base(repository: Repository, options: RegistryOptions) -> str:
    """Return scheme and host of a repository's registry."""
    plain = options.of(repository.host).plain_http
    return protocol.base_url(repository, plain_http=plain, has_ca=options.ca_file is not None)


def with_retries(
    request: Request, *, own: bool, options: RegistryOptions, jitter: Callable[[], float]
) -> Steps:
    """Ask again only where the fault may pass: no connection, too many requests, 5xx.

    Raises:
        ConnectionFaultError: no answer came.
    """
    attempt = 0
    while True:
        attempt += 1
        last = attempt >= options.attempts
        # RFC 9110 section 9.2.2: what is not idempotent is repeated only where that is known to do
        # no harm. By POST uploads are begun and tokens asked for: one too many is forgotten. A
        # chunk that was taken already is refused by its range (416).
        answer: AnswerHead | ConnectionFaultError = yield Send(request, own)
        if isinstance(answer, ConnectionFaultError):
            # Who was too slow once is not waited for again.
            if last or answer.code == "TIMEOUT":
                raise answer
            asked = ""
        elif last or answer.status not in protocol.TRANSIENT:
            return answer
        else:
            asked = answer.header("Retry-After")
        yield Pause(pause(attempt, asked, options=options, jitter=jitter))


def pause(
    attempt: int, retry_after: str, *, options: RegistryOptions, jitter: Callable[[], float]
) -> float:
    """Return how many seconds to wait before another try.

    Args:
        attempt: how many there were.
        retry_after: what the last answer says of it.
        options: what the user said.
        jitter: a random number from 0 to 1.
    """
    # Four times as long at each attempt, and by chance: many clients must not come back together.
    own = (0.1 + 0.2 * jitter()) * 4 ** (attempt - 1)
    longest = min(_LONGEST_PAUSE, options.deadline_seconds)
    return min(_asked_pause(retry_after, own), longest) if retry_after else own


def download(
    url: str, headers: Mapping[str, str], options: RegistryOptions, *, jitter: Callable[[], float]
) -> Steps:
    """Ask any server for a public file, whose digest the user knows: without a login.

    Raises:
        RegistryError: there was no answer, or it leads where it must not.
    """
    host = protocol.origin(url)[1]

    def ask_at(place: str) -> Steps:
        request = Request(
            method="GET",
            url=place,
            headers=headers,
            deadline=options.deadline_seconds,
            outside=protocol.origin(place)[1] != host,
        )
        return with_retries(request, own=False, options=options, jitter=jitter)

    return (yield from followed(ask_at, url, may_leave_tls=True))


def followed(ask: Callable[[str], Steps], url: str, *, may_leave_tls: bool = False) -> Steps:
    """Ask, and ask again where the answer leads.

    Args:
        ask: asks at a place.
        url: where it begins.
        may_leave_tls: whether it may lead from TLS to none.

    Raises:
        RegistryError: the answers lead where they must not, or do not end (``FOREIGN_REDIRECT``).
    """
    for _ in range(MAX_REDIRECTS + 1):
        answer: AnswerHead = yield from ask(url)
        if answer.status not in REDIRECTS:
            return answer
        url = protocol.redirected(url, answer.header("Location"), may_leave_tls=may_leave_tls)
    raise RegistryError("the server's redirects do not end", code="FOREIGN_REDIRECT")


def _asked_pause(retry_after: str, default: float) -> float:
    """Return the seconds of a Retry-After (RFC 9110 section 10.2.3); a date is passed over."""
    good = retry_after.isascii() and retry_after.isdigit()
    return float(retry_after) if good else default

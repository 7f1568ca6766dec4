"""The synchronous driver of a conversation: it sends, sleeps, and keeps the logins."""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from imagekit.oci.reference import Repository
from imagekit.oci.registry import conversation, protocol
from imagekit.oci.registry.cache import AnswerCache
from imagekit.oci.registry.conversation import (
    Conversation,
    FindCredential,
    Pause,
    ReadBody,
    Send,
    Steps,
)
from imagekit.oci.registry.options import Credential, RegistryOptions
from imagekit.oci.registry.transport import (
    Body,
    ConnectionFaultError,
    Response,
    Transport,
    read_up_to,
)

FindLogin = Callable[[Repository], Credential | None]
MAX_LOGINS = 16 << 20
"""Most bytes of logins that are kept, whatever repositories somebody asks for."""


class Session:
    """Sends requests about repositories, with the login that each needs; safe in several threads.

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
        credentials: FindLogin,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = transport
        self._outside = outside
        self._options = options
        self._credentials = credentials
        self._sleep = sleep
        self._logins: AnswerCache[str] = AnswerCache(most=MAX_LOGINS)

    @property
    def settle_seconds(self) -> float:
        """How long is waited for other writers of a tag."""
        return self._options.settle_seconds

    @property
    def attempts(self) -> int:
        """How often is tried what may succeed another time."""
        return self._options.attempts

    def pause(self, attempt: int, retry_after: str) -> float:
        """Return how many seconds to wait before another try: see ``conversation.pause``."""
        return conversation.pause(attempt, retry_after, options=self._options, jitter=random.random)

    def base(self, repository: Repository) -> str:
        """Return scheme and host of the repository's registry."""
        return conversation.base(repository, self._options)

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
        follow: bool = False,
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
            follow: whether a redirect is followed, without credentials on another host.

        Raises:
            RegistryError: there was no answer.
        """
        talk = self._talk(repository, push=push)
        return self._drive(
            talk.ask(method, url, headers=headers, body=body, expected=expected, follow=follow)
        )

    def send_once(
        self,
        repository: Repository,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Response:
        """Send a part of an upload, and not again where a fault may pass: see ``send``.

        Raises:
            RegistryError: there was no answer.
        """
        talk = self._talk(repository, push=True, attempts=1)
        return self._drive(talk.ask(method, url, headers=headers, body=body))

    def send_mount(self, repository: Repository, url: str, *, source: Repository) -> Response:
        """Ask for a blob of another repository, which has to be read for it: see ``send``.

        Raises:
            RegistryError: there was no answer.
        """
        talk = self._talk(repository, push=True, also_pull=source)
        return self._drive(talk.ask("POST", url))

    def _talk(
        self,
        repository: Repository,
        *,
        push: bool,
        also_pull: Repository | None = None,
        attempts: int | None = None,
    ) -> Conversation:
        return Conversation(
            repository,
            self._options,
            logins=self._logins,
            jitter=random.random,
            push=push,
            also_pull=also_pull,
            attempts=attempts,
        )

    def _drive(self, steps: Steps) -> Response:
        return drive(
            steps,
            send=lambda step: (self._transport if step.own else self._outside).send(step.request),
            credentials=self._credentials,
            sleep=self._sleep,
        )


def drive(
    steps: Steps,
    *,
    send: Callable[[Send], Response],
    credentials: FindLogin = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Response:
    """Do what a conversation says, and return the answer that it ends with.

    Args:
        steps: the conversation.
        send: sends a request.
        credentials: finds the user's login for a repository.
        sleep: waits between two tries.

    Raises:
        RegistryError: there was no answer.
    """
    result: object = None
    with ExitStack() as unread:
        while True:
            try:
                step = steps.send(result)
            except StopIteration as end:
                unread.pop_all()
                answer: Response = end.value
                return answer
            if isinstance(step, ReadBody):
                result = read_up_to(step.answer, step.limit)
            unread.close()
            if isinstance(step, Send):
                result = _sent(step, send, unread)
            elif isinstance(step, FindCredential):
                result = credentials(step.repository)
            elif isinstance(step, Pause):
                sleep(step.seconds)


def _sent(
    step: Send, send: Callable[[Send], Response], unread: ExitStack
) -> Response | ConnectionFaultError:
    if step.request.body is not None:
        step.request.body.rewind()
    try:
        response = send(step)
    except ConnectionFaultError as error:
        return error
    unread.callback(response.close)
    return response


def read_bounded(response: Response, limit: int, *, what: str) -> bytes:
    """Return the whole body.

    Raises:
        RegistryError: it has more than ``limit`` bytes, or ended early (``TOO_LARGE``).
    """
    raw = read_up_to(response, limit + 1)
    protocol.check_size(raw, limit, what=what)
    return raw

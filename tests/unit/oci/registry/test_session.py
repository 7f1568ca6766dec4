"""The synchronous driver: each answer but the last is closed, and bodies are begun again."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import pytest

from imagekit.errors import RegistryError
from imagekit.oci.reference import Repository
from imagekit.oci.registry.bodies import BytesBody
from imagekit.oci.registry.options import Credential, RegistryOptions
from imagekit.oci.registry.session import MAX_LOGINS, Session, read_bounded
from imagekit.oci.registry.transport import ConnectionFaultError, Request
from tests.support.hostile import Answer

_CHALLENGE = Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
_BEARER = Answer(401, {"WWW-Authenticate": 'Bearer realm="https://r.site/token"'})
_AWAY = Answer(307, {"Location": "https://store.site/x"})
_REPOSITORY = Repository("r.site", "a/b")


class _Response:
    """An answer that knows whether it was closed; its body comes a byte at a time."""

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.closed = False
        self.read_bytes = 0
        self._answer = answer

    def header(self, name: str) -> str:
        return self._answer.headers.get(name, "")

    def read(self, amount: int) -> bytes:
        piece = self._answer.body[self.read_bytes :][: min(amount, 1)]
        self.read_bytes += len(piece)
        return piece

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Transport:
    """Gives one answer after the other, and keeps them and what was sent."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self._answers = list(answers)
        self.given: list[_Response] = []
        self.sent: list[bytes] = []

    def send(self, request: Request) -> _Response:
        assert all(response.closed for response in self.given)
        self.sent.append(b"" if request.body is None else request.body.read())
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.given.append(_Response(answer))
        return self.given[-1]


def _session(transport: _Transport, sleep: Callable[[float], None] = lambda _: None) -> Session:
    return Session(
        transport,
        transport,
        options=RegistryOptions(),
        credentials=lambda _: Credential(username="me", password="secret"),
        sleep=sleep,
    )


def test_each_answer_but_the_last_is_closed_before_anything_else_is_done() -> None:
    """A connection serves the next request, and none is held while somebody sleeps."""
    transport = _Transport(Answer(503), _CHALLENGE, _AWAY, Answer(body=b"x"))

    def sleep(_seconds: float) -> None:
        assert [response.closed for response in transport.given] == [True]

    response = _session(transport, sleep).send(_REPOSITORY, "GET", "/v2/", follow=True)

    assert response.read(10) == b"x"
    assert [given.closed for given in transport.given] == [True, True, True, False]


@pytest.mark.parametrize(
    "answers",
    [
        (Answer(401),),
        (Answer(307, {"Location": "file:///"}),),
        (_BEARER, Answer(403)),
        (_BEARER, Answer(body=b"{}")),
        (Answer(503), RegistryError("the certificate is not trusted", code="TLS")),
    ],
    ids=["no challenge", "bad redirect", "no token for us", "no token", "fault that lasts"],
)
def test_every_answer_is_closed_where_there_is_no_good_one(
    answers: tuple[Answer | Exception, ...],
) -> None:
    """Also where a conversation ends in its middle."""
    transport = _Transport(*answers)
    with pytest.raises(RegistryError):
        _session(transport).send(_REPOSITORY, "GET", "/v2/", follow=True)

    assert transport.given
    assert all(response.closed for response in transport.given)


def test_what_is_sent_again_is_sent_from_its_beginning() -> None:
    """After a login, a fault and a busy answer."""
    broken = ConnectionFaultError("it broke", code="CONNECTION")
    transport = _Transport(_CHALLENGE, broken, Answer(503), Answer(201))
    _session(transport).send(_REPOSITORY, "PUT", "/v2/", body=BytesBody(b"whole"), push=True)

    assert transport.sent == [b"whole"] * 4


def test_no_more_is_read_than_is_allowed() -> None:
    """A byte more, so that it is seen to be too much."""
    fits, too_much = _Response(Answer(body=b"1234")), _Response(Answer(body=b"1" * 100))

    assert read_bounded(fits, 4, what="it") == b"1234"
    with pytest.raises(RegistryError, match="it is larger than 4 bytes"):
        read_bounded(too_much, 4, what="it")
    assert too_much.read_bytes == 5


def test_logins_are_bounded() -> None:
    """Whoever asks for repositories without end does not fill the memory."""
    transport = _Transport()
    session = _session(transport)
    most = MAX_LOGINS // 1024
    for number in range(most + 10):
        session._logins.keep(("r.site", f"{number}"), "Basic x", size=7)

    assert session._logins.get(("r.site", "0")) is None
    assert session._logins.get(("r.site", f"{most + 9}")) == "Basic x"

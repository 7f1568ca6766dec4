"""What is said to a registry, step by step, without one: a script answers."""

from collections import Counter
from pathlib import Path

import pytest

from imagekit.errors import RegistryError
from imagekit.oci.reference import Repository
from imagekit.oci.registry.bodies import BytesBody
from imagekit.oci.registry.cache import AnswerCache
from imagekit.oci.registry.conversation import (
    Conversation,
    FindCredential,
    Pause,
    ReadBody,
    Send,
    Steps,
    download,
)
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.transport import ConnectionFaultError, Request
from tests.support.conversations import (
    ATTEMPTS,
    BROKEN,
    DEADLINE,
    PATH,
    SILENT,
    TALKS,
    Course,
    Hosts,
    Talk,
    fault,
    status_of,
)
from tests.support.hostile import Answer, Asked

_HOSTS = Hosts(registry="127.0.0.1:5000", other="127.0.0.1:5001", inner="inner.example.org:5001")
_NAMED = Hosts(registry="registry.example.org:5000", other=_HOSTS.other, inner=_HOSTS.inner)


class _Scripted:
    """An answer of the script, as conversations see it."""

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.body = answer.body
        self._headers = answer.headers

    def header(self, name: str) -> str:
        return self._headers.get(name, "")


class _Driver:
    """Leads a conversation whose other side is the script of a talk."""

    def __init__(self, talk: Talk) -> None:
        self.course = Course()
        self.hosts = _NAMED if talk.named else _HOSTS
        self._login = talk.login
        self._script = talk.script(self.hosts)
        self._seen: Counter[str] = Counter()

    def run(self, steps: Steps) -> None:
        try:
            answer = self._last(steps)
            status_of(answer.status, answer.body)
            self.course.outcome = answer.body.decode()
        except RegistryError as error:
            self.course.outcome = fault(error)

    def _last(self, steps: Steps) -> _Scripted:
        result: object = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as end:
                last: _Scripted = end.value
                return last
            result = self._done(step)

    def _done(self, step: object) -> object:
        if isinstance(step, Send):
            return self._answer(step.request)
        if isinstance(step, ReadBody):
            assert isinstance(step.answer, _Scripted)
            return step.answer.body[: step.limit]
        if isinstance(step, FindCredential):
            return self._login
        assert isinstance(step, Pause)
        self.course.pauses.append(step.seconds)
        return None

    def _answer(self, request: Request) -> object:
        _scheme, _, rest = request.url.partition("://")
        host, _, path = rest.partition("/")
        if request.outside and host == self.hosts.inner:
            raise RegistryError("it is an address of this machine", code="FOREIGN_REDIRECT")
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(request.method, f"/{path}", {"host": host, **headers})
        self.course.note(self.hosts, asked)
        found = self._script(asked, self._seen[asked.path])
        self._seen[asked.path] += 1
        if found in (BROKEN, SILENT):
            code = "TIMEOUT" if found == SILENT else "CONNECTION"
            return ConnectionFaultError("no answer", code=code)
        return _Scripted(found)


def _conversation(driver: _Driver, talk: Talk) -> Conversation:
    options = RegistryOptions(
        attempts=ATTEMPTS,
        deadline_seconds=DEADLINE,
        plain_http=talk.named,
        ca_file=Path("ca.pem") if talk.tls else None,
    )
    repository = Repository(driver.hosts.registry, "a/b")
    return Conversation(repository, options, logins=AnswerCache(), jitter=lambda: 0.5)


@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)
def test_a_conversation_with_a_script(talk: Talk) -> None:
    """What is asked of whom, how long is waited, and what comes of it."""
    driver = _Driver(talk)
    driver.run(_conversation(driver, talk).ask("GET", PATH, follow=True))

    driver.course.check(talk)


def _sent(steps: Steps) -> Request:
    step = next(steps)
    assert isinstance(step, Send)
    return step.request


def _talk(
    options: RegistryOptions | None = None, logins: AnswerCache[str] | None = None
) -> Conversation:
    return Conversation(
        Repository("r.site", "a/b"),
        options or RegistryOptions(),
        logins=logins or AnswerCache(),
        jitter=lambda: 0.0,
    )


def test_a_redirect_is_an_answer_where_nobody_follows_it() -> None:
    """As of a blob that is uploaded, or whose place a client is told."""
    driver = _Driver(TALKS["redirect"])
    steps = _conversation(driver, TALKS["redirect"]).ask("GET", PATH)
    driver.run(steps)

    assert driver.course.outcome == "RegistryError REGISTRY_ERROR"
    assert driver.course.asked == ["registry"]


def test_what_is_large_is_given_more_time() -> None:
    """64 KiB a second, whether it is sent or expected."""
    options = RegistryOptions(deadline_seconds=10)
    expected = _talk(options).ask("GET", "/v2/", expected=1 << 20)
    sent = _talk(options).ask("PUT", "/v2/", body=BytesBody(bytes(1 << 20)))

    assert [_sent(steps).deadline for steps in (expected, sent)] == [26, 26]


def test_a_login_that_is_known_is_shown_at_once_and_only_where_it_belongs() -> None:
    """The registry is its scheme, host and port; logins are told apart by their scope."""
    logins: AnswerCache[str] = AnswerCache()
    logins.keep(("r.site", "repository:a/b:pull"), "Bearer t1", size=9)

    own = _sent(_talk(logins=logins).ask("GET", "/v2/"))
    places = ("https://r.site:444/v2/", "http://r.site/v2/", "https://s.site/v2/")
    others = [_sent(_talk(logins=logins).ask("GET", place)) for place in places]
    pushing = Conversation(
        Repository("r.site", "a/b"), RegistryOptions(), logins=logins, jitter=float, push=True
    )

    assert own.headers["Authorization"] == "Bearer t1"
    assert [dict(other.headers) for other in others] == [{}, {}, {}]
    assert [other.outside for other in others] == [False, False, True]
    assert dict(_sent(pushing.ask("GET", "/v2/")).headers) == {}


@pytest.mark.parametrize(("push", "rights"), [(False, "pull"), (True, "pull%2Cpush")])
def test_a_token_is_asked_for_by_what_is_done(*, push: bool, rights: str) -> None:
    """And never by what the registry would have asked for."""
    talk = Conversation(
        Repository("r.site", "a/b"),
        RegistryOptions(),
        logins=AnswerCache(),
        jitter=float,
        push=push,
    )
    steps = talk.ask("GET", "/v2/")
    next(steps)
    challenge = 'Bearer realm="https://r.site/t",scope="repository:a/b:pull,push,delete"'
    steps.send(_Scripted(Answer(401, {"WWW-Authenticate": challenge})))
    step = steps.send(None)

    assert isinstance(step, Send)
    assert step.request.url == f"https://r.site/t?scope=repository%3Aa%2Fb%3A{rights}"
    assert not step.own


def test_a_registry_of_this_machine_may_lead_to_another() -> None:
    """Whoever names one by localhost may be led to 127.0.0.1."""
    talk = Conversation(
        Repository("localhost:5000", "a/b"), RegistryOptions(), logins=AnswerCache(), jitter=float
    )
    steps = talk.ask("GET", "/v2/", follow=True)
    next(steps)
    step = steps.send(_Scripted(Answer(307, {"Location": "http://127.0.0.1:5001/x"})))

    assert isinstance(step, Send)
    assert (step.request.url, step.request.outside) == ("http://127.0.0.1:5001/x", False)


def test_a_range_is_asked_for_where_a_redirect_leads() -> None:
    """Headers go on, but the login."""
    steps = _talk().ask("GET", "/v2/", headers={"Range": "bytes=5-"}, follow=True)
    next(steps)
    step = steps.send(_Scripted(Answer(307, {"Location": "https://s.site/x"})))

    assert isinstance(step, Send)
    assert dict(step.request.headers) == {"Range": "bytes=5-"}
    assert not step.own


def test_a_public_file_may_lie_where_there_is_no_tls() -> None:
    """Its digest is known and it is no secret: mirrors are chosen so."""
    steps = download("https://r.site/x", {}, RegistryOptions(), jitter=float)
    next(steps)
    step = steps.send(_Scripted(Answer(301, {"Location": "http://mirror.site/x"})))

    assert isinstance(step, Send)
    assert (step.request.url, step.request.outside) == ("http://mirror.site/x", True)
    assert not step.own


@pytest.mark.parametrize("place", ["http://127.0.0.1/x", "https://[fe80::1]/x", "ftp://r.site/x"])
def test_a_public_file_does_not_lie_on_this_machine(place: str) -> None:
    """A server on the network has no say over what is asked here."""
    steps = download("https://r.site/x", {}, RegistryOptions(), jitter=float)
    next(steps)
    with pytest.raises(RegistryError, match="must not go"):
        steps.send(_Scripted(Answer(301, {"Location": place})))

"""Conversations with registries, each with what comes of it: whatever transport leads them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from imagekit.errors import RegistryError
from imagekit.oci.digest import Digest
from imagekit.oci.registry import protocol
from imagekit.oci.registry.options import Credential
from imagekit.oci.types import LAYER, Descriptor
from tests.support.hostile import Answer, Asked

CONTENT = b"content"
BLOB = Descriptor(media_type=LAYER, digest=Digest.of(CONTENT), size=len(CONTENT))
PATH = f"/v2/a/b/blobs/{BLOB.digest}"
GOOD = Answer(body=CONTENT)
BROKEN = Answer(status=0)
"""No answer: the connection ends."""
SILENT = Answer(status=-1)
"""No answer, for longer than is waited for one."""
ATTEMPTS = 3
DEADLINE = 5.0
_LOGIN = Credential(username="admin", password="secret")
_JITTERED = ((0.1, 0.3), (0.4, 1.2), (1.6, 4.8))
"""How long is waited before each further try, where the registry does not say."""


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """Who takes part."""

    registry: str
    other: str
    """Another server, which the registry may lead to."""
    inner: str
    """A name for the same one, that leads to this machine."""


Script = Callable[[Hosts], Callable[[Asked, int], Answer]]
"""Answers the requests, to whomever they go; also told how many came before on the same path."""


@dataclass(frozen=True, kw_only=True)
class Talk:
    """A conversation about one blob."""

    script: Script
    outcome: str
    """The content, or the name and the code of the error."""
    asked: tuple[str, ...]
    """The requests: who is asked, for what if not for the blob, and by which login."""
    login: Credential | None = _LOGIN
    pauses: tuple[tuple[float, float], ...] = ()
    """The least and the most of each time that was waited."""
    named: bool = False
    """Whether the registry has a name, and no address of this machine."""
    tls: bool = False


@dataclass
class Course:
    """How one went."""

    outcome: str = ""
    asked: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def note(self, hosts: Hosts, asked: Asked) -> None:
        """Keep a request."""
        names = {hosts.registry: "registry", hosts.other: "other", hosts.inner: "inner"}
        path = urlsplit(asked.path).path
        words = [names[asked.headers["host"]]]
        words += [asked.method] if asked.method != "GET" else []
        words += [path] if path != PATH else []
        words += asked.headers.get("authorization", "").split(" ")[:1]
        self.asked.append(" ".join(filter(None, words)))

    def check(self, talk: Talk) -> None:
        """Compare with what was to come of it."""
        assert self.outcome == talk.outcome
        assert tuple(self.asked) == talk.asked
        assert len(self.pauses) == len(talk.pauses)
        for pause, (least, most) in zip(self.pauses, talk.pauses, strict=True):
            assert least <= pause <= most


def fault(error: RegistryError) -> str:
    """Return an error as a table names it."""
    return f"{type(error).__name__} {error.code}"


def status_of(status: int, raw: bytes) -> None:
    """Raise for another answer than the blob, as whoever asked for it does."""
    if status != 200:
        raise protocol.refusal(status, raw, what="the blob")


def _same(*answers: Answer) -> Script:
    """Answer so, one after the other and then on and on, whoever asks for what."""
    return lambda _: lambda _asked, seen: answers[min(seen, len(answers) - 1)]


def _redirect(location: str, status: int = 307) -> Answer:
    return Answer(status, {"Location": location})


def _wants(header: str) -> Answer:
    return Answer(401, {"WWW-Authenticate": header})


def _basic(then: Answer = GOOD) -> Script:
    """Want a name and a password, and answer then."""

    def answer(asked: Asked, _seen: int) -> Answer:
        good = asked.headers.get("authorization") == protocol.basic(_LOGIN)
        return then if good else _wants('Basic realm="x"')

    return lambda _: answer


def _bearer(*tokens: Answer) -> Script:
    """Want a token of the registry's own host; its server answers one after the other."""

    def script(hosts: Hosts) -> Callable[[Asked, int], Answer]:
        def answer(asked: Asked, seen: int) -> Answer:
            if asked.path.startswith("/token"):
                return tokens[min(seen, len(tokens) - 1)]
            if asked.headers.get("authorization") == "Bearer t1":
                return GOOD
            return _wants(f'Bearer realm="http://{hosts.registry}/token",service="s,x"')

        return answer

    return script


def _by_path(answers: Callable[[Hosts], Mapping[str, Answer]]) -> Script:
    """Answer by path; the blob where there is no other word."""

    def script(hosts: Hosts) -> Callable[[Asked, int], Answer]:
        given = answers(hosts)
        return lambda asked, _seen: given.get(asked.path, GOOD)

    return script


def _chain(length: int) -> Script:
    """Lead on so often, always on the registry itself, and answer then."""

    def answer(asked: Asked, _seen: int) -> Answer:
        at = int(asked.path[1:]) if asked.path[1:].isdigit() else 0
        return _redirect(f"/{at + 1}") if at < length else GOOD

    return lambda _: answer


def _there_and_back(hosts: Hosts) -> Callable[[Asked, int], Answer]:
    """Want a login, lead to another host, which leads back."""

    def answer(asked: Asked, seen: int) -> Answer:
        if asked.headers["host"] == hosts.other:
            return _redirect(f"http://{hosts.registry}/back")
        if asked.path == "/back":
            return GOOD
        at_other = _redirect(f"http://{hosts.other}/on")
        return _basic(at_other)(hosts)(asked, seen)

    return answer


def _token(text: str, name: str = "token") -> Answer:
    return Answer(body=json.dumps({name: text}).encode())


_REFUSED = "AuthError UNAUTHORIZED"
_REALM = "AuthError UNTRUSTED_REALM"
_AWAY = "RegistryError FOREIGN_REDIRECT"
_TOKEN_ASKED = ("registry", "registry /token Basic")

TALKS: dict[str, Talk] = {
    "ordinary": Talk(script=_same(GOOD), outcome="content", asked=("registry",)),
    "not there": Talk(
        script=_same(Answer(404)), outcome="NotFoundError NOT_FOUND", asked=("registry",)
    ),
    # Logins.
    "basic": Talk(script=_basic(), outcome="content", asked=("registry", "registry Basic")),
    "bearer": Talk(
        script=_bearer(_token("t1")), outcome="content", asked=(*_TOKEN_ASKED, "registry Bearer")
    ),
    "bearer by its other name": Talk(
        script=_bearer(_token("t1", "access_token")),
        outcome="content",
        asked=(*_TOKEN_ASKED, "registry Bearer"),
    ),
    "bearer for anybody": Talk(
        script=_bearer(_token("t1")),
        outcome="content",
        asked=("registry", "registry /token", "registry Bearer"),
        login=None,
    ),
    "identity token": Talk(
        script=_bearer(_token("t1")),
        outcome="content",
        asked=("registry", "registry POST /token", "registry Bearer"),
        login=Credential(identity_token="refresh"),
    ),
    "bearer before basic": Talk(
        script=_by_path(lambda _: {PATH: _wants('Basic realm="x", Bearer realm="nowhere"')}),
        outcome=_REALM,
        asked=("registry",),
    ),
    "unknown kind of login": Talk(
        script=_same(_wants("Negotiate")), outcome="AuthError BAD_ANSWER", asked=("registry",)
    ),
    "endless challenge": Talk(
        script=_same(_wants("Basic " + "x" * 9000)),
        outcome="AuthError BAD_ANSWER",
        asked=("registry",),
    ),
    "401 without a challenge": Talk(
        script=_same(Answer(401)), outcome="AuthError BAD_ANSWER", asked=("registry",)
    ),
    "basic without a login": Talk(
        script=_basic(), outcome=_REFUSED, asked=("registry",), login=None
    ),
    "basic with an identity token": Talk(
        script=_basic(),
        outcome=_REFUSED,
        asked=("registry",),
        login=Credential(identity_token="refresh"),
    ),
    "401 twice": Talk(
        script=_same(_wants('Basic realm="x"')),
        outcome=_REFUSED,
        asked=("registry", "registry Basic"),
    ),
    "foreign realm with TLS": Talk(
        script=_same(_wants('Bearer realm="https://token.example.org/"')),
        outcome=_REALM,
        asked=("registry",),
    ),
    "foreign realm without TLS": Talk(
        script=_same(_wants('Bearer realm="http://token.example.org/"')),
        outcome=_REALM,
        asked=("registry",),
        login=None,
    ),
    "realm at an address of the link": Talk(
        script=_same(_wants('Bearer realm="https://169.254.169.254/"')),
        outcome=_REALM,
        asked=("registry",),
        login=None,
    ),
    "realm with a name and a password": Talk(
        script=_same(_wants('Bearer realm="http://a:b@127.0.0.1/"')),
        outcome=_REALM,
        asked=("registry",),
    ),
    "token too large": Talk(
        script=_bearer(Answer(body=b" " * (protocol.MAX_TOKEN + 1))),
        outcome="RegistryError TOO_LARGE",
        asked=_TOKEN_ASKED,
    ),
    "token server refuses": Talk(
        script=_bearer(Answer(403, body=b"x" * (2 << 20))), outcome=_REFUSED, asked=_TOKEN_ASKED
    ),
    "token server leads elsewhere": Talk(
        script=_bearer(_redirect("/token2")), outcome=_REFUSED, asked=_TOKEN_ASKED
    ),
    "no token": Talk(
        script=_bearer(Answer(body=b"{}")), outcome="AuthError BAD_ANSWER", asked=_TOKEN_ASKED
    ),
    "token with a header in it": Talk(
        script=_bearer(_token("t1\r\nX: y")), outcome="AuthError BAD_ANSWER", asked=_TOKEN_ASKED
    ),
    "token server busy once": Talk(
        script=_bearer(Answer(503), _token("t1")),
        outcome="content",
        asked=(*_TOKEN_ASKED, "registry /token Basic", "registry Bearer"),
        pauses=_JITTERED[:1],
    ),
    # Redirects.
    "redirect": Talk(
        script=_by_path(lambda hosts: {PATH: _redirect(f"http://{hosts.other}/x")}),
        outcome="content",
        asked=("registry", "other /x"),
    ),
    "redirect after a login": Talk(
        script=_there_and_back,
        outcome="content",
        asked=("registry", "registry Basic", "other /on", "registry /back Basic"),
    ),
    "a login that is wanted anew at each place": Talk(
        script=lambda _: (
            lambda asked, seen: _redirect(f"{asked.path}/on") if seen else _wants('Basic realm="x"')
        ),
        outcome=_REFUSED,
        asked=("registry", "registry Basic", f"registry {PATH}/on Basic"),
    ),
    "another host wants a login": Talk(
        script=_by_path(
            lambda hosts: {
                PATH: _redirect(f"http://{hosts.other}/x"),
                "/x": _wants('Basic realm="x"'),
            }
        ),
        outcome=_REFUSED,
        asked=("registry", "other /x"),
    ),
    "five redirects": Talk(
        script=_chain(5),
        outcome="content",
        asked=("registry", *(f"registry /{number}" for number in range(1, 6))),
    ),
    "six redirects": Talk(
        script=_chain(6),
        outcome=_AWAY,
        asked=("registry", *(f"registry /{number}" for number in range(1, 6))),
    ),
    "redirects that go round": Talk(
        script=_same(_redirect(PATH, 302)), outcome=_AWAY, asked=("registry",) * 6
    ),
    **{
        f"redirect to {place}": Talk(
            script=_same(_redirect(place)), outcome=_AWAY, asked=("registry",)
        )
        for place in (
            "http://169.254.169.254/latest/meta-data",
            "http://[fe80::1]/x",
            "http://0.0.0.0/x",
            "http://2130706433/x",
            "file:///etc/passwd",
            "http://user@example.org/x",
            "gopher://example.org/",
        )
    },
    # RFC 9110 section 10.2.2 has no word on it: an empty reference is that of the blob itself.
    "redirect to nowhere": Talk(
        script=_same(_redirect("")), outcome=_AWAY, asked=("registry",) * 6
    ),
    "redirect of a named registry to this machine": Talk(
        script=_by_path(lambda hosts: {PATH: _redirect(f"http://{hosts.other}/x")}),
        outcome=_AWAY,
        asked=("registry",),
        named=True,
    ),
    "redirect to a name of this machine": Talk(
        script=_by_path(lambda hosts: {PATH: _redirect(f"http://{hosts.inner}/x")}),
        outcome=_AWAY,
        asked=("registry",),
        named=True,
    ),
    "with TLS": Talk(
        script=_basic(), outcome="content", asked=("registry", "registry Basic"), tls=True
    ),
    "redirect away from TLS": Talk(
        script=_by_path(lambda hosts: {PATH: _redirect(f"http://{hosts.other}/x")}),
        outcome=_AWAY,
        asked=("registry",),
        tls=True,
    ),
    # Faults.
    "busy once": Talk(
        script=_same(Answer(503), GOOD),
        outcome="content",
        asked=("registry",) * 2,
        pauses=_JITTERED[:1],
    ),
    "busy without end": Talk(
        script=_same(Answer(502)),
        outcome="RegistryError REGISTRY_ERROR",
        asked=("registry",) * ATTEMPTS,
        pauses=_JITTERED[: ATTEMPTS - 1],
    ),
    "busy after a redirect": Talk(
        script=lambda hosts: (
            lambda asked, seen: (
                _redirect(f"http://{hosts.other}/x")
                if asked.path == PATH
                else (Answer(500), GOOD)[min(seen, 1)]
            )
        ),
        outcome="content",
        asked=("registry", "other /x", "other /x"),
        pauses=_JITTERED[:1],
    ),
    "a fault of its own": Talk(
        script=_same(Answer(501)), outcome="RegistryError REGISTRY_ERROR", asked=("registry",)
    ),
    **{
        f"Retry-After {value[:40]}": Talk(
            script=_same(Answer(429, {"Retry-After": value}), GOOD),
            outcome="content",
            asked=("registry",) * 2,
            pauses=(pause,),
        )
        for value, pause in {
            "0": (0.0, 0.0),
            "2": (2.0, 2.0),
            "999999": (DEADLINE, DEADLINE),
            "9" * 400: (DEADLINE, DEADLINE),
            "-1": _JITTERED[0],
            "1e9": _JITTERED[0],
            "Wed, 21 Oct 2015 07:28:00 GMT": _JITTERED[0],
        }.items()
    },
    "broken once": Talk(
        script=_same(BROKEN, GOOD),
        outcome="content",
        asked=("registry",) * 2,
        pauses=_JITTERED[:1],
    ),
    "broken without end": Talk(
        script=_same(BROKEN),
        outcome="ConnectionFaultError CONNECTION",
        asked=("registry",) * ATTEMPTS,
        pauses=_JITTERED[: ATTEMPTS - 1],
    ),
    "silent": Talk(
        script=_same(SILENT), outcome="ConnectionFaultError TIMEOUT", asked=("registry",)
    ),
}

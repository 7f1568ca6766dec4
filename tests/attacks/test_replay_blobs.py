"""The replayed image: what can be done to a blob, and to how its bytes come."""

import pytest

from tests.support.hostile import Answer, Asked, HostileRegistry
from tests.support.misbehaviours import (
    ALLOWED,
    CHUNKED,
    DENIED,
    NO_VERDICT,
    OK,
    PIECE,
    Change,
    at,
    bundle,
    declaring,
    error,
    raw,
    redirect,
    repeated,
)
from tests.support.replay import Lie, Stage, hold

pytestmark = pytest.mark.real


def chunked(*pieces: bytes) -> Change:
    """Send the body in chunks, with these bytes behind it."""

    def change(answer: Answer) -> Answer:
        size = b"%x\r\n" % len(answer.body)
        return raw(CHUNKED, size, answer.body, b"\r\n", *pieces)

    return change


def smuggling(answer: Answer) -> Answer:
    """Another answer behind the body, for the next request on the connection."""
    evil = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    head = OK + b"Content-Length: %d\r\n\r\n" % len(answer.body)
    return raw(head + answer.body + evil)


def two_lengths(answer: Answer) -> Answer:
    """A length and chunks at once (RFC 9112 section 6.3)."""
    size = b"%x\r\n" % len(answer.body)
    head = CHUNKED.removesuffix(b"\r\n") + b"Content-Length: 3\r\n\r\n"
    return raw(head, size, answer.body, b"\r\n0\r\n\r\n")


_SENT: dict[str, tuple[Change | Answer, int, str]] = {
    "in-chunks": (chunked(b"0\r\n\r\n"), ALLOWED, ""),
    "chunks-and-length": (two_lengths, ALLOWED, ""),
    "another-answer-behind": (smuggling, ALLOWED, ""),
    "chunks-without-end": (chunked(), NO_VERDICT, "CONNECTION"),
    "chunk-of-all-memory": (
        raw(CHUNKED, b"FFFFFFFFFFFFFFFF\r\n", b"x" * 100),
        NO_VERDICT,
        "CONNECTION",
    ),
    "chunk-of-less-than-nothing": (raw(CHUNKED, b"-5\r\n", b"x" * 100), NO_VERDICT, "CONNECTION"),
    "chunk-with-endless-extension": (
        repeated(CHUNKED + b"5;", PIECE, 1000),
        NO_VERDICT,
        "CONNECTION",
    ),
    "endless-trailers": (
        lambda answer: repeated(
            CHUNKED + b"%x\r\n" % len(answer.body) + answer.body + b"\r\n0\r\n",
            b"X: y\r\n",
            1 << 22,
        ),
        NO_VERDICT,
        "TIMEOUT",
    ),
    "length-of-nonsense": (declaring("nonsense"), NO_VERDICT, "TIMEOUT"),
    "length-below-zero": (declaring("-1"), NO_VERDICT, "TIMEOUT"),
    "length-of-digits": (declaring("9" * 5000), NO_VERDICT, "TIMEOUT"),
    "old-http": (lambda answer: raw(b"HTTP/1.0 200 OK\r\n\r\n", answer.body), ALLOWED, ""),
    "very-old-http": (lambda answer: raw(answer.body), NO_VERDICT, "CONNECTION"),
    "new-http": (raw(b"HTTP/3.7 200 OK\r\n\r\n"), NO_VERDICT, "CONNECTION"),
    "status-of-text": (raw(b"HTTP/1.1 fine OK\r\n\r\n"), NO_VERDICT, "CONNECTION"),
    "reason-with-escapes": (
        lambda answer: raw(b"HTTP/1.1 200 \x1b[2J\r\n\r\n", answer.body),
        ALLOWED,
        "",
    ),
    "not-found": (error(404), DENIED, "signature: WRONG_PREDICATE_TYPE"),
    "redirect-to-port-of-nobody": (redirect("http://127.0.0.1:9/x"), NO_VERDICT, "CONNECTION"),
    "redirect-to-port-70000": (redirect("http://127.0.0.1:70000/x"), NO_VERDICT, "BAD_ANSWER"),
    "redirect-with-password": (redirect("http://u:p@127.0.0.2/x"), NO_VERDICT, "FOREIGN_REDIRECT"),
    "redirect-by-gopher": (redirect("gopher://127.0.0.1/x"), NO_VERDICT, "FOREIGN_REDIRECT"),
    "redirect-to-link-local-6": (redirect("http://[fe80::1]/"), NO_VERDICT, "FOREIGN_REDIRECT"),
    "redirect-to-mapped-metadata": (
        redirect("http://[::ffff:169.254.169.254]/"),
        NO_VERDICT,
        "FOREIGN_REDIRECT",
    ),
    "redirect-to-any": (redirect("http://0.0.0.0:1/"), NO_VERDICT, "FOREIGN_REDIRECT"),
}


@pytest.mark.parametrize(
    ("lie", "exit_code", "code"),
    [pytest.param(at(bundle, change), *rest, id=name) for name, (change, *rest) in _SENT.items()],
)
def test_signature(stage: Stage, lie: Lie, exit_code: int, code: str) -> None:
    """What can be done to a blob alone, and to how its bytes come."""
    hold(stage, lie, exit_code, code)


def test_redirect_of_a_blob_to_an_honest_server(stage: Stage) -> None:
    """Blobs may lie elsewhere: the digest decides, and the other server gets no login."""

    def elsewhere(asked: Asked) -> Answer:
        return stage.honest[asked.path]

    with HostileRegistry(elsewhere) as other:
        target = f"http://{other.host}{stage.bundle}"
        hold(stage, at(bundle, redirect(target)), ALLOWED, "")

    assert [asked.path for asked in other.asked] == [stage.bundle]


def test_redirects_that_go_round(stage: Stage) -> None:
    """One redirect after the other ends after some."""

    def lie(stage: Stage, asked: Asked, seen: int) -> Answer | None:
        path, _, number = asked.path.partition("?")
        return redirect(f"{path}?{int(number or 0) + 1}") if path == stage.bundle else None

    hold(stage, lie, NO_VERDICT, "FOREIGN_REDIRECT")

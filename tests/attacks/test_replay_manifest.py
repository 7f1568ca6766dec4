"""The replayed image: what can be done to its manifest alone, and to the login before it."""

import hashlib

import pytest
from msgspec.structs import replace

from imagekit.oci.types import INDEX, MANIFEST
from tests.support.hostile import Answer, Asked
from tests.support.misbehaviours import (
    ALLOWED,
    DENIED,
    ESCAPES,
    MEGABYTE,
    NO_VERDICT,
    OK,
    Change,
    at,
    body,
    document,
    dripping,
    endless,
    entry_of,
    error,
    headers,
    login,
    manifest,
    many,
    raw,
    redirect,
    text,
)
from tests.support.replay import Lie, Stage, hold

pytestmark = pytest.mark.real


def doubled_header(answer: Answer) -> Answer:
    """Two digests, one of them right."""
    lines = [OK, *(f"{k}: {v}\r\n".encode() for k, v in answer.headers.items())]
    lines += [b"Docker-Content-Digest: sha256:%b\r\n" % (b"0" * 64)]
    return raw(*lines, b"Content-Length: %d\r\n\r\n" % len(answer.body), answer.body)


def sha512(answer: Answer) -> Answer:
    """The right digest by another algorithm."""
    digest = f"sha512:{hashlib.sha512(answer.body).hexdigest()}"
    return headers(Docker_Content_Digest=digest)(answer)


_MANIFEST: dict[str, tuple[Change | Answer, int, str]] = {
    "also-an-index": (document(manifests=[]), DENIED, "image: BAD_DOCUMENT"),
    "also-schema-1": (document(fsLayers=[]), DENIED, "image: BAD_DOCUMENT"),
    "called-an-index": (headers(Content_Type=INDEX), DENIED, "image: BAD_MEDIA_TYPE"),
    "called-schema-1": (
        headers(Content_Type="application/vnd.docker.distribution.manifest.v1+prettyjws"),
        DENIED,
        "image: BAD_MEDIA_TYPE",
    ),
    "called-escapes": (document(mediaType=ESCAPES), DENIED, "image: BAD_MEDIA_TYPE"),
    "untyped": (headers(Content_Type=""), DENIED, "image: BAD_MEDIA_TYPE"),
    "typed-with-parameter": (headers(Content_Type=f"{MANIFEST}; charset=utf-8"), ALLOWED, ""),
    "typed-in-capitals": (headers(Content_Type=f" {MANIFEST.upper()} ;x=1"), ALLOWED, ""),
    "schema-3": (document(schemaVersion=3), DENIED, "image: BAD_DOCUMENT"),
    "schema-2.0": (
        text('"schemaVersion": 2', '"schemaVersion": 2.0'),
        DENIED,
        "image: BAD_DOCUMENT",
    ),
    "key-in-another-case": (
        text('"config":', '"Config": {}, "config":'),
        DENIED,
        "image: AMBIGUOUS_JSON",
    ),
    "key-twice": (text('"layers":', '"layers": [], "layers":'), DENIED, "image: AMBIGUOUS_JSON"),
    "half-a-surrogate": (
        text('"config":', '"x": "\\ud800", "config":'),
        DENIED,
        "image: BAD_DOCUMENT",
    ),
    "not-a-number": (text('"config":', '"x": NaN, "config":'), DENIED, "image: BAD_DOCUMENT"),
    "too-large-number": (text('"config":', '"x": 1e999, "config":'), DENIED, "image: BAD_DOCUMENT"),
    "million-digits": (
        text('"config":', f'"x": {"1" * 1_000_000}, "config":'),
        DENIED,
        "image: BAD_DOCUMENT",
    ),
    "deep": (body(lambda _: b"[" * 1_000_000), DENIED, "image: CONTENT_DIGEST_MISMATCH"),
    "deep-and-undigested": (
        Answer(200, {"Content-Type": MANIFEST}, b'{"a":' * 700_000),
        DENIED,
        "image: BAD_DOCUMENT",
    ),
    "byte-order-mark": (text("{", "\ufeff{"), DENIED, "image: BAD_DOCUMENT"),
    "utf-16": (
        Answer(200, {"Content-Type": MANIFEST}, "{}".encode("utf-16")),
        DENIED,
        "image: BAD_DOCUMENT",
    ),
    "layers-elsewhere": (
        text('"layers": [{', '"layers": [{"urls": ["http://169.254.169.254/"], '),
        DENIED,
        "image: BAD_DOCUMENT",
    ),
    "layer-of-no-size": (text('"size":', '"size": -1, "sixe":'), DENIED, "image: BAD_DOCUMENT"),
    "layer-of-bad-digest": (
        text('"layers": [{', '"layers": [{"digest": "sha256:../../x"}, {'),
        DENIED,
        "image: BAD_DOCUMENT",
    ),
    "ten-thousand-layers": (
        lambda answer: document(layers=many(entry_of(answer, "layers"), 10_000))(answer),
        DENIED,
        "image: BAD_DOCUMENT",
    ),
    "five-megabytes": (body(lambda old: old + b" " * (5 * MEGABYTE)), NO_VERDICT, "TOO_LARGE"),
    "annotated": (document(annotations={"x": ESCAPES}), DENIED, "signature: NO_SIGNATURE"),
    "other-digest-said": (
        headers(Docker_Content_Digest=f"sha256:{'0' * 64}"),
        DENIED,
        "image: CONTENT_DIGEST_MISMATCH",
    ),
    "no-digest-said": (
        lambda answer: Answer(200, {"Content-Type": MANIFEST}, answer.body),
        ALLOWED,
        "",
    ),
    "digest-is-a-path": (
        headers(Docker_Content_Digest="sha256:../../x"),
        DENIED,
        "image: CONTENT_DIGEST_MISMATCH",
    ),
    "digest-of-sha512": (sha512, ALLOWED, ""),
    "digest-said-twice": (doubled_header, DENIED, "image: CONTENT_DIGEST_MISMATCH"),
    "not-found": (error(404), NO_VERDICT, "NOT_FOUND"),
    "teapot": (error(418), NO_VERDICT, "REGISTRY_ERROR"),
    "status-999": (Answer(999), NO_VERDICT, "REGISTRY_ERROR"),
    "not-modified": (Answer(304), NO_VERDICT, "REGISTRY_ERROR"),
    "early-hints": (Answer(103), NO_VERDICT, "REGISTRY_ERROR"),
    "come-back-in-a-year": (error(503, Retry_After="31536000"), NO_VERDICT, "REGISTRY_ERROR"),
    "come-back-never": (error(503, Retry_After="9" * 5000), NO_VERDICT, "REGISTRY_ERROR"),
    "come-back-yesterday": (error(429, Retry_After="-1"), NO_VERDICT, "REGISTRY_ERROR"),
    "error-of-a-gigabyte": (
        lambda answer: replace(endless(answer), status=500),
        NO_VERDICT,
        "REGISTRY_ERROR",
    ),
    "error-that-drips": (
        lambda answer: replace(dripping(answer), status=404),
        NO_VERDICT,
        "TIMEOUT",
    ),
    "error-of-odd-shape": (Answer(400, body=b'{"errors":[[]]}'), NO_VERDICT, "REGISTRY_ERROR"),
    "login-by-metadata": (login("http://169.254.169.254/token"), NO_VERDICT, "UNTRUSTED_REALM"),
    "login-elsewhere": (login("http://evil.example.org/token"), NO_VERDICT, "UNTRUSTED_REALM"),
    "login-by-file": (login("file:///etc/shadow"), NO_VERDICT, "UNTRUSTED_REALM"),
    "login-nowhere": (login(""), NO_VERDICT, "UNTRUSTED_REALM"),
    "login-at-no-url": (login("https://[::1"), NO_VERDICT, "BAD_ANSWER"),
    "login-by-escapes": (login("https://x/\x1b[2J"), NO_VERDICT, "UNTRUSTED_REALM"),
    "login-beyond-ascii": (login("https://caf\xe9.example.org/"), NO_VERDICT, "UNTRUSTED_REALM"),
    "login-by-nothing": (error(401), NO_VERDICT, "BAD_ANSWER"),
    "login-by-another-way": (error(401, WWW_Authenticate="Negotiate"), NO_VERDICT, "BAD_ANSWER"),
    "login-by-password": (
        error(401, WWW_Authenticate='Basic realm="x"'),
        NO_VERDICT,
        "UNAUTHORIZED",
    ),
    "login-by-long-header": (
        error(401, WWW_Authenticate="Bearer " + 'a="' * 20_000),
        NO_VERDICT,
        "BAD_ANSWER",
    ),
}


@pytest.mark.parametrize(
    ("lie", "exit_code", "code"),
    [
        pytest.param(at(manifest, change), *rest, id=name)
        for name, (change, *rest) in _MANIFEST.items()
    ],
)
def test_manifest(stage: Stage, lie: Lie, exit_code: int, code: str) -> None:
    """What can be done to the manifest alone, and to the login before it."""
    hold(stage, lie, exit_code, code)


@pytest.mark.parametrize(
    ("token", "code"),
    [
        pytest.param(Answer(body=b'{"token":"t"}'), "UNAUTHORIZED", id="good for nothing"),
        pytest.param(Answer(body=b"{}"), "BAD_ANSWER", id="none"),
        pytest.param(Answer(body=b"[" * 100_000), "BAD_ANSWER", id="no JSON"),
        pytest.param(Answer(body=b'{"token":"a\\r\\nX: y"}'), "BAD_ANSWER", id="two lines"),
        pytest.param(Answer(body=b'{"token":"\\u001b[2J"}'), "BAD_ANSWER", id="escapes"),
        pytest.param(Answer(body=b'{"token":1}'), "BAD_ANSWER", id="a number"),
        pytest.param(Answer(body=b'{"token":"a","Token":"b"}'), "BAD_ANSWER", id="two"),
        pytest.param(error(403), "UNAUTHORIZED", id="refused"),
        pytest.param(redirect("http://169.254.169.254/"), "UNAUTHORIZED", id="redirected"),
        pytest.param(endless(Answer()), "TOO_LARGE", id="endless"),
        pytest.param(dripping(Answer()), "TIMEOUT", id="dripping"),
        pytest.param(raw(), "CONNECTION", id="hung up"),
    ],
)
def test_token_server(stage: Stage, token: Answer, code: str) -> None:
    """The registry's own token server is no more honest than the registry."""

    def lie(stage: Stage, asked: Asked, seen: int) -> Answer | None:
        if asked.path.startswith("/token"):
            return token
        return login(f"http://{stage.server.host}/token")

    hold(stage, lie, NO_VERDICT, code)


def test_tag_that_moves_between_requests(stage: Stage) -> None:
    """By digest beside a tag that answers otherwise each time: the digest is judged."""
    reference = stage.world.reference.pin(stage.world.image.digest)
    moving = at(manifest, document(annotations={"x": "y"}))
    by_digest = f"/v2/apps/demo/manifests/{stage.world.image.digest}"

    def lie(stage: Stage, asked: Asked, seen: int) -> Answer | None:
        if asked.path == by_digest:
            return stage.honest[stage.manifest]
        return moving(stage, asked, seen)

    outcome = stage.play(lie, reference=reference)

    assert outcome.exit_code == ALLOWED
    assert "TAG_MOVED" in outcome.shown

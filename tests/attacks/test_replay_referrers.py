"""The replayed image: what can be done to the lists of what is attached to it."""

import pytest

from imagekit.oci.digest import Digest
from imagekit.oci.types import INDEX, MANIFEST
from tests.support.hostile import Answer, Asked
from tests.support.misbehaviours import (
    ALLOWED,
    DENIED,
    EMPTY,
    ESCAPES,
    NO_VERDICT,
    Change,
    at,
    body,
    document,
    endless,
    entry_of,
    error,
    first,
    flood,
    headers,
    listing,
    page,
    redirect,
    referrers,
    silent,
    text,
)
from tests.support.replay import Lie, Stage, hold, strangers, truth

pytestmark = pytest.mark.real


def pages(count: int, each: int) -> Lie:
    """List many in pages, the honest ones at the end."""

    def lie(stage: Stage, asked: Asked, seen: int) -> Answer | None:
        path, _, query = asked.path.partition("?page=")
        if path != stage.referrers:
            return None
        number = int(query or 0)
        honest = stage.honest[path]
        if number == count:
            return honest
        entry = entry_of(honest, "manifests")
        entries = [entry | {"digest": str(Digest.of(b"%d/%d" % (number, n)))} for n in range(each)]
        return page(f'<{path}?page={number + 1}>; rel="next"')(document(manifests=entries)(honest))

    return lie


def by_tag(change: Change | Answer) -> Lie:
    """Have no referrers API, and answer so for the tag that stands in for it."""

    def lie(stage: Stage, asked: Asked, seen: int) -> Answer | None:
        if asked.path == stage.referrers:
            return Answer(404, body=b"404 page not found")
        if asked.path != stage.fallback:
            return None
        return change if isinstance(change, Answer) else change(stage.honest[stage.referrers])

    return lie


def second_page(answer: Answer) -> Lie:
    """Answer the first page well and the next one so."""

    def lie(stage: Stage, asked: Asked, seen: int) -> Answer | None:
        if asked.path == stage.referrers:
            honest = stage.honest[asked.path]
            return page(f'<{stage.referrers}?n=2>; rel="next"')(honest)
        return answer if asked.path.startswith(f"{stage.referrers}?") else None

    return lie


_LOST = "referrers: REFERRERS_LOST"
_UNSIGNED = "signature: NO_SIGNATURE"
_LISTED: dict[str, tuple[Lie, int, str]] = {
    "emptied": (at(referrers, body(lambda _: EMPTY)), DENIED, _UNSIGNED),
    "signature-left-out": (
        at(referrers, listing(lambda entries: entries[1:])),
        DENIED,
        "signature: WRONG_PREDICATE_TYPE",
    ),
    "sbom-left-out": (
        at(referrers, listing(lambda entries: [entries[0], entries[2]])),
        DENIED,
        "sbom: MISSING_ATTESTATION",
    ),
    "turned-round": (at(referrers, listing(lambda entries: entries[::-1])), ALLOWED, ""),
    "each-twice": (at(referrers, listing(lambda entries: entries * 2)), ALLOWED, ""),
    "a-web-page": (
        at(referrers, Answer(200, {"Content-Type": "text/html"}, b"<h1>log in</h1>")),
        DENIED,
        _UNSIGNED,
    ),
    "a-manifest": (at(referrers, headers(Content_Type=MANIFEST)), DENIED, _UNSIGNED),
    "untyped": (at(referrers, headers(Content_Type="")), NO_VERDICT, "BAD_ANSWER"),
    "other-case": (
        at(referrers, text('"manifests":', '"Manifests":[],"manifests":')),
        DENIED,
        _LOST,
    ),
    "no-list": (at(referrers, document(manifests={})), DENIED, _LOST),
    "null": (at(referrers, body(lambda _: b"null")), DENIED, _LOST),
    "entry-is-null": (at(referrers, listing(lambda entries: [None, *entries])), DENIED, _LOST),
    "digest-is-a-path": (at(referrers, first(digest="sha256:../../x")), DENIED, _LOST),
    "foreign-urls": (at(referrers, first(urls=["http://169.254.169.254/"])), DENIED, _LOST),
    "huge-size": (at(referrers, first(size=10 << 30)), DENIED, "signature: WRONG_PREDICATE_TYPE"),
    "wrong-size": (at(referrers, first(size=3)), ALLOWED, ""),
    "negative-size": (at(referrers, first(size=-1)), DENIED, _LOST),
    "called-an-sbom": (
        at(referrers, first(artifactType="application/spdx+json")),
        DENIED,
        "signature: WRONG_PREDICATE_TYPE",
    ),
    "called-nothing": (at(referrers, first(artifactType="")), ALLOWED, ""),
    "called-escapes": (
        at(referrers, first(artifactType=ESCAPES, annotations={ESCAPES: ESCAPES})),
        ALLOWED,
        "",
    ),
    "called-a-blob": (
        at(referrers, first(mediaType="application/octet-stream")),
        DENIED,
        "signature: WRONG_PREDICATE_TYPE",
    ),
    "thousand-and-one": (at(referrers, flood(1001)), DENIED, _LOST),
    "hundred-thousand": (at(referrers, flood(100_000)), NO_VERDICT, "TOO_LARGE"),
    "hundred-thousand-in-pages": (pages(111, 900), NO_VERDICT, "TOO_LARGE"),
    "three-hundred-lost-ones": (at(referrers, flood(300)), DENIED, "signature: TOO_MANY"),
    "many-small-pages": (pages(40, 0), ALLOWED, ""),
    "lost-ones-on-small-pages": (pages(40, 2), DENIED, "withdrawal: REFERRERS_LOST"),
    "pages-without-end": (pages(1_000_000, 0), NO_VERDICT, "TOO_LARGE"),
    "page-is-itself": (at(referrers, page('<>; rel="next"')), NO_VERDICT, "TOO_LARGE"),
    "page-elsewhere": (
        at(referrers, page('<http://evil.example.org/>; rel="next"')),
        NO_VERDICT,
        "FOREIGN_LINK",
    ),
    "page-at-metadata": (
        at(referrers, page('<//169.254.169.254/>; rel="next"')),
        NO_VERDICT,
        "FOREIGN_LINK",
    ),
    "page-of-a-file": (
        at(referrers, page('<file:///etc/passwd>; rel="next"')),
        NO_VERDICT,
        "FOREIGN_LINK",
    ),
    "page-at-no-url": (at(referrers, page('<//[x>; rel="next"')), NO_VERDICT, "BAD_ANSWER"),
    "page-beyond-ascii": (
        at(referrers, page('</v2/caf\xe9>; rel="next"')),
        NO_VERDICT,
        "BAD_ANSWER",
    ),
    "page-with-escapes": (
        at(referrers, page('</v2/\x1b[2J>; rel="next"')),
        NO_VERDICT,
        "BAD_ANSWER",
    ),
    "page-before": (at(referrers, page('</x>; rel="prev"')), ALLOWED, ""),
    "page-unreadable": (at(referrers, page("next")), NO_VERDICT, "BAD_ANSWER"),
    "page-cut-off": (at(referrers, page("</x; rel=next")), NO_VERDICT, "BAD_ANSWER"),
    "page-of-two": (
        at(referrers, page('</x>; rel="next", </y>; rel="next"')),
        NO_VERDICT,
        "BAD_ANSWER",
    ),
    "page-of-something-else": (
        at(referrers, page('</x>; rel="next"; anchor="/y"')),
        NO_VERDICT,
        "BAD_ANSWER",
    ),
    "page-missing": (second_page(error(404)), NO_VERDICT, "NOT_FOUND"),
    "page-failing": (second_page(error(500)), NO_VERDICT, "REGISTRY_ERROR"),
    "page-of-text": (second_page(Answer(200, {"Content-Type": "text/plain"}, b"")), DENIED, _LOST),
    "page-is-endless": (
        second_page(endless(Answer(200, {"Content-Type": INDEX}))),
        NO_VERDICT,
        "TOO_LARGE",
    ),
    "no-api": (at(referrers, error(404)), DENIED, _UNSIGNED),
    "not-allowed": (at(referrers, error(405)), DENIED, _UNSIGNED),
    "by-tag": (by_tag(lambda listed: listed), ALLOWED, ""),
    "by-tag-emptied": (by_tag(body(lambda _: EMPTY)), DENIED, "signature: REFERRERS_LOST"),
    "by-tag-overwritten": (by_tag(Answer(200, {"Content-Type": MANIFEST}, b"{}")), DENIED, _LOST),
    "by-tag-flooded": (by_tag(flood(1001)), DENIED, _LOST),
    "by-tag-forbidden": (by_tag(error(403)), NO_VERDICT, "UNAUTHORIZED"),
    "by-tag-failing": (by_tag(error(500)), NO_VERDICT, "REGISTRY_ERROR"),
    "by-tag-silent": (by_tag(silent), NO_VERDICT, "TIMEOUT"),
    "by-tag-redirected": (
        by_tag(redirect("http://169.254.169.254/")),
        NO_VERDICT,
        "REGISTRY_ERROR",
    ),
}


@pytest.mark.parametrize(
    ("lie", "exit_code", "code"), [pytest.param(*rest, id=name) for name, rest in _LISTED.items()]
)
def test_list_of_referrers(stage: Stage, lie: Lie, exit_code: int, code: str) -> None:
    """What can be done to the list of what is attached to the image."""
    hold(stage, lie, exit_code, code)


def _signed_by_tag(change: Change | Answer) -> Lie:
    """Have a good .sig tag besides, altered so."""

    def lie(stage: Stage, asked: Asked, seen: int) -> Answer | None:
        if not asked.path.endswith(".sig"):
            return None
        if isinstance(change, Answer):
            return change
        return change(truth(stage.world, stage.manifest))

    return lie


@pytest.mark.parametrize(
    ("change", "exit_code", "code"),
    [
        pytest.param(error(500), NO_VERDICT, "REGISTRY_ERROR", id="failing"),
        pytest.param(error(401), NO_VERDICT, "BAD_ANSWER", id="login"),
        pytest.param(silent, NO_VERDICT, "TIMEOUT", id="silent"),
        pytest.param(endless, NO_VERDICT, "TOO_LARGE", id="endless"),
        pytest.param(lambda honest: honest, ALLOWED, "", id="the image itself"),
        pytest.param(Answer(200, {"Content-Type": MANIFEST}, b"{}"), ALLOWED, "", id="junk"),
        pytest.param(Answer(200, {"Content-Type": INDEX}, EMPTY), ALLOWED, "", id="an index"),
        pytest.param(document(layers=[]), ALLOWED, "", id="without layers"),
    ],
)
def test_tag_of_the_legacy_form(
    stage: Stage, change: Change | Answer, exit_code: int, code: str
) -> None:
    """The other place of signatures: a fault there is said, and junk there takes nothing away."""
    hold(stage, _signed_by_tag(change), exit_code, code)


@pytest.mark.parametrize(
    ("count", "exit_code", "code"),
    [
        pytest.param(200, ALLOWED, "", id="200"),
        pytest.param(400, DENIED, "signature: TOO_MANY", id="400"),
        pytest.param(3000, NO_VERDICT, "TOO_LARGE", id="3000"),
    ],
)
def test_bundles_of_strangers(stage: Stage, count: int, exit_code: int, code: str) -> None:
    """Strangers' signatures before the good one cost a bounded time, and count for nothing."""
    answers, entries = strangers(stage, count)

    def lie(stage: Stage, asked: Asked, seen: int) -> Answer | None:
        path, _, query = asked.path.partition("?")
        if path != stage.referrers:
            return answers.get(path)
        start = int(query or 0)
        some, more = entries[start : start + 500], start + 500
        if more >= count:
            return listing(lambda honest: [*some, *honest])(stage.honest[path])
        return page(f'<{path}?{more}>; rel="next"')(listing(lambda _: some)(stage.honest[path]))

    hold(stage, lie, exit_code, code)

"""Changes of the legacy form by key: the payload, its signature, and the image that holds them."""

from copy import deepcopy

from imagekit.oci.types import DOCKER_MANIFEST, INDEX
from imagekit.signatures.simplesigning import (
    CERTIFICATE_ANNOTATION,
    LOG_ANNOTATION,
    SIGNATURE_ANNOTATION,
)
from tests.e2e.differential.bed import Form
from tests.e2e.differential.case import Case
from tests.e2e.differential.changes import (
    Attack,
    Change,
    annotation,
    beside_stranger,
    copied,
    flipped,
    layer,
    of_stranger,
    payload,
    pays,
    pays_json,
    replaced,
    retagged,
)
from tests.e2e.differential.copies import Json, Layer, fallback, packed
from tests.e2e.differential.store import Document

_DIGEST = '"docker-manifest-digest":'
_UNTRUSTED = "signature: UNTRUSTED_KEY"
_BAD = "signature: BAD_PAYLOAD"
_NAME = "cosign does not look at the name in the payload"
_OTHER_NAME = "signature: REFERENCE_MISMATCH"
_STRICT = "skopeo and we read a payload strictly; cosign passes over what it does not know"


def _case(name: str, change: Change, ours: str, peers: str, why: str = "", **more: object) -> Case:
    return Case(
        name=f"legacy/{name}",
        form=Form.LEGACY,
        change=change,
        ours=ours,
        peers=peers,
        why=why,
        **{"referrers": (True,), **more},  # type: ignore[arg-type]  # fields of the case
    )


def _named(name: str) -> Change:
    return pays_json(lambda said: said["critical"]["identity"].update({"docker-reference": name}))


def _repository_only(attack: Attack) -> None:
    _named(attack.copy.store.name)(attack)


def _critical(**changes: object) -> Change:
    return pays_json(lambda said: said["critical"].update(changes))


def _upper(said: Json) -> None:
    image = said["critical"]["image"]
    algorithm, _, digest = image["docker-manifest-digest"].partition(":")
    image["docker-manifest-digest"] = f"{algorithm}:{digest.upper()}"


def _bad_first(attack: Attack) -> None:
    bad = deepcopy(attack.copy.layer)
    bad.annotations[SIGNATURE_ANNOTATION] = flipped(bad.annotations[SIGNATURE_ANNOTATION])
    attack.copy.top.layers.insert(0, bad)


def _sig(**changes: object) -> Change:
    return lambda attack: attack.copy.top.sig.update(changes)


def _sig_is_index(attack: Attack) -> None:
    raw = packed({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
    attack.copy.after.append(
        lambda done: done.store.put(f"{fallback(done.top)}.sig", Document(raw, INDEX))
    )


def _annotated(name: str, text: str) -> Change:
    return annotation(name, lambda _: text)


def _no_signature(each: Layer) -> None:
    del each.annotations[SIGNATURE_ANNOTATION]


def _spaced(text: str) -> str:
    return f"{text[:20]}\n{text[20:]}"


LEGACY_CASES = (
    _case("signed", lambda _: None, "OK", "A A - -", referrers=(False, True)),
    _case("strangers-key", of_stranger, _UNTRUSTED, "R R - -", command=True, attack=2),
    _case("strangers-signature-beside", beside_stranger, "OK", "A A - -"),
    _case("bad-signature-beside", _bad_first, "OK", "A A - -"),
    _case("of-another-image", copied, "signature: DIGEST_MISMATCH", "R R - -", attack=7),
    _case("tag-moved", retagged, _OTHER_NAME, "A R - -", _NAME),
    # The image that holds it.
    _case(
        "layer-of-another-type",
        layer(lambda each: setattr(each, "media_type", "application/json")),
        "signature: NO_SIGNATURE",
        "A R - -",
        "cosign takes any layer with the annotation for a signature; skopeo and we do not",
    ),
    _case(
        "layer-with-another-size",
        layer(lambda each: each.extra.update(size=7)),
        "signature: CONTENT_DIGEST_MISMATCH",
        "R A - -",
        "skopeo does not compare size and bytes of a payload",
    ),
    _case(
        "docker-manifest",
        _sig(mediaType=DOCKER_MANIFEST),
        "OK",
        "A R - -",
        harmless="skopeo reads OCI's media type only; the signature is the same in both",
    ),
    _case("index-under-the-tag", _sig_is_index, "signature: BAD_DOCUMENT", "R R - -"),
    # The signature.
    _case("signature-changed", annotation(SIGNATURE_ANNOTATION, flipped), _UNTRUSTED, "R R - -"),
    _case("signature-gone", layer(_no_signature), _BAD, "R R - -"),
    _case("signature-empty", _annotated(SIGNATURE_ANNOTATION, ""), _BAD, "R R - -"),
    _case("signature-no-base64", _annotated(SIGNATURE_ANNOTATION, "!!!"), _BAD, "R R - -"),
    _case(
        "signature-with-a-line-feed",
        annotation(SIGNATURE_ANNOTATION, _spaced),
        _BAD,
        "A A - -",
        "base64 has one way to be written here; Go's passes over line feeds",
    ),
    _case(
        "certificate-as-well",
        _annotated(CERTIFICATE_ANNOTATION, "junk"),
        _UNTRUSTED,
        "R A - -",
        "what carries a certificate is judged by it, and this policy lists keys; skopeo ignores it",
    ),
    _case("log-entry-of-junk", _annotated(LOG_ANNOTATION, "{}"), "OK", "A A - -"),
    # The payload, as it was signed.
    _case("payload-changed", payload(replaced("1.0.0", "2.0.0")), _UNTRUSTED, "R R - -"),
    _case("payload-with-a-line-feed", payload(lambda raw: raw + b"\n"), _UNTRUSTED, "R R - -"),
    # The payload, signed by the site so.
    _case(
        "for-another-tag",
        pays(replaced(":1.0.0", ":2.0.0")),
        _OTHER_NAME,
        "A R - -",
        _NAME,
        attack=8,
    ),
    _case("for-another-repository", _named("a.site/app:1.0.0"), _OTHER_NAME, "A R - -", _NAME),
    _case("for-the-repository-only", _repository_only, _OTHER_NAME, "A R - -", _NAME),
    _case("for-no-name", _named(""), _OTHER_NAME, "A R - -", _NAME),
    _case("another-type", _critical(type="atomic container signature"), _BAD, "A R - -", _STRICT),
    _case("unknown-claim", _critical(extra={}), _BAD, "A R - -", _STRICT),
    _case("no-optional", pays_json(lambda said: said.pop("optional")), _BAD, "A R - -", _STRICT),
    _case("unknown-key", pays_json(lambda said: said.update(extra=1)), _BAD, "A R - -", _STRICT),
    _case(
        "optional-of-anybody",
        pays_json(lambda said: said.update(optional={"a": "b", "creator": "me"})),
        "OK",
        "A A - -",
    ),
    _case(
        "creator-of-another-type",
        pays_json(lambda said: said.update(optional={"creator": 5})),
        _BAD,
        "A R - -",
        _STRICT,
    ),
    _case(
        "time-of-another-type",
        pays_json(lambda said: said.update(optional={"timestamp": 1.5})),
        _BAD,
        "A R - -",
        _STRICT,
    ),
    _case(
        "digest-twice",
        pays(replaced(_DIGEST, f'{_DIGEST}"x",{_DIGEST}')),
        "signature: AMBIGUOUS_JSON",
        "A R - -",
        _STRICT,
    ),
    _case(
        "keys-that-differ-in-case",
        pays(replaced('"critical":', '"Critical":{},"critical":')),
        "signature: AMBIGUOUS_JSON",
        "A R - -",
        _STRICT,
        attack=25,
    ),
    _case("digest-in-upper-case", pays_json(_upper), _BAD, "R R - -"),
    _case("payload-no-json", pays(lambda _: b"no json"), _BAD, "R R - -"),
    _case("payload-with-more", pays(lambda raw: raw + b"{}"), _BAD, "R R - -"),
)

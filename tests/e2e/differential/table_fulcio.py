"""Changes of the legacy form by certificate: its annotations, and the payload."""

import json
from collections.abc import Callable

from imagekit.signatures.simplesigning import (
    CERTIFICATE_ANNOTATION,
    CHAIN_ANNOTATION,
    LOG_ANNOTATION,
    SIGNATURE_ANNOTATION,
)
from tests.e2e.differential.bed import STRANGER, Form
from tests.e2e.differential.case import Case
from tests.e2e.differential.changes import (
    Attack,
    Change,
    annotation,
    copied,
    flipped,
    layer,
    of_stranger,
    payload,
    replaced,
    retagged,
)
from tests.e2e.differential.copies import Json, packed
from tests.support.sigstore.issuer import EMAIL

_ENTRY = "signature: BAD_TLOG_ENTRY"
_IDENTITY = "signature: IDENTITY_MISMATCH"


def _case(name: str, change: Change, ours: str, peers: str, why: str = "", **more: object) -> Case:
    return Case(
        name=f"fulcio/{name}",
        form=Form.FULCIO,
        change=change,
        ours=ours,
        peers=peers,
        why=why,
        **{"referrers": (True,), **more},  # type: ignore[arg-type]  # fields of the case
    )


def _without(name: str) -> Change:
    return layer(lambda each: each.annotations.pop(name))


def _of_other(*names: str) -> Change:
    """Take annotations from the signature of another image."""

    def act(attack: Attack) -> None:
        other = attack.other().layer.annotations
        attack.copy.layer.annotations |= {name: other[name] for name in names}

    return act


def _stranger_certificate(attack: Attack) -> None:
    other = attack.other(before=None, email=STRANGER).layer.annotations
    attack.copy.layer.annotations[CERTIFICATE_ANNOTATION] = other[CERTIFICATE_ANNOTATION]


def _entry(change: Callable[[Json], object]) -> Change:
    """Change the log's promise."""

    def act(text: str) -> str:
        said = json.loads(text)
        change(said)
        return packed(said).decode()

    return annotation(LOG_ANNOTATION, act)


def _promised(**changes: object) -> Change:
    return _entry(lambda said: said["Payload"].update(changes))


def _later(said: Json) -> None:
    said["Payload"]["integratedTime"] += 1


def _unsigned(said: Json) -> None:
    said["SignedEntryTimestamp"] = flipped(said["SignedEntryTimestamp"])


FULCIO_CASES = (
    _case("signed", lambda _: None, "OK", "A A - -", command=True, referrers=(False, True)),
    _case("strangers-identity", of_stranger, _IDENTITY, "R R - -", attack=3),
    _case(
        "another-issuer-is-trusted",
        lambda _: None,
        "signature: ISSUER_MISMATCH",
        "R R - -",
        expect={"issuer": "https://issuer.example.org"},
        attack=4,
    ),
    _case(
        "subject-is-trusted-that-begins-alike",
        lambda _: None,
        _IDENTITY,
        "R R - -",
        expect={"identity": EMAIL.removesuffix("t")},
    ),
    _case("of-another-image", copied, "signature: DIGEST_MISMATCH", "R R - -"),
    _case(
        "tag-moved",
        retagged,
        "signature: REFERENCE_MISMATCH",
        "A R - -",
        "cosign does not look at the name in the payload",
    ),
    _case("payload-changed", payload(replaced("1.0.0", "2.0.0")), _ENTRY, "R R - -"),
    _case("signature-changed", annotation(SIGNATURE_ANNOTATION, flipped), _ENTRY, "R R - -"),
    _case("certificate-of-stranger", _stranger_certificate, _ENTRY, "R R - -"),
    _case(
        "no-certificate", _without(CERTIFICATE_ANNOTATION), "signature: UNTRUSTED_KEY", "R R - -"
    ),
    _case("no-chain", _without(CHAIN_ANNOTATION), "OK", "A A - -"),
    _case("no-entry", _without(LOG_ANNOTATION), "signature: NO_TLOG_ENTRY", "R R - -", attack=13),
    _case("entry-of-another-image", _of_other(LOG_ANNOTATION), _ENTRY, "R R - -", attack=12),
    _case("entry-of-another-log", _promised(logID="0" * 64), "signature: UNKNOWN_LOG", "R R - -"),
    _case("entry-later", _entry(_later), _ENTRY, "R R - -"),
    _case("entry-with-another-index", _promised(logIndex=1 << 30), _ENTRY, "R R - -"),
    _case("promise-changed", _entry(_unsigned), _ENTRY, "R R - -"),
    _case(
        "entry-with-more",
        _promised(extra=1),
        _ENTRY,
        "A R - -",
        "a promise has four parts and no more; skopeo refuses what the log did not sign",
    ),
)

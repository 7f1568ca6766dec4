"""Changes of bundles by certificate: log entry, timestamp, certificate and signature.

The image is signed by Rekor v1, whose promise gives a time, or by Rekor v2, where a timestamp does.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path

from imagekit.documents.fields import base64_text
from tests.e2e.differential.bed import STRANGER, Form
from tests.e2e.differential.case import Case
from tests.e2e.differential.changes import (
    Attack,
    Change,
    copied,
    envelope,
    flipped,
    material,
    of_stranger,
    says,
    statement,
    subject,
)
from tests.e2e.differential.copies import Json
from tests.e2e.differential.stamps import stranger_stamp
from tests.support.sigstore.issuer import EMAIL

_NO_SUBJECT = "sigstore-js compares no subject with an image: who calls it must"
_NO_NAME = "no other verifier of bundles binds a name"
_ENTRY = "signature: BAD_TLOG_ENTRY"
_UNKNOWN = "signature: UNKNOWN_LOG"
_BAD = "signature: BAD_BUNDLE"
_TIME = "signature: NO_TRUSTED_TIME"
_CERTIFICATE = "signature: BAD_CERTIFICATE"
_KIND = "cosign and sigstore-go read what kind of entry it is in the entry, not beside it"
_ROOT = "sigstore-js takes root and size from the checkpoint, not from the proof beside it"
_V1, _V2 = Form.REKOR1, Form.REKOR2


def _case(
    name: str, form: Form, change: Change, ours: str, peers: str, why: str = "", **more: object
) -> Case:
    version = {Form.REKOR1: "keyless", Form.REKOR2: "keyless-v2"}[form]
    return Case(
        name=f"{version}/{name}",
        form=form,
        change=change,
        ours=ours,
        peers=peers,
        why=why,
        **{"referrers": (True,), **more},  # type: ignore[arg-type]  # fields of the case
    )


def _entry(change: Callable[[Json], object]) -> Change:
    return material(lambda said: change(said["tlogEntries"][0]))


def _proof(change: Callable[[Json], object]) -> Change:
    return _entry(lambda entry: change(entry["inclusionProof"]))


def _flip(*path: str) -> Change:
    """Change one bit of a text in base64, of the log entry."""

    def act(entry: Json) -> None:
        for key in path[:-1]:
            entry = entry[key]  # the way down
        entry[path[-1]] = flipped(entry[path[-1]])

    return _entry(act)


def _number(*path: str, by: int = 1) -> Change:
    def act(entry: Json) -> None:
        for key in path[:-1]:
            entry = entry[key]  # the way down
        entry[path[-1]] = str(int(entry[path[-1]]) + by)

    return _entry(act)


def _material_of_other(*keys: str) -> Change:
    """Take parts of the material from the signature of another image."""

    def act(attack: Attack) -> None:
        other = attack.other().bundle.json["verificationMaterial"]
        attack.edit_bundle(
            lambda own: own["verificationMaterial"].update({key: other[key] for key in keys})
        )

    return act


def _stranger_certificate(attack: Attack) -> None:
    """Put a stranger's certificate beside the site's signature."""
    other = attack.other(before=None, email=STRANGER).bundle.json["verificationMaterial"]
    attack.edit_bundle(
        lambda own: own["verificationMaterial"].update(certificate=other["certificate"])
    )


def _our_certificate(attack: Attack) -> None:
    """Put the site's certificate beside a stranger's signature."""
    own = attack.copy.bundle.json["verificationMaterial"]["certificate"]
    of_stranger(attack)
    attack.edit_bundle(lambda b: b["verificationMaterial"].update(certificate=own))


def _chain(said: Json) -> None:
    certificate = said.pop("certificate")
    said["x509CertificateChain"] = {"certificates": [certificate]}


def _checkpoint(change: Callable[[str], str]) -> Change:
    def act(proof: Json) -> None:
        before = proof["checkpoint"]["envelope"]
        proof["checkpoint"]["envelope"] = change(before)
        assert proof["checkpoint"]["envelope"] != before

    return _proof(act)


def _other_log(attack: Attack) -> None:
    """Sign by the other Rekor, which the trusted root does not know."""
    form = _V1 if attack.form is _V2 else _V2
    store = attack.copy.store
    other = attack.bed.signed(store.path, form, referrers=store.referrers)
    attack.copy.top.bundles = other.top.bundles


def _stamps(change: Callable[[list[Json]], object]) -> Change:
    return material(lambda said: change(said["timestampVerificationData"]["rfc3161Timestamps"]))


def _stamp_of_stranger(attack: Attack) -> None:
    """Put a timestamp over this very signature by an authority that nobody trusts."""
    signature = base64.b64decode(attack.copy.bundle.json["dsseEnvelope"]["signatures"][0]["sig"])
    folder = attack.bed.folder / f"tsa-{attack.copy.store.path.replace('/', '-')}"
    token = {"signedTimestamp": base64_text(stranger_stamp(Path(folder), signature))}
    attack.edit_bundle(
        lambda own: own["verificationMaterial"]["timestampVerificationData"].update(
            rfc3161Timestamps=[token]
        )
    )


def _no_stamps(said: Json) -> None:
    said.pop("timestampVerificationData")


def _body_changed(entry: Json) -> None:
    body = json.loads(base64.b64decode(entry["canonicalizedBody"]))
    body["spec"]["payloadHash"]["value"] = "0" * 64
    raw = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
    entry["canonicalizedBody"] = base64_text(raw)


def _body_with_more(entry: Json) -> None:
    body = base64.b64decode(entry["canonicalizedBody"])
    entry["canonicalizedBody"] = base64_text(body + b"\n")


def _stamp_changed(stamps: list[Json]) -> None:
    stamps[0]["signedTimestamp"] = flipped(stamps[0]["signedTimestamp"])


def _twice(said: Json) -> None:
    said["tlogEntries"] *= 2


def _integrated_time_alone(said: Json) -> None:
    """Leave the log's time without the promise that vouches for it."""
    _no_stamps(said)
    del said["tlogEntries"][0]["inclusionPromise"]


KEYLESS_CASES = (
    _case("signed", _V1, lambda _: None, "OK", "A - A A", referrers=(False, True)),
    _case("signed", _V2, lambda _: None, "OK", "A - A A", command=True, referrers=(False, True)),
    # Who signed what.
    _case(
        "strangers-identity", _V1, of_stranger, "signature: IDENTITY_MISMATCH", "R - R R", attack=3
    ),
    _case("strangers-identity", _V2, of_stranger, "signature: IDENTITY_MISMATCH", "R - R R"),
    _case(
        "another-issuer-is-trusted",
        _V1,
        lambda _: None,
        "signature: ISSUER_MISMATCH",
        "R - R R",
        expect={"issuer": "https://issuer.example.org"},
        attack=4,
    ),
    _case(
        "subject-is-trusted-that-begins-alike",
        _V1,
        lambda _: None,
        "signature: IDENTITY_MISMATCH",
        "R - R R",
        expect={"identity": EMAIL.removesuffix("t")},
        attack=5,
    ),
    _case("of-another-image", _V1, copied, "signature: DIGEST_MISMATCH", "R - R A", _NO_SUBJECT),
    _case(
        "for-another-tag",
        _V1,
        subject(name="site/app:2"),
        "signature: REFERENCE_MISMATCH",
        "A - A A",
        _NO_NAME,
    ),
    _case(
        "sbom-as-signature",
        _V1,
        says(lambda said: said.update(predicateType="https://cyclonedx.org/bom")),
        "signature: WRONG_PREDICATE_TYPE",
        "A - A A",
        "none of them looks at the type of the statement here",
    ),
    # Envelope and certificate.
    _case(
        "payload-changed",
        _V1,
        statement(lambda s: s.update(a=1)),
        "signature: BAD_SIGNATURE",
        "R - R R",
    ),
    _case(
        "signature-changed",
        _V1,
        envelope(lambda e: e["signatures"][0].update(sig=flipped(e["signatures"][0]["sig"]))),
        "signature: BAD_SIGNATURE",
        "R - R R",
    ),
    _case(
        "certificate-changed",
        _V1,
        material(lambda m: m["certificate"].update(rawBytes=flipped(m["certificate"]["rawBytes"]))),
        _CERTIFICATE,
        "R - R R",
    ),
    _case(
        "certificate-of-stranger", _V1, _stranger_certificate, "signature: BAD_SIGNATURE", "R - R R"
    ),
    _case("certificate-of-site", _V1, _our_certificate, "signature: BAD_SIGNATURE", "R - R R"),
    _case("certificate-in-a-chain", _V1, material(_chain), _BAD, "R - R R"),
    _case("no-certificate", _V1, material(lambda m: m.pop("certificate")), _BAD, "R - R R"),
    # The entry of the log.
    _case("no-entry", _V1, material(lambda m: m.update(tlogEntries=[])), _ENTRY, "R - R R"),
    _case("no-entry", _V2, material(lambda m: m.update(tlogEntries=[])), _ENTRY, "R - R R"),
    _case("entry-twice", _V1, material(_twice), _ENTRY, "R - R R"),
    _case(
        "entry-of-another-image",
        _V1,
        _material_of_other("tlogEntries"),
        _ENTRY,
        "R - R R",
        command=True,
        attack=12,
    ),
    _case(
        "entry-of-another-image",
        _V2,
        _material_of_other("tlogEntries"),
        _ENTRY,
        "R - R R",
        attack=12,
    ),
    _case("entry-of-another-log", _V1, _other_log, _UNKNOWN, "R - R R", attack=13),
    _case("entry-of-another-log", _V2, _other_log, _UNKNOWN, "R - R R", attack=13),
    _case("entry-of-unknown-log", _V1, _flip("logId", "keyId"), _UNKNOWN, "R - R R"),
    _case("body-changed", _V1, _entry(_body_changed), _ENTRY, "R - R R"),
    _case("body-respaced", _V1, _entry(_body_with_more), _ENTRY, "R - R R"),
    _case("body-gone", _V1, _entry(lambda e: e.pop("canonicalizedBody")), _ENTRY, "R - R R"),
    _case(
        "kind-changed",
        _V1,
        _entry(lambda e: e["kindVersion"].update(kind="rekord")),
        _ENTRY,
        "A - A R",
        _KIND,
    ),
    _case(
        "version-changed",
        _V1,
        _entry(lambda e: e["kindVersion"].update(version="0.0.9")),
        _ENTRY,
        "A - A R",
        _KIND,
    ),
    _case("time-changed", _V1, _number("integratedTime"), _ENTRY, "R - R R"),
    _case("index-changed", _V1, _number("logIndex"), _ENTRY, "R - R R"),
    _case(
        "promise-changed", _V1, _flip("inclusionPromise", "signedEntryTimestamp"), _ENTRY, "R - R R"
    ),
    _case(
        "promise-gone",
        _V1,
        _entry(lambda e: e.pop("inclusionPromise")),
        "OK",
        "R - A A",
        harmless="proof and timestamp are there; cosign counts the promised time only",
    ),
    _case("promise-and-timestamp-gone", _V1, material(_integrated_time_alone), _TIME, "R - R R"),
    # The proof that the log includes it.
    _case(
        "proof-gone",
        _V1,
        _entry(lambda e: e.pop("inclusionProof")),
        _ENTRY,
        "R - R R",
        command=True,
        attack=13,
    ),
    _case(
        "proof-gone", _V2, _entry(lambda e: e.pop("inclusionProof")), _ENTRY, "R - R R", attack=13
    ),
    _case(
        "proof-of-another-root", _V1, _flip("inclusionProof", "rootHash"), _ENTRY, "R - R A", _ROOT
    ),
    _case(
        "proof-of-another-size",
        _V1,
        _number("inclusionProof", "treeSize", by=1 << 20),
        _ENTRY,
        "R - R A",
        _ROOT,
    ),
    _case(
        "proof-of-another-index",
        _V1,
        _number("inclusionProof", "logIndex", by=-1),
        _ENTRY,
        "R - R R",
    ),
    _case("proof-without-hashes", _V1, _proof(lambda p: p.update(hashes=[])), _ENTRY, "R - R R"),
    _case(
        "proof-of-another-index",
        _V2,
        _number("inclusionProof", "logIndex", by=-1),
        _ENTRY,
        "A - A R",
        "cosign and sigstore-go take the index of the entry for that of the proof",
    ),
    _case("checkpoint-gone", _V1, _proof(lambda p: p.pop("checkpoint")), _ENTRY, "R - R R"),
    _case(
        "checkpoint-of-another-origin",
        _V1,
        _checkpoint(lambda t: t.replace("imagekit", "evil", 1)),
        _ENTRY,
        "R - R R",
        attack=13,
    ),
    _case(
        "checkpoint-without-signature",
        _V1,
        _checkpoint(lambda t: t.partition("\n\n")[0] + "\n\n"),
        _ENTRY,
        "R - R R",
    ),
    _case(
        "checkpoint-of-another-size",
        _V1,
        _checkpoint(lambda t: t.replace("\n", "\n9", 1)),
        _ENTRY,
        "R - R R",
    ),
    _case(
        "checkpoint-of-another-size",
        _V2,
        _checkpoint(lambda t: t.replace("\n", "\n9", 1)),
        _ENTRY,
        "R - R R",
    ),
    # The time.
    _case("timestamp-gone", _V1, material(_no_stamps), "OK", "A - A A"),
    _case("timestamp-gone", _V2, material(_no_stamps), _TIME, "R - R R", command=True, attack=15),
    _case(
        "timestamp-of-another-image",
        _V2,
        _material_of_other("timestampVerificationData"),
        _TIME,
        "R - R R",
        attack=16,
    ),
    _case(
        "timestamp-of-another-image",
        _V1,
        _material_of_other("timestampVerificationData"),
        "signature: BAD_TIMESTAMP",
        "A - A R",
        "cosign and sigstore-go pass over a timestamp where the log promised a time",
        attack=16,
    ),
    _case("timestamp-of-a-stranger", _V2, _stamp_of_stranger, _TIME, "R - R R", attack=16),
    _case("timestamp-changed", _V2, _stamps(_stamp_changed), _TIME, "R - R R"),
    _case(
        "timestamp-twice",
        _V2,
        _stamps(lambda all_: all_.append(all_[0])),
        _TIME,
        "A - A R",
        "cosign and sigstore-go count one timestamp once, and say nothing of it",
    ),
    _case("timestamps-empty", _V2, _stamps(lambda all_: all_.clear()), _TIME, "R - R R"),
)

"""Changes of a bundle by key: referrer, bundle, envelope and statement.

sigstore-go's program wants a trusted time of every bundle, which these have not: it judges the
bundles by certificate. skopeo reads no bundles.
"""

import base64
import json
from copy import deepcopy

from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from imagekit.documents.fields import base64_text
from imagekit.oci.types import BUNDLE, IN_TOTO
from imagekit.signatures.bundle import key_bundle_bytes
from imagekit.signatures.dsse import pae
from imagekit.signatures.intoto import CYCLONEDX, SLSA_PROVENANCE
from tests.e2e.differential.bed import Form
from tests.e2e.differential.case import Case
from tests.e2e.differential.changes import (
    Attack,
    Change,
    beside_stranger,
    bundle,
    bundle_text,
    copied,
    envelope,
    flipped,
    material,
    of_stranger,
    replaced,
    says,
    says_bytes,
    seal,
    statement,
    statement_of,
    subject,
)
from tests.e2e.differential.copies import Copy, Json, packed
from tests.e2e.differential.store import Document

_NO_SUBJECT = "sigstore-js compares no subject with an image: who calls it must"
_NO_NAME = "no other verifier of bundles binds a name"
_STRICT = "a bundle has one way to be read: what no signer writes is refused"
_ANY_TYPE = "cosign and sigstore-js take a statement of any type for a signature of the image"
_ONE_MEANING = "Go and JavaScript take the last of two keys, others the first: nobody signed one"
_UNREAD = "sigstore-js returns whatever was signed, and does not read it"
_UNTRUSTED = "signature: UNTRUSTED_KEY"
_BAD = "signature: BAD_BUNDLE"
_BAD_STATEMENT = "signature: BAD_STATEMENT"
_OTHER_NAME = "signature: REFERENCE_MISMATCH"


def _case(name: str, change: Change, ours: str, peers: str, why: str = "", **more: object) -> Case:
    return Case(
        name=f"bundle/{name}",
        form=Form.BUNDLE,
        change=change,
        ours=ours,
        peers=peers,
        why=why,
        **{"referrers": (True,), **more},  # type: ignore[arg-type]  # fields of the case
    )


def _respaced(sealed: Json) -> None:
    said = json.loads(base64.b64decode(sealed["payload"]))
    sealed["payload"] = base64_text(json.dumps(said, indent=1).encode())


def _url_safe(attack: Attack) -> None:
    """Write the payload in the other alphabet of base64; its bytes stay."""
    key = attack.bed.key
    said = statement_of(attack)
    # These characters make bytes that the alphabets write differently.
    said["predicate"] = {"a": "\u00ff\u00ff\u00ff~~~???>>>"}
    payload = json.dumps(said, ensure_ascii=False).encode()
    document = json.loads(seal(key, payload))
    text = base64.urlsafe_b64encode(payload).decode()
    assert text != document["dsseEnvelope"]["payload"]
    document["dsseEnvelope"]["payload"] = text
    attack.copy.bundle.bundle = packed(document)


def _unpadded(sealed: Json) -> None:
    signature = sealed["signatures"][0]
    # So that there is padding to leave out.
    signature["sig"] = signature["sig"].rstrip("=")
    sealed["payload"] = sealed["payload"].rstrip("=")


def _second_signature(*, first: bool) -> Change:
    def act(sealed: Json) -> None:
        bad = {"sig": flipped(sealed["signatures"][0]["sig"])}
        sealed["signatures"].insert(0 if first else 1, bad)

    return envelope(act)


def _hint_of_site(attack: Attack) -> None:
    """A stranger's signature that names the site's key."""
    said = packed(statement_of(attack))
    signature = attack.bed.stranger.sign(pae(IN_TOTO, said))
    attack.copy.bundle.bundle = key_bundle_bytes(said, signature, attack.bed.key.public_key)


def _message(attack: Attack) -> None:
    """Sign the bytes of the manifest instead of a statement about them."""
    raw = attack.copy.top.document.raw
    digest = Document(raw, "").digest.partition(":")[2]
    document = attack.copy.bundle.json
    del document["dsseEnvelope"]
    document["messageSignature"] = {
        "messageDigest": {
            "algorithm": "SHA2_256",
            "digest": base64_text(bytes.fromhex(digest)),
        },
        "signature": base64_text(attack.bed.key.sign(raw)),
    }
    attack.copy.bundle.bundle = packed(document)


def _malleable(attack: Attack) -> None:
    """Write the other of the two signatures that ECDSA lets anybody compute from one."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

    def act(sealed: Json) -> None:
        r, s = decode_dss_signature(base64.b64decode(sealed["signatures"][0]["sig"]))
        sealed["signatures"][0]["sig"] = base64_text(encode_dss_signature(r, order - s))

    attack.edit_bundle(lambda document: act(document["dsseEnvelope"]))


def _trailing(sealed: Json) -> None:
    raw = base64.b64decode(sealed["signatures"][0]["sig"])
    sealed["signatures"][0]["sig"] = base64_text(raw + b"\0")


def _referrer(**changes: object) -> Change:
    return lambda attack: attack.copy.bundle.manifest.update(changes)


def _layer(**changes: object) -> Change:
    return lambda attack: attack.copy.bundle.layer.update(changes)


def _two_layers(attack: Attack) -> None:
    attack.copy.bundle.more.append(attack.copy.bundle.bundle)


def _entry(**changes: object) -> Change:
    return lambda attack: attack.copy.bundle.entry.update(changes)


def _other_subject(attack: Attack) -> None:
    """Let the referrer's manifest say that it is another image's; the list says this one's."""
    other = b'{"schemaVersion":2}'
    descriptor = Document(other, attack.copy.top.document.media_type).descriptor()
    attack.copy.bundle.subject = descriptor


def _deleted(attack: Attack) -> None:
    """Leave the list, and delete what it lists."""

    def act(copy: Copy) -> None:
        for digest in copy.store.listed(copy.top.document.digest):
            copy.store.delete(digest)

    attack.copy.after.append(act)


def _junk_before(attack: Attack) -> None:
    junk = deepcopy(attack.copy.bundle)
    junk.bundle = b"{}"
    attack.copy.top.bundles.insert(0, junk)


def _digests(**digests: str) -> Change:
    return says(lambda said: said["subject"][0]["digest"].update(digests))


def _upper(said: Json) -> None:
    digest = said["subject"][0]["digest"]
    digest["sha256"] = digest["sha256"].upper()


def _second_subject(said: Json) -> None:
    said["subject"].insert(0, {"name": "another", "digest": {"sha256": "0" * 64}})


def _name_on_other(said: Json) -> None:
    """Put the right name on another digest, and no name on this one."""
    mine = said["subject"][0]
    said["subject"] = [
        {"digest": mine["digest"]},
        {"name": mine["name"], "digest": {"sha256": "0" * 64}},
    ]


BUNDLE_CASES = (
    _case("signed", lambda _: None, "OK", "A - - A", referrers=(False, True)),
    _case("strangers-key", of_stranger, _UNTRUSTED, "R - - R", attack=2),
    _case("strangers-key-with-our-hint", _hint_of_site, _UNTRUSTED, "R - - R"),
    _case("strangers-bundle-beside", beside_stranger, "OK", "A - - -", referrers=(False, True)),
    _case("junk-beside", _junk_before, "OK", "A - - -", referrers=(False, True)),
    _case(
        "of-another-image", copied, "signature: DIGEST_MISMATCH", "R - - A", _NO_SUBJECT, attack=7
    ),
    # The referrer that holds it.
    _case("two-layers", _two_layers, "signature: NO_SIGNATURE", "R - - -"),
    _case(
        "layer-of-another-type",
        _layer(mediaType="application/json"),
        "signature: NO_SIGNATURE",
        "R - - -",
    ),
    _case("artifact-type-of-another", _referrer(artifactType="a/b"), "OK", "A - - -"),
    _case("subject-of-another-image", _other_subject, "OK", "A - - -", referrers=(False,)),
    _case("listed-with-another-size", _entry(size=7), "OK", "A - - -", referrers=(False,)),
    _case(
        "listed-as-no-manifest",
        _entry(mediaType="application/json"),
        "signature: NO_SIGNATURE",
        "A - - -",
        "what is not listed as a manifest is not fetched as one",
        referrers=(False,),
    ),
    _case(
        "listed-and-not-there",
        _deleted,
        "signature: REFERRERS_LOST",
        "R - - -",
        referrers=(False,),
        attack=32,
    ),
    # The bundle.
    _case("unknown-version", bundle_text("v0.3", "v0.9"), _BAD, "R - - A", _STRICT),
    _case(
        "version-0.1",
        bundle_text(BUNDLE, "application/vnd.dev.sigstore.bundle+json;version=0.1"),
        "OK",
        "R - - A",
        harmless="cosign reads 0.3 and newer from registries; what is signed is the same in all",
    ),
    _case("no-media-type", bundle(lambda b: b.pop("mediaType")), _BAD, "R - - R"),
    _case("unknown-key", bundle(lambda b: b.update(extra=1)), _BAD, "R - - A", _STRICT),
    _case("unknown-material", material(lambda m: m.update(extra=1)), _BAD, "R - - A", _STRICT),
    _case(
        "envelope-twice",
        bundle_text('"dsseEnvelope":', '"dsseEnvelope":{},"dsseEnvelope":'),
        "signature: AMBIGUOUS_JSON",
        "R - - A",
        _ONE_MEANING,
    ),
    _case(
        "message-signature-as-well",
        bundle(lambda b: b.update(messageSignature={"signature": "AAAA"})),
        _BAD,
        "R - - R",
    ),
    _case("message-signature-instead", _message, _BAD, "R - - R"),
    _case("no-material", material(lambda m: m.clear()), _BAD, "R - - R"),
    _case(
        "certificate-as-well",
        material(lambda m: m.update(certificate={"rawBytes": "AAAA"})),
        _BAD,
        "R - - A",
        _STRICT,
    ),
    _case("no-hint", material(lambda m: m.update(publicKey={})), "OK", "A - - A"),
    _case("another-hint", material(lambda m: m.update(publicKey={"hint": "x"})), "OK", "A - - A"),
    # The envelope.
    _case("payload-changed", statement(lambda s: s.update(a=1)), _UNTRUSTED, "R - - R"),
    _case("payload-respaced", envelope(_respaced), _UNTRUSTED, "R - - R"),
    _case("payload-in-url-alphabet", _url_safe, _BAD, "A - - A", _STRICT),
    _case("payload-unpadded", envelope(_unpadded), _BAD, "A - - A", _STRICT),
    _case(
        "signature-changed",
        envelope(lambda e: e["signatures"][0].update(sig=flipped(e["signatures"][0]["sig"]))),
        _UNTRUSTED,
        "R - - R",
    ),
    _case(
        "signature-empty",
        envelope(lambda e: e["signatures"][0].update(sig="")),
        _UNTRUSTED,
        "R - - R",
    ),
    _case("signature-gone", envelope(lambda e: e.update(signatures=[])), _BAD, "R - - R"),
    _case("signature-with-a-byte-more", envelope(_trailing), _UNTRUSTED, "R - - R"),
    _case("signature-malleable", _malleable, "OK", "A - - A"),
    _case("bad-signature-first", _second_signature(first=True), _BAD, "R - - R"),
    _case("bad-signature-second", _second_signature(first=False), _BAD, "R - - R"),
    _case(
        "payload-type-changed",
        envelope(lambda e: e.update(payloadType="text/plain")),
        _UNTRUSTED,
        "R - - R",
    ),
    _case(
        "payload-type-signed-so",
        says_bytes(lambda raw: raw, "text/plain"),
        _BAD_STATEMENT,
        "R - - A",
        _UNREAD,
        attack=11,
    ),
    # The statement, signed as it is by the site.
    _case(
        "payload-no-json",
        says_bytes(lambda _: b"no json"),
        _BAD_STATEMENT,
        "R - - A",
        _UNREAD,
        attack=11,
    ),
    _case("payload-with-more", says_bytes(lambda r: r + b"{}"), _BAD_STATEMENT, "R - - A", _UNREAD),
    _case(
        "subject-twice",
        says_bytes(replaced('"subject":', '"subject":[],"subject":')),
        "signature: AMBIGUOUS_JSON",
        "R - - A",
        _ONE_MEANING,
        attack=25,
    ),
    _case(
        "subject-in-upper-case-as-well",
        says_bytes(replaced('"subject":', '"Subject":[],"subject":')),
        "signature: AMBIGUOUS_JSON",
        "R - - A",
        _ONE_MEANING,
    ),
    _case(
        "no-subject",
        says(lambda s: s.update(subject=[])),
        _BAD_STATEMENT,
        "R - - A",
        _UNREAD,
        attack=11,
    ),
    _case("subject-without-digest", subject(digest={}), _BAD_STATEMENT, "R - - A", _UNREAD),
    _case("digest-in-upper-case", says(_upper), _BAD_STATEMENT, "R - - A", _UNREAD),
    _case("digest-of-sha1-beside", _digests(sha1="0" * 40), "OK", "A - - A"),
    _case(
        "digest-of-another-beside",
        _digests(sha512="0" * 128),
        "OK",
        "A - - A",
    ),
    _case("another-subject-first", says(_second_subject), "OK", "A - - A"),
    _case("name-on-another-digest", says(_name_on_other), _OTHER_NAME, "A - - A", _NO_NAME),
    _case(
        "for-another-tag", subject(name="HOST/app:2"), _OTHER_NAME, "A - - A", _NO_NAME, attack=8
    ),
    _case("without-a-name", subject(name=""), _OTHER_NAME, "A - - A", _NO_NAME),
    _case(
        "sbom-as-signature",
        says(lambda s: s.update(predicateType=CYCLONEDX)),
        "signature: WRONG_PREDICATE_TYPE",
        "A - - A",
        _ANY_TYPE,
        referrers=(False, True),
        command=True,
        attack=9,
    ),
    _case(
        "provenance-as-signature",
        says(lambda s: s.update(predicateType=SLSA_PROVENANCE)),
        "signature: WRONG_PREDICATE_TYPE",
        "A - - A",
        _ANY_TYPE,
    ),
    _case(
        "no-predicate-type",
        says(lambda s: s.pop("predicateType")),
        _BAD_STATEMENT,
        "A - - A",
        _ANY_TYPE,
    ),
    _case("no-predicate", says(lambda s: s.pop("predicate")), "OK", "A - - A"),
    _case(
        "predicate-of-a-list",
        says(lambda s: s.update(predicate=[])),
        _BAD_STATEMENT,
        "R - - A",
        _UNREAD,
    ),
    _case(
        "statement-of-another-type",
        says(lambda s: s.update(_type="https://in-toto.io/Statement/v9")),
        _BAD_STATEMENT,
        "A - - A",
        _ANY_TYPE,
    ),
    _case(
        "statement-v0.1",
        says(lambda s: s.update(_type="https://in-toto.io/Statement/v0.1")),
        "OK",
        "A - - A",
    ),
)

"""What comes along with a signature: log entries, promises and timestamps."""

import json

from imagekit.documents.fields import Fields, base64_text
from imagekit.documents.strictjson import loads
from imagekit.oci.types import IN_TOTO
from imagekit.signatures.bundle import Proofs
from imagekit.signatures.dsse import pae
from imagekit.signatures.logentry import Signed, parse_recorded
from imagekit.signatures.results import TransparencyResult
from imagekit.signatures.sigstore.promise import InclusionPromise
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.signatures.simplesigning import (
    LOG_ANNOTATION,
    SIGNATURE_ANNOTATION,
    TIMESTAMP_ANNOTATION,
)
from tests.attacks.fuzz.target import BrokenRuleError, Target, documents
from tests.support import witnesses
from tests.support.fakes import MemorySigner

_PAYLOAD = b"{}"
_MESSAGE = pae(IN_TOTO, _PAYLOAD)
_SIGNER = MemorySigner()
_KEY = _SIGNER.public_key
_SIGNED = Signed(signature=_SIGNER.sign(_MESSAGE), message=_MESSAGE, payload=_PAYLOAD)
_BARE = Signed(signature=_SIGNED.signature, message=_MESSAGE)
_OTHER = Signed(signature=b"another", message=b"another", payload=b"another")
_LOG = witnesses.MemoryLog()
_AUTHORITY = witnesses.MemoryAuthority()
_ROOT = witnesses.trust_root([_LOG.trusted()], [_AUTHORITY.trusted()])
_VERIFIER = SigstoreVerifier()
_STAMP = _AUTHORITY.stamp(_SIGNED.signature)


def _entry(raw: bytes) -> None:
    if parse_recorded(raw).is_of(_OTHER):
        raise BrokenRuleError("an entry is of what nobody logged")


def _proofs(raw: bytes) -> None:
    material = Fields.of(loads(raw, what="the material"), what="the material", code="BAD_BUNDLE")
    proofs = Proofs(material=material)
    _VERIFIER.key_proofs(proofs, _SIGNED, _KEY, root=_ROOT)
    _hold_nothing(_VERIFIER.key_proofs(proofs, _OTHER, _KEY, root=_ROOT))


def _stamp(raw: bytes) -> None:
    text = json.dumps({"SignedRFC3161Timestamp": base64_text(raw)})
    for signed in (_SIGNED, _OTHER):
        annotations = {
            SIGNATURE_ANNOTATION: base64_text(signed.signature),
            TIMESTAMP_ANNOTATION: text,
        }
        transparency = _VERIFIER.key_legacy(signed.message, annotations, _KEY, root=_ROOT)
        if signed is _OTHER:
            _hold_nothing(transparency)


def _promise(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    annotations = {SIGNATURE_ANNOTATION: base64_text(b"another"), LOG_ANNOTATION: text}
    _hold_nothing(_VERIFIER.key_legacy(b"another", annotations, _KEY, root=_ROOT))
    InclusionPromise.parse(text)


def _hold_nothing(transparency: TransparencyResult) -> None:
    """Hold that nobody testifies of a signature that was neither logged nor stamped."""
    if transparency.log.there or transparency.timestamps.there:
        raise BrokenRuleError("something testifies of a signature that nobody has seen")


_BODIES = (
    witnesses.hashedrekord(_BARE, _KEY),
    witnesses.hashedrekord_v2(_SIGNED, _KEY),
    witnesses.dsse(_SIGNED, _KEY),
    witnesses.intoto(_SIGNED, _KEY),
)

TARGETS = {
    "log-entry": Target(check=_entry, seeds=documents(*_BODIES), json=True),
    "proofs": Target(
        check=_proofs,
        seeds=documents(
            {
                "tlogEntries": [_LOG.entry(witnesses.dsse(_SIGNED, _KEY))],
                "timestampVerificationData": {
                    "rfc3161Timestamps": [{"signedTimestamp": base64_text(_STAMP)}]
                },
            }
        ),
        json=True,
    ),
    "timestamp": Target(check=_stamp, seeds=(_STAMP,)),
    "promise": Target(
        check=_promise,
        seeds=(_LOG.promise(witnesses.hashedrekord(_BARE, _KEY)).encode(),),
        json=True,
    ),
}

# What is imported when the verifier is first asked is not the first input's time.
for _target in TARGETS.values():
    _target.check(_target.seeds[0])

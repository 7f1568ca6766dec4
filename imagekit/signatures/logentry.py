"""What entries of transparency logs record: whose key signed which bytes.

The kinds that are read are those which signers of images write today:

- ``hashedrekord 0.0.1``, ``dsse 0.0.1`` and ``intoto 0.0.2`` of Rekor v1
  (https://github.com/sigstore/rekor/tree/main/pkg/types);
- ``hashedrekord 0.0.2`` of Rekor v2
  (https://github.com/sigstore/rekor-tiles/tree/main/api/proto/rekor/v2).
"""

import hashlib
from collections.abc import Callable, Mapping

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields, strict_base64
from imagekit.errors import DocumentError, SigningKeyError
from imagekit.signatures.publickey import PublicKey, parse_public_key

BAD_TLOG_ENTRY = "BAD_TLOG_ENTRY"
HASHEDREKORD = "hashedrekord 0.0.1"

_WHAT = "the log entry"
_V2 = "hashedrekord 0.0.2"
_DSSE = "dsse 0.0.1"
_INTOTO = "intoto 0.0.2"
# Rekor v2 records the pre-authentication encoding of an envelope, as it does any message.
_OF_ENVELOPES = frozenset({_DSSE, _INTOTO, _V2})
_OF_MESSAGES = frozenset({HASHEDREKORD, _V2})
_ALGORITHMS = {"sha256": "sha256", "sha384": "sha384", "sha512": "sha512"}
# Protobuf's names (sigstore_common.proto, HashAlgorithm).
_ALGORITHMS_V2 = {"SHA2_256": "sha256", "SHA2_384": "sha384", "SHA2_512": "sha512"}


class Signed(Struct, frozen=True, kw_only=True):
    """A signature and the bytes that it is over."""

    signature: bytes
    message: bytes
    """What the signature is over; of an envelope its pre-authentication encoding."""
    payload: bytes | None = None
    """Of an envelope: the payload alone, by which some logs record it."""


class Recorded(Struct, frozen=True, kw_only=True):
    """What a log has recorded."""

    kind: str
    """Kind and version of the entry: ``hashedrekord 0.0.1``."""
    signature: bytes
    signer: bytes
    """The public key or certificate: in PEM, in Rekor v2 in DER."""
    algorithm: str
    """As ``hashlib`` names it."""
    digest: bytes
    """Of the message; ``dsse`` and ``intoto`` record that of the envelope's payload."""
    certified: bool = False
    """Rekor v2: the signer is a certificate and no key."""

    def is_of(self, signed: Signed) -> bool:
        """Return whether exactly this signature over exactly these bytes was recorded."""
        # sigstore_rekor.proto, canonicalized_body: clients must verify that the signature in it is
        # that of the bundle; and what it is over, or the entry could be of another artifact.
        enveloped = signed.payload is not None
        if self.kind not in (_OF_ENVELOPES if enveloped else _OF_MESSAGES):
            return False
        # Both schemas have a ``payloadHash``, which says nothing of the payload's type.
        covered = signed.message
        if self.kind in {_DSSE, _INTOTO}:
            covered = signed.payload or b""
        same = hashlib.new(self.algorithm, covered).digest() == self.digest
        return same and self.signature == signed.signature

    def is_by(self, key: PublicKey) -> bool:
        """Return whether it was recorded for this very key, and no certificate of it."""
        if self.kind == _V2:
            return not self.certified and self.signer == key.der
        # As keys and not as bytes: PEM can be written in many ways. A certificate is no key in PEM.
        try:
            return parse_public_key(self.signer) == key
        except SigningKeyError:
            return False


def parse_recorded(raw: bytes) -> Recorded:
    """Read the body of an entry.

    Raises:
        DocumentError: it is of another kind, or not what that kind holds (``BAD_TLOG_ENTRY``), or
            programs could read it differently (``AMBIGUOUS_JSON``).
    """
    try:
        document = strictjson.loads(raw, what=_WHAT)
    except DocumentError as error:
        if error.code == "AMBIGUOUS_JSON":
            raise
        raise DocumentError(error.message, code=BAD_TLOG_ENTRY) from error
    entry = Fields.of(document, what=_WHAT, code=BAD_TLOG_ENTRY)
    kind = f"{entry.text('kind')} {entry.text('apiVersion')}"
    read = _READERS.get(kind)
    if read is None:
        raise entry.fault(f"is of the kind {kind[:80]!r}, which is none of {', '.join(_READERS)}")
    return read(entry.object("spec"))


def _hashedrekord(spec: Fields) -> Recorded:
    algorithm, digest = _hash(spec.object("data").object("hash"))
    signature = spec.object("signature")
    return Recorded(
        kind=HASHEDREKORD,
        signature=signature.base64("content"),
        signer=signature.object("publicKey").base64("content"),
        algorithm=algorithm,
        digest=digest,
    )


def _dsse(spec: Fields) -> Recorded:
    # ``envelopeHash`` is not looked at: nobody else has the bytes of the envelope as they were
    # sent.
    algorithm, digest = _hash(spec.object("payloadHash"))
    signature = _only(spec)
    return Recorded(
        kind=_DSSE,
        signature=signature.base64("signature"),
        signer=signature.base64("verifier"),
        algorithm=algorithm,
        digest=digest,
    )


def _intoto(spec: Fields) -> Recorded:
    content = spec.object("content")
    algorithm, digest = _hash(content.object("payloadHash"))
    signature = _only(content.object("envelope"))
    # This kind, and no other, has the signature in base64 of base64.
    once = signature.base64("sig")
    twice = strict_base64(once.decode("ascii", "replace"))
    if twice is None:
        raise signature.fault("has no base64 of base64 in 'sig'")
    return Recorded(
        kind=_INTOTO,
        signature=twice,
        signer=signature.base64("publicKey"),
        algorithm=algorithm,
        digest=digest,
    )


def _hashedrekord_v2(spec: Fields) -> Recorded:
    recorded = spec.object("hashedRekordV002")
    data, signature = recorded.object("data"), recorded.object("signature")
    verifier = signature.object("verifier")
    has_key = verifier.get("publicKey") is not None
    if has_key == (verifier.get("x509Certificate") is not None):
        raise verifier.fault("must have one of publicKey and x509Certificate")
    return Recorded(
        kind=_V2,
        signature=signature.base64("content"),
        signer=verifier.object("publicKey" if has_key else "x509Certificate").base64("rawBytes"),
        algorithm=_algorithm(data, _ALGORITHMS_V2),
        digest=data.base64("digest"),
        certified=not has_key,
    )


_READERS: Mapping[str, Callable[[Fields], Recorded]] = {
    HASHEDREKORD: _hashedrekord,
    _DSSE: _dsse,
    _INTOTO: _intoto,
    _V2: _hashedrekord_v2,
}


def _only(fields: Fields) -> Fields:
    """Return the only signature of an envelope."""
    signatures = fields.array("signatures", limit=1)
    if not signatures:
        raise fields.fault("has no signature")
    return Fields.of(signatures[0], what=f"{_WHAT}: signature", code=BAD_TLOG_ENTRY)


def _hash(fields: Fields) -> tuple[str, bytes]:
    text = fields.text("value")
    try:
        return _algorithm(fields, _ALGORITHMS), bytes.fromhex(text)
    except ValueError as error:
        raise fields.fault("has no hexadecimal text in 'value'") from error


def _algorithm(fields: Fields, names: Mapping[str, str]) -> str:
    name = names.get(fields.text("algorithm"))
    if name is None:
        raise fields.fault(f"has none of {', '.join(names)} in 'algorithm'")
    return name

"""Sigstore bundles: one DSSE envelope and what is needed to verify it.

https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
Bundles by key are read here whole. Those by certificate are taken apart only as far as needed to
tell what they claim; sigstore-python reads the exact same bytes again to verify them.
"""

import json

from msgspec import Struct
from msgspec.structs import replace

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields, base64_text, strict_base64
from imagekit.errors import DocumentError
from imagekit.oci.types import BUNDLE, IN_TOTO
from imagekit.signatures.dsse import Envelope
from imagekit.signatures.logentry import BAD_TLOG_ENTRY
from imagekit.signatures.publickey import PublicKey

BAD_BUNDLE = "BAD_BUNDLE"
BAD_TIMESTAMP = "BAD_TIMESTAMP"
MAX_PROOFS = 32
"""Most log entries, and most timestamps, that are read of a bundle; signers write one."""
MAX_BUNDLE = 32 << 20
"""Largest bundle that is read, in bytes: an SBOM of a big image has some megabytes."""
_SHA256 = 32
# sigstore_bundle.proto, Bundle.media_type: the present one, and those that clients must accept.
MEDIA_TYPES = frozenset(
    {
        BUNDLE,
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
    }
)

_WHAT = "the bundle"
# The names in ProtoJSON of VerificationMaterial's and of Bundle's ``oneof content``.
_MATERIALS = ("publicKey", "certificate", "x509CertificateChain")
_CONTENTS = ("dsseEnvelope", "messageSignature")
_EVIDENCE = ("tlogEntries", "timestampVerificationData")


class Proofs(Struct, frozen=True, kw_only=True):
    """Log entries and timestamps that came along with a signature; they are not verified yet."""

    material: Fields

    @property
    def none(self) -> bool:
        """Whether there are none."""
        entries = self.material.get("tlogEntries")
        return not (entries or self.material.get("timestampVerificationData"))

    @property
    def log_entries(self) -> tuple[object, ...]:
        """The entries, as JSON.

        Raises:
            DocumentError: they are no list, or too many (``BAD_TLOG_ENTRY``).
        """
        if self.material.get("tlogEntries") is None:
            return ()
        fields = replace(self.material, code=BAD_TLOG_ENTRY)
        return tuple(fields.array("tlogEntries", limit=MAX_PROOFS))

    @property
    def timestamps(self) -> tuple[bytes, ...]:
        """The timestamps' responses (RFC 3161, section 2.4.2), in DER.

        Raises:
            DocumentError: they are no list of these, or too many (``BAD_TIMESTAMP``).
        """
        # TimestampVerificationData knows this one format, and may know more some day.
        fields = replace(self.material, code=BAD_TIMESTAMP)
        stamps = fields.optional_object("timestampVerificationData")
        stamps.only(("rfc3161Timestamps",))
        if stamps.get("rfc3161Timestamps") is None:
            return ()
        entries = stamps.array("rfc3161Timestamps", limit=MAX_PROOFS)
        what = "the timestamp"
        return tuple(
            Fields.of(entry, what=what, code=BAD_TIMESTAMP).base64("signedTimestamp")
            for entry in entries
        )


class KeyBundle(Struct, frozen=True, kw_only=True):
    """An envelope that a plain key signed; ``hint`` says which, and is only a hint."""

    envelope: Envelope
    hint: str
    proofs: Proofs


class CertificateBundle(Struct, frozen=True, kw_only=True):
    """An envelope signed under a short-lived certificate; ``raw`` is for sigstore-python.

    Nothing in ``envelope`` may be believed before ``raw`` was verified.
    """

    raw: bytes
    envelope: Envelope
    proofs: Proofs


Bundle = KeyBundle | CertificateBundle


def parse_bundle(raw: bytes) -> Bundle:
    """Read a bundle from its exact bytes.

    Raises:
        DocumentError: it is not a bundle of version 0.1 to 0.3 that holds an envelope with
            exactly one signature (code ``BAD_BUNDLE``), or ambiguous (``AMBIGUOUS_JSON``).
    """
    if len(raw) > MAX_BUNDLE:
        raise DocumentError(
            f"{_WHAT} has {len(raw)} bytes; at most {MAX_BUNDLE} are read", code=BAD_BUNDLE
        )
    try:
        document = strictjson.loads(raw, what=_WHAT)
    except DocumentError as error:
        if error.code == "AMBIGUOUS_JSON":
            raise
        raise DocumentError(error.message, code=BAD_BUNDLE) from error
    fields = Fields.of(document, what=_WHAT, code=BAD_BUNDLE)
    # ProtoJSON's parsers refuse unknown keys unless they are told otherwise; so do we.
    fields.only(("mediaType", "verificationMaterial", *_CONTENTS))
    media_type = fields.text("mediaType")
    if media_type not in MEDIA_TYPES:
        raise fields.fault(f"is of the unknown kind {media_type[:120]!r}")
    # A message signature has no subject and no name: nothing says what the bytes are.
    if _only_one(fields, _CONTENTS) != "dsseEnvelope":
        raise fields.fault(
            "signs bare bytes and no statement about an image",
            hint="sign with cosign 3, cosign attest or imagekit, not with cosign sign-blob",
        )
    material = fields.object("verificationMaterial")
    material.only((*_MATERIALS, *_EVIDENCE))
    envelope = _envelope(fields.object("dsseEnvelope"))
    if _only_one(material, _MATERIALS) == "publicKey":
        key = material.object("publicKey")
        key.only(("hint",))
        return KeyBundle(
            envelope=envelope,
            hint=key.optional_text("hint"),
            proofs=Proofs(material=material),
        )
    return CertificateBundle(raw=raw, envelope=envelope, proofs=Proofs(material=material))


def key_bundle_bytes(statement: bytes, signature: bytes, public_key: PublicKey) -> bytes:
    """Write the bundle of a statement that a plain key signed, field by field as cosign does.

    Args:
        statement: the exact bytes of the in-toto statement.
        signature: over ``dsse.pae(IN_TOTO, statement)``.
        public_key: the public half of the key that signed.
    """
    # The envelope has no ``keyid``: sigstore_bundle.proto wants it to equal the hint where both are
    # there, and cosign writes the hint alone.
    document = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": public_key.hint}},
        "dsseEnvelope": {
            "payload": base64_text(statement),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": base64_text(signature)}],
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _only_one(fields: Fields, keys: tuple[str, ...]) -> str:
    # A oneof; ProtoJSON takes null for a field that is not there.
    present = [key for key in keys if fields.get(key) is not None]
    if len(present) != 1:
        raise fields.fault(f"must have exactly one of {', '.join(keys)}")
    return present[0]


def _envelope(fields: Fields) -> Envelope:
    fields.only(("payload", "payloadType", "signatures"))
    # Bundle.dsse_envelope: a client must reject any other number of signatures than one.
    signatures = fields.array("signatures", limit=1)
    if not signatures:
        raise fields.fault("has no signature")
    signature = Fields.of(signatures[0], what=f"{fields.what}: signature", code=BAD_BUNDLE)
    signature.only(("sig", "keyid"))
    # Stricter than ProtoJSON, and than DSSE, whose verifiers must take URL-safe base64 as well
    # (protocol.md, Protocol): signers of bundles write the standard alphabet, and an envelope has
    # one spelling here.
    return Envelope(
        payload=fields.base64("payload"),
        payload_type=fields.text("payloadType"),
        signatures=(signature.base64("sig"),),
    )


def hinted_fingerprint(hint: str) -> str:
    """Return the fingerprint of the key that ``publicKey.hint`` names; empty where it is none."""
    # PublicKeyIdentifier.hint: its form is free; recommended, and written by cosign, is the SHA-256
    # of the DER, as RFC 6962 section 3.2 makes the id of a log.
    raw = strict_base64(hint)
    return f"SHA256:{raw.hex()}" if raw is not None and len(raw) == _SHA256 else ""

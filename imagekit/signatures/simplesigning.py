"""Simple signing payloads: what a layer of the legacy ``.sig`` tag signs.

https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md says where they lie, and
containers-signature(5) what they hold. A payload with other keys than these is refused by c/image
(signature/internal/sigstore_payload.go), and so it is here.
"""

from collections.abc import Mapping

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import DocumentError, InvalidReferenceError
from imagekit.oci.digest import Digest

BAD_PAYLOAD = "BAD_PAYLOAD"
BAD_TIMESTAMP = "BAD_TIMESTAMP"
MAX_PAYLOAD = 64 << 10
"""Largest payload that is read, in bytes; signers write a few hundred."""
# SIGNATURE_SPEC.md, OCI Image Manifest V1. Of the annotations, only that of the signature has the
# older prefix, whatever the text of the specification says.
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
"""Annotation of the layer: the signature of the payload, in base64."""
CERTIFICATE_ANNOTATION = "dev.sigstore.cosign/certificate"
"""Keyless: the certificate of the signer, in PEM."""
CHAIN_ANNOTATION = "dev.sigstore.cosign/chain"
"""Keyless: the certificates above it, in PEM."""
LOG_ANNOTATION = "dev.sigstore.cosign/bundle"
"""The log's promise (SET) and the entry that it is for, in JSON."""
TIMESTAMP_ANNOTATION = "dev.sigstore.cosign/rfc3161timestamp"
"""The timestamp of the signature (RFC 3161), in JSON."""

# SIGNATURE_SPEC.md, Simple Signing; containers-signature(5) itself has another word.
_TYPE = "cosign container image signature"
_WHAT = "the signature's payload"


class SimpleSigning(Struct, frozen=True, kw_only=True):
    """The claim of a payload: this digest is the image of that name."""

    identity: str
    """``HOST/PATH:TAG`` as imagekit and skopeo write it, ``HOST/PATH`` as cosign does."""
    digest: Digest


def payload_bytes(claim: SimpleSigning) -> bytes:
    """Write the payload: the same claim gives the same bytes."""
    # cosign ignores the identity; c/image compares it with what is pulled, by default with its tag.
    critical = {
        "identity": {"docker-reference": claim.identity},
        "image": {"docker-manifest-digest": str(claim.digest)},
        "type": _TYPE,
    }
    # cosign writes null where there is nothing; containers-signature(5) speaks of an object, and
    # c/image takes both.
    return strictjson.dumps({"critical": critical, "optional": None})


def parse_payload(raw: bytes) -> SimpleSigning:
    """Read a payload from its exact bytes.

    Raises:
        DocumentError: it is not one (code ``BAD_PAYLOAD``), or ambiguous (``AMBIGUOUS_JSON``).
    """
    if len(raw) > MAX_PAYLOAD:
        raise DocumentError(
            f"{_WHAT} has {len(raw)} bytes; at most {MAX_PAYLOAD} are read", code=BAD_PAYLOAD
        )
    try:
        document = strictjson.loads(raw, what=_WHAT)
    except DocumentError as error:
        if error.code == "AMBIGUOUS_JSON":
            raise
        raise DocumentError(error.message, code=BAD_PAYLOAD) from error
    fields = Fields.of(document, what=_WHAT, code=BAD_PAYLOAD)
    # containers-signature(5), JSON processing and forward compatibility: exactly these two, and in
    # ``critical`` and below it nothing that is unknown, since it may restrict what is claimed.
    fields.exactly(("critical", "optional"))
    _check_optional(fields.optional_object("optional"))
    critical = fields.object("critical")
    critical.exactly(("type", "image", "identity"))
    if critical.text("type") != _TYPE:
        raise critical.fault(f"has the type {critical.text('type')[:80]!r} and not {_TYPE!r}")
    image, identity = critical.object("image"), critical.object("identity")
    image.exactly(("docker-manifest-digest",))
    identity.exactly(("docker-reference",))
    # Only here and in ``docker-reference`` is it said which image is meant: the signature is
    # detached (SIGNATURE_SPEC.md, Properties, ``payload``).
    try:
        digest = Digest.parse(image.text("docker-manifest-digest"))
    except InvalidReferenceError as error:
        raise image.fault(f"is malformed: {error.message}") from error
    return SimpleSigning(identity=identity.text("docker-reference"), digest=digest)


def legacy_timestamps(annotations: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return the timestamp beside a signature (RFC 3161, a response in DER), if there is one.

    Raises:
        DocumentError: it is not what cosign writes (code ``BAD_TIMESTAMP``).
    """
    text = annotations.get(TIMESTAMP_ANNOTATION, "")
    if not text:
        return ()
    what = "the timestamp beside the signature"
    try:
        # Half a surrogate pair is no UTF-8, and refused as such.
        document = strictjson.loads(text.encode(errors="surrogatepass"), what=what)
    except DocumentError as error:
        raise DocumentError(error.message, code=BAD_TIMESTAMP) from error
    fields = Fields.of(document, what=what, code=BAD_TIMESTAMP)
    fields.exactly(("SignedRFC3161Timestamp",))
    return (fields.base64("SignedRFC3161Timestamp"),)


def _check_optional(fields: Fields) -> None:
    """Check the two keys that c/image gives a type to; others are free.

    containers-signature(5), ``optional``: unknown members are accepted, known ones that are invalid
    refused.
    """
    if "creator" in fields.values:
        fields.text("creator")
    timestamp = fields.get("timestamp")
    # ``optional.timestamp`` is representable as a 64-bit integer; a bool is an int in Python.
    whole = isinstance(timestamp, int) and not isinstance(timestamp, bool)
    if "timestamp" in fields.values and not whole:
        raise fields.fault("has a timestamp that is not a whole number")

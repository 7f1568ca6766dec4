"""A log's signed promise to include an entry (SET), as cosign's legacy annotation has it.

https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md; only Rekor v1 gives such
promises. sigstore-python verifies them in bundles, with an inclusion proof, which this form lacks.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields, base64_text
from imagekit.errors import DocumentError, VerificationError
from imagekit.signatures.logentry import BAD_TLOG_ENTRY, Recorded, Signed, parse_recorded
from imagekit.signatures.sigstore.trustedroot import guarded

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from imagekit.signatures.sigstore.internals import RekorKeyring

_CODE = BAD_TLOG_ENTRY
_LATEST = 1 << 40


class InclusionPromise(Struct, frozen=True, kw_only=True):
    """What the log has signed: an entry, its place and the time."""

    signature: bytes
    body: bytes
    time: datetime
    index: int
    log_id: bytes

    @classmethod
    def parse(cls, text: str) -> "InclusionPromise":
        """Read the annotation.

        Raises:
            DocumentError: it is missing, or not what cosign writes.
        """
        if not text:
            raise DocumentError(
                "the signature has no entry of a log beside it", code="NO_TLOG_ENTRY"
            )
        # Half a surrogate pair is no UTF-8, and refused as such.
        raw = text.encode(errors="surrogatepass")
        document = strictjson.loads(raw, what="the log entry")
        fields = Fields.of(document, what="the log entry", code=_CODE)
        # SIGNATURE_SPEC.md, Properties, ``bundle``: all of these are required, and none is known
        # besides.
        fields.exactly(("SignedEntryTimestamp", "Payload"))
        entry = fields.object("Payload")
        entry.exactly(("body", "integratedTime", "logIndex", "logID"))
        return cls(
            signature=fields.base64("SignedEntryTimestamp"),
            body=entry.base64("body"),
            time=datetime.fromtimestamp(_number(entry, "integratedTime"), UTC),
            index=_number(entry, "logIndex"),
            log_id=_hexadecimal(entry, "logID"),
        )

    @property
    def payload(self) -> Mapping[str, object]:
        """The entry as the log signs it."""
        return {
            "body": base64_text(self.body),
            "integratedTime": int(self.time.timestamp()),
            "logID": self.log_id.hex(),
            "logIndex": self.index,
        }

    @property
    def text(self) -> str:
        """The annotation."""
        document = {"SignedEntryTimestamp": base64_text(self.signature), "Payload": self.payload}
        return strictjson.dumps(document).decode()

    def check_signature(self, keys: "RekorKeyring") -> None:
        """Verify the promise.

        Args:
            keys: those of the log that it says to be of.

        Raises:
            VerificationError: none of them signed it.
        """
        from sigstore.errors import VerificationError as Refused

        from imagekit.signatures.sigstore.internals import verify_by_log

        # Sorted keys and no blanks: for these four values that is RFC 8785's canonical form
        # (sections 3.2.1 and 3.2.3), of which the log has signed the bytes (sigstore_rekor.proto,
        # InclusionPromise).
        signed = strictjson.dumps(self.payload)
        try:
            verify_by_log(keys, self.log_id, signature=self.signature, data=signed)
        except Refused as error:
            raise VerificationError("the log did not sign this promise", code=_CODE) from error


def check_certified_body(body: bytes, signed: Signed, certificate: "Certificate") -> None:
    """Check that a log entry is of this certificate, signature and message.

    Raises:
        DocumentError: it cannot be read.
        VerificationError: it is of something else (CVE-2022-36056, CVE-2026-22703).
    """
    # Without this, the time of any other entry of the log could be claimed for a signature.
    recorded = parse_recorded(body)
    if not (recorded.is_of(signed) and _certificate_of(recorded) == certificate):
        raise VerificationError(
            "the log entry is of another signature, certificate or message", code=_CODE
        )


def _certificate_of(recorded: Recorded) -> "Certificate":
    from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate

    read = load_der_x509_certificate if recorded.certified else load_pem_x509_certificate
    return guarded(lambda: read(recorded.signer), code=_CODE)


def _number(fields: Fields, key: str) -> int:
    value = fields.get(key)
    if type(value) is not int or not 0 <= value < _LATEST:
        raise fields.fault(f"has no number in {key!r}")
    return value


def _hexadecimal(fields: Fields, key: str) -> bytes:
    text = fields.text(key)
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise fields.fault(f"has no hexadecimal text in {key!r}") from error

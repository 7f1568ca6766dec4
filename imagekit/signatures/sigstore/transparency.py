"""What logs and timestamp authorities prove of a signature by a plain key.

sigstore-python verifies these for certificates only. Its parts are used: Merkle proofs,
checkpoints and promises. What must hold:

1. A log entry names a log of the trusted root that was valid at the signature's trusted times, or,
   where no time is proven, is valid now.
2. Its inclusion proof leads to a checkpoint that this log signed; where it has a promise (Rekor
   v1), the log signed that as well, and only then its time counts.
3. What it records is this very signature, key and message.
4. No log counts twice. Of timestamps see ``timestamps``.

What names no service of the trusted root proves nothing, and is no fault.
"""

from base64 import b64decode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from imagekit.documents.fields import Fields
from imagekit.errors import VerificationError
from imagekit.signatures.bundle import BAD_TIMESTAMP, Proofs
from imagekit.signatures.logentry import BAD_TLOG_ENTRY, Recorded, Signed, parse_recorded
from imagekit.signatures.publickey import PublicKey
from imagekit.signatures.results import ServiceResult
from imagekit.signatures.sigstore.promise import InclusionPromise
from imagekit.signatures.sigstore.timestamps import judge_timestamps, with_fault
from imagekit.signatures.sigstore.trustedroot import guarded, knows_log, log_keys

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse
    from sigstore.models import TransparencyLogEntry, TrustedRoot

    from imagekit.signatures.sigstore.internals import RekorKeyring

_WHAT = "the log entry"
_NO_TIME = "NO_TRUSTED_TIME"


class TransparencyVerifier(Struct, frozen=True, kw_only=True):
    """One signature by a key, and the trusted root that entries and timestamps are verified by."""

    trusted: "TrustedRoot"
    key: PublicKey
    signed: Signed
    now: datetime

    def timestamps(self, read: Callable[[], Sequence[bytes]]) -> ServiceResult:
        """Judge timestamps, each a response in DER."""
        return with_fault(
            lambda: judge_timestamps(self.trusted, read(), self.signed.signature),
            code=BAD_TIMESTAMP,
        )

    def log(self, read: Callable[[], Sequence[object]], times: Sequence[datetime]) -> ServiceResult:
        """Judge the log entries of a bundle, each as JSON.

        Args:
            read: gives the entries.
            times: what timestamps prove; Rekor v2 has no times of its own.
        """
        return with_fault(lambda: self._entries(read(), times), code=BAD_TLOG_ENTRY)

    def promise(self, text: str) -> ServiceResult:
        """Judge a log's promise as the legacy form has it; an empty text is none."""
        return (
            with_fault(lambda: self._promise(text), code=BAD_TLOG_ENTRY)
            if text
            else ServiceResult()
        )

    def _entries(self, entries: Sequence[object], stamped: Sequence[datetime]) -> ServiceResult:
        seen: set[bytes] = set()
        times: list[datetime] = []
        foreign = False
        for entry in entries:
            fields = Fields.of(entry, what=_WHAT, code=BAD_TLOG_ENTRY)
            # The SHA-256 of the log's key (sigstore_trustroot.proto, log_id): a name, and no proof.
            log_id = fields.object("logId").base64("keyId")
            if not knows_log(self.trusted, log_id):
                foreign = True
                continue
            if log_id in seen:
                raise VerificationError("one log has two entries of it", code=BAD_TLOG_ENTRY)
            seen.add(log_id)
            times += self._entry(fields, log_id, stamped)
        return ServiceResult(there=bool(seen), times=tuple(sorted(times)), foreign=foreign)

    def _entry(
        self, fields: Fields, log_id: bytes, stamped: Sequence[datetime]
    ) -> tuple[datetime, ...]:
        """Verify an entry of a bundle; return the moment that its log promises, if it does."""
        from imagekit.signatures.sigstore.internals import entry_message

        entry = _read_entry(fields)
        inner = entry_message(entry)
        # sigstore_rekor.proto: without an inclusion promise, integrated_time must not be trusted.
        promised: tuple[datetime, ...] = ()
        if inner.inclusion_promise is not None:
            promised = (datetime.fromtimestamp(inner.integrated_time or 0, UTC),)
        keys = log_keys(self.trusted, log_id, promised or stamped or (self.now,))
        check_logged(entry, keys, promised=bool(promised))
        kind = f"{inner.kind_version.kind} {inner.kind_version.version}"
        self._check_body(bytes(inner.canonicalized_body), kind=kind)
        return promised

    def _promise(self, text: str) -> ServiceResult:
        promise = InclusionPromise.parse(text)
        if not knows_log(self.trusted, promise.log_id):
            return ServiceResult(foreign=True)
        promise.check_signature(log_keys(self.trusted, promise.log_id, [promise.time]))
        self._check_body(promise.body)
        return ServiceResult(there=True, times=(promise.time,))

    def _check_body(self, body: bytes, *, kind: str = "") -> None:
        recorded = _recorded(body, kind=kind)
        if not (recorded.is_of(self.signed) and recorded.is_by(self.key)):
            raise VerificationError(
                "the log entry is of another signature, key or message", code=BAD_TLOG_ENTRY
            )


def _recorded(body: bytes, *, kind: str = "") -> Recorded:
    # ``kindVersion`` stands outside of what the log has signed; the body says what it is itself.
    recorded = parse_recorded(body)
    if kind and kind != recorded.kind:
        raise VerificationError(
            f"the log entry says to be {kind[:80]!r} and is {recorded.kind}", code=BAD_TLOG_ENTRY
        )
    return recorded


def _read_entry(fields: Fields) -> "TransparencyLogEntry":
    from sigstore.models import TransparencyLogEntry
    from sigstore_models.rekor.v1 import TransparencyLogEntry as Document

    # Protobuf's JSON leaves out zeros and empty lists: the first entry of a log has both.
    document: dict[str, Any] = {"logIndex": "0", **fields.values}
    proof = fields.get("inclusionProof")
    if isinstance(proof, dict):
        document["inclusionProof"] = {"logIndex": "0", "hashes": [], **proof}
    return TransparencyLogEntry(Document.from_dict(document))


def check_proofs(proofs: Proofs) -> None:
    """Check that what comes with a certificate's signature has the parts that are verified of it.

    Raises:
        DocumentError: an entry has no inclusion proof, that has no checkpoint, or what is recorded
            cannot be read (``BAD_TLOG_ENTRY``).
        VerificationError: there is not one entry, or what is recorded is of another kind
            (``BAD_TLOG_ENTRY``); no time is proven (``NO_TRUSTED_TIME``).
    """
    entries = [Fields.of(entry, what=_WHAT, code=BAD_TLOG_ENTRY) for entry in proofs.log_entries]
    if len(entries) != 1:
        raise VerificationError(
            f"a certificate's signature has one log entry, and there are {len(entries)}",
            code=BAD_TLOG_ENTRY,
        )
    # sigstore_rekor.proto: inclusion_proof and its checkpoint are required; bundles of version 0.1
    # that have a promise only are not taken.
    entry = entries[0]
    entry.object("inclusionProof").object("checkpoint")
    named = entry.object("kindVersion")
    _recorded(
        entry.base64("canonicalizedBody"), kind=f"{named.text('kind')} {named.text('version')}"
    )
    data = proofs.material.optional_object("timestampVerificationData").values
    stamps = data.get("rfc3161Timestamps")
    guarded(lambda: [_decoded(stamp) for stamp in stamps or ()], code=_NO_TIME)
    # sigstore_bundle.proto, verification_material: it must be verified that the certificate was
    # valid when the signature was made; it lives for minutes.
    if not (entry.get("inclusionPromise") or stamps):
        raise VerificationError(
            "neither a log nor a timestamp authority proves when it was signed",
            code=_NO_TIME,
        )


def _decoded(stamp: Any) -> "TimeStampResponse":
    from rfc3161_client import decode_timestamp_response

    # As lenient as protobuf's JSON: what was decoded is verified afterwards.
    return decode_timestamp_response(b64decode(stamp["signedTimestamp"]))


def check_logged(entry: "TransparencyLogEntry", keys: "RekorKeyring", *, promised: bool) -> None:
    """Verify that an entry is in a log: proof, checkpoint, that both are of one tree, and promise.

    Args:
        entry: as the library has it.
        keys: those of the log.
        promised: whether the log's promise with its time is there, and counts.

    Raises:
        Exception: what the library raises; see ``guarded``.
    """
    from imagekit.signatures.sigstore import internals

    # RFC 9162, section 2.1.3.2: a proof is for one size and one root of the tree; the log has
    # signed both in the checkpoint (C2SP, tlog-checkpoint.md, Note text), of which the library
    # compares the root only.
    size = internals.verify_inclusion(entry, keys)
    if size is None:
        raise VerificationError("the inclusion proof has no checkpoint", code=BAD_TLOG_ENTRY)
    if size != internals.entry_message(entry).inclusion_proof.tree_size:
        raise VerificationError(
            "the inclusion proof is for another size of the log than its checkpoint",
            code=BAD_TLOG_ENTRY,
        )
    if promised:
        internals.verify_promise(entry, keys)

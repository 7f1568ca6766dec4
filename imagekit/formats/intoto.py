"""in-toto statements as JSON (in-toto attestation framework, spec/v1/statement.md)."""

from collections.abc import Mapping
from typing import Any

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import DocumentError, InvalidReferenceError
from imagekit.formats.dsse import Envelope
from imagekit.model.statement import Statement, Subject
from imagekit.oci.digest import Digest
from imagekit.oci.types import IN_TOTO

STATEMENT = "https://in-toto.io/Statement/v1"
# cosign still writes v0.1 for some attestations; what imagekit reads of both is the same.
STATEMENT_TYPES = frozenset({STATEMENT, "https://in-toto.io/Statement/v0.1"})
BAD_STATEMENT = "BAD_STATEMENT"
MAX_SUBJECTS = 1024

_WHAT = "the statement"
_IDENTIFYING = ("sha256", "sha512")


def parse_statement(raw: bytes) -> Statement:
    """Read a statement from its exact bytes.

    Keys that the specification does not know are passed over, as it demands.

    Raises:
        DocumentError: it is not an in-toto statement, or says nothing about anything (code
            ``BAD_STATEMENT``), or programs could read it differently (``AMBIGUOUS_JSON``).
    """
    try:
        document = strictjson.loads(raw, what=_WHAT)
    except DocumentError as error:
        if error.code == "AMBIGUOUS_JSON":
            raise
        raise DocumentError(error.message, code=BAD_STATEMENT) from error
    fields = Fields.of(document, what=_WHAT, code=BAD_STATEMENT)
    kind = fields.text("_type")
    if kind not in STATEMENT_TYPES:
        raise fields.fault(f"has the type {kind[:120]!r} and not {STATEMENT}")
    predicate_type = fields.text("predicateType")
    if not predicate_type:
        raise fields.fault("has no predicate type")
    subjects = fields.array("subject", limit=MAX_SUBJECTS)
    if not subjects:
        raise fields.fault("has no subject")
    return Statement(
        subjects=tuple(_subject(subject) for subject in subjects),
        predicate_type=predicate_type,
        # cosign 3.0.0 to 3.0.4 wrote no predicate at all.
        predicate=fields.optional_object("predicate").values,
    )


def statement_of(envelope: Envelope) -> Statement:
    """Read the statement that an envelope holds.

    Raises:
        DocumentError: as ``parse_statement``, or the payload is said to be something else.
    """
    if envelope.payload_type != IN_TOTO:
        raise DocumentError(
            f"the envelope holds {envelope.payload_type[:120]!r} and not {IN_TOTO}",
            code=BAD_STATEMENT,
        )
    return parse_statement(envelope.payload)


def statement_bytes(statement: Statement) -> bytes:
    """Write a statement: the same statement gives the same bytes."""
    return strictjson.dumps(
        {
            "_type": STATEMENT,
            "subject": [_subject_object(subject) for subject in statement.subjects],
            "predicateType": statement.predicate_type,
            "predicate": dict(statement.predicate),
        }
    )


def _subject(value: Any) -> Subject:
    fields = Fields.of(value, what=f"{_WHAT}: a subject", code=BAD_STATEMENT)
    return Subject(
        name=fields.optional_text("name"),
        digest=_digest(fields.object("digest")),
        annotations=fields.optional_object("annotations").values,
    )


def _digest(fields: Fields) -> Digest:
    """Return the digest that identifies the subject; whatever else is given must be one too."""
    found = []
    for algorithm in _IDENTIFYING:
        if algorithm in fields.values:
            try:
                found.append(Digest(algorithm, fields.text(algorithm)))
            except InvalidReferenceError as error:
                raise fields.fault(f"is malformed: {error.message}") from error
    if not found:
        raise fields.fault("has neither sha256 nor sha512")
    return found[0]


def _subject_object(subject: Subject) -> Mapping[str, object]:
    document: dict[str, object] = {"digest": {subject.digest.algorithm: subject.digest.hex}}
    if subject.name:
        document["name"] = subject.name
    if subject.annotations:
        document["annotations"] = dict(subject.annotations)
    return document

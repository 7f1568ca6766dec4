"""in-toto statements as JSON (in-toto attestation framework, spec/v1/statement.md)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import DocumentError, InvalidReferenceError
from imagekit.oci.digest import Digest
from imagekit.oci.types import IN_TOTO
from imagekit.signatures.dsse import Envelope

_NOTHING: Mapping[str, object] = MappingProxyType({})
COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"
CYCLONEDX = "https://cyclonedx.org/bom"
SLSA_PROVENANCE = "https://slsa.dev/provenance/v1"
VSA = "https://slsa.dev/verification_summary/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
NEEDS = "https://imagekit.dev/needs/v1"
"""What an image needs of its node; a TypeURI that need not lead anywhere, as those of releases."""
REBUILD = "https://imagekit.dev/rebuild/v1"
"""That a second builder built an image again, and it came out the same."""
SELF_CONTAINED = "https://imagekit.dev/selfcontained/v1"
"""What the static checks of an image have found."""
SHORT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "cyclonedx": CYCLONEDX,
        "link": "https://in-toto.io/Link/v1",
        "openvex": "https://openvex.dev/ns",
        "rebuild": REBUILD,
        "selfcontained": SELF_CONTAINED,
        "slsaprovenance": "https://slsa.dev/provenance/v0.2",
        "slsaprovenance02": "https://slsa.dev/provenance/v0.2",
        "slsaprovenance1": SLSA_PROVENANCE,
        "spdx": "https://spdx.dev/Document",
        "spdxjson": "https://spdx.dev/Document",
        "test-result": TEST_RESULT,
        "vsa": VSA,
        "vuln": "https://cosign.sigstore.dev/attestation/vuln/v1",
    }
)
"""The short words of ``cosign attest --type``, some of our own, and what they stand for."""


class StatementSubject(Struct, frozen=True, kw_only=True):
    """What a statement is about."""

    digest: Digest
    name: str = ""
    """``HOST/PATH:TAG`` where imagekit signed; empty where cosign did."""
    annotations: Mapping[str, object] = field(default_factory=lambda: _NOTHING)


class Statement(Struct, frozen=True, kw_only=True):
    """A claim of a kind, ``predicate_type``, about its subjects.

    Statements that say the same compare equal, whatever bytes they were written in.
    """

    subjects: tuple[StatementSubject, ...]
    predicate_type: str
    predicate: Mapping[str, object] = field(default_factory=lambda: _NOTHING)


def full_type(word: str) -> str:
    """Return the predicate type that a short word stands for, or the text itself."""
    return SHORT_TYPES.get(word, word)


STATEMENT = "https://in-toto.io/Statement/v1"
# cosign still writes v0.1 for some attestations; what imagekit reads of both is the same.
STATEMENT_TYPES = frozenset({STATEMENT, "https://in-toto.io/Statement/v0.1"})
BAD_STATEMENT = "BAD_STATEMENT"
MAX_SUBJECTS = 1024

_WHAT = "the statement"
_IDENTIFYING = ("sha256", "sha512")


def parse_statement(raw: bytes) -> Statement:
    """Read a statement from its exact bytes.

    Keys that the specification does not know are passed over, as it demands (spec/v1/README.md,
    Parsing rules).

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
    # A TypeURI, required (statement.md, ``predicateType``): policies compare it as it is.
    if not predicate_type:
        raise fields.fault("has no predicate type")
    subjects = fields.array("subject", limit=MAX_SUBJECTS)
    # Required (statement.md, ``subject``); a statement about nothing would fit no image anyway.
    if not subjects:
        raise fields.fault("has no subject")
    return Statement(
        subjects=tuple(_subject(subject) for subject in subjects),
        predicate_type=predicate_type,
        # Optional, and unset is as good as empty (statement.md, ``predicate``): cosign 3.0.0 to
        # 3.0.4 wrote none.
        predicate=fields.optional_object("predicate").values,
    )


def statement_of(envelope: Envelope) -> Statement:
    """Read the statement that an envelope holds.

    Raises:
        DocumentError: as ``parse_statement``, or the payload is said to be something else.
    """
    # DSSE, protocol.md, To verify: an unsupported type is rejected before the payload is parsed.
    # envelope.md also allows ``application/vnd.in-toto.PREDICATE+json``, which is not taken.
    if envelope.payload_type != IN_TOTO:
        raise DocumentError(
            f"the envelope holds {envelope.payload_type[:120]!r} and not {IN_TOTO}",
            code=BAD_STATEMENT,
        )
    return parse_statement(envelope.payload)


def statement_bytes(statement: Statement) -> bytes:
    """Write a statement: the same statement gives the same bytes."""
    # No verifier needs a canonical form, since the envelope carries the bytes that were signed; but
    # what is signed again must be the same artifact.
    return strictjson.dumps(
        {
            "_type": STATEMENT,
            "subject": [_subject_object(subject) for subject in statement.subjects],
            "predicateType": statement.predicate_type,
            "predicate": dict(statement.predicate),
        }
    )


def _subject(value: Any) -> StatementSubject:
    fields = Fields.of(value, what=f"{_WHAT}: a subject", code=BAD_STATEMENT)
    return StatementSubject(
        name=fields.optional_text("name"),
        digest=_digest(fields.object("digest")),
        annotations=fields.optional_object("annotations").values,
    )


def _digest(fields: Fields) -> Digest:
    """Return the digest that identifies the subject; whatever else is given must be one too."""
    # digest_set.md, Guidelines: only algorithms that are thought secure count, others are ignored.
    # SHA-256 comes first, since registries name nearly all manifests by it.
    digests = []
    for algorithm in _IDENTIFYING:
        if algorithm in fields.values:
            try:
                digests.append(Digest(algorithm, fields.text(algorithm)))
            except InvalidReferenceError as error:
                raise fields.fault(f"is malformed: {error.message}") from error
    if not digests:
        raise fields.fault("has neither sha256 nor sha512")
    return digests[0]


def _subject_object(subject: StatementSubject) -> Mapping[str, object]:
    document: dict[str, object] = {"digest": {subject.digest.algorithm: subject.digest.hex}}
    if subject.name:
        document["name"] = subject.name
    if subject.annotations:
        document["annotations"] = dict(subject.annotations)
    return document

"""Receipts: verification summaries (VSA) that also bind the bytes that were staged.

The statement has two subjects, the image and what was made of it; the predicate is SLSA's.
https://slsa.dev/spec/v1.1/verification_summary
"""

from datetime import datetime

from imagekit.errors import DocumentError, InvalidReferenceError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, TaggedReference, parse_reference
from imagekit.offline.stage_target import STAGED, Receipt, StageKind
from imagekit.signatures.dsse import Envelope
from imagekit.signatures.intoto import VSA, Statement, StatementSubject, statement_of
from imagekit.signatures.vsa import ResourceDescriptor, Summary, parse_summary, summary_predicate
from imagekit.verify.verdict import Verdict

BAD_RECEIPT = "BAD_RECEIPT"
_SUBJECTS = 2


def receipt_statement(
    verdict: Verdict, *, verifier: str, kind: StageKind, staged: Digest, time: datetime
) -> Statement:
    """Return the statement to sign.

    Args:
        verdict: the verdict that allowed the image.
        verifier: the URI that policies of nodes list.
        kind: what the image was staged as.
        staged: of the staged bytes.
        time: when it was verified.

    Raises:
        ValueError: the verdict does not allow the image.
    """
    if not verdict.allowed or verdict.digest is None:
        raise ValueError("a receipt is for what was allowed")
    name = _named(verdict.reference).full
    summary = Summary(
        verifier=verifier,
        resource=name,
        policy=ResourceDescriptor(uri=verdict.policy, digest=verdict.policy_digest),
        result="PASSED",
        levels=(),
        time=time,
    )
    return Statement(
        subjects=(
            StatementSubject(name=name, digest=verdict.digest),
            StatementSubject(name=f"{STAGED}{kind}", digest=staged),
        ),
        predicate_type=VSA,
        predicate=summary_predicate(summary),
    )


def claimed(envelope: Envelope) -> Receipt:
    """Read what a receipt claims. None of it is trusted before the signature is verified.

    Raises:
        DocumentError: it is no receipt (code ``BAD_RECEIPT``).
    """
    statement = statement_of(envelope)
    if statement.predicate_type != VSA or len(statement.subjects) != _SUBJECTS:
        raise _bad("it is no verification summary of a staged image")
    image, staged = statement.subjects
    kind = staged.name.removeprefix(STAGED)
    if not staged.name.startswith(STAGED) or kind not in set(StageKind):
        raise _bad("it does not bind what was staged")
    summary = parse_summary(statement.predicate)
    # SLSA VSA, resourceUri: the resource that was verified is the one that the subject names.
    if summary.resource != image.name:
        raise _bad("its resourceUri is not the name of its subject")
    return Receipt(
        image=_image(image), kind=StageKind(kind), staged=staged.digest, time=summary.time
    )


def _image(subject: StatementSubject) -> PinnedReference:
    if subject.name.startswith("oci:"):
        raise _bad("it names the image by a folder")
    try:
        reference = parse_reference(subject.name)
    except InvalidReferenceError as error:
        raise _bad(error.message) from error
    if isinstance(reference, TaggedReference):
        return reference.pin(subject.digest)
    if reference.digest != subject.digest:
        raise _bad("it names two digests")
    return reference


def _named(reference: Reference) -> Reference:
    """Return the reference by the tag alone where there is one."""
    if isinstance(reference, PinnedReference) and reference.tag:
        return TaggedReference(reference.repository, reference.tag)
    return reference


def _bad(why: str) -> DocumentError:
    return DocumentError(f"the receipt cannot be used: {why}", code=BAD_RECEIPT)

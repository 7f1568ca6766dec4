"""Signing releases: statements with a sequence that only rises, one for each publish.

The next sequence of a set of tags is one more than the highest that their images have in the
registry, by releases of the same signer, or that the publisher has recorded.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from imagekit.errors import DocumentError, NotFoundError, RollbackStoreError
from imagekit.oci.reference import (
    PinnedReference,
    Repository,
    TaggedReference,
    canonical_name,
)
from imagekit.oci.types import NOTHING
from imagekit.sign.signing import SigningSession, subjects
from imagekit.signatures.intoto import Statement, StatementSubject
from imagekit.signatures.release import (
    RELEASE,
    WITHDRAWAL,
    Release,
    Withdrawal,
    parse_release,
    release_predicate,
    withdrawal_predicate,
)
from imagekit.verify.ports import RollbackStore


def release(
    session: SigningSession,
    *,
    tags: Sequence[str],
    memory: RollbackStore,
    annotations: Mapping[str, str] = NOTHING,
) -> None:
    """Sign a release of the image under these tags, unless it has one that names them all.

    Args:
        session: the image and its signer.
        tags: the tags that get the image now.
        memory: what this publisher has released before; one that cannot be read is skipped.
        annotations: stand beside the signed release, for people.

    Raises:
        RegistryError: the registry refused or did not answer.
    """
    image = session.image
    for attached, known in _releases(session, image):
        if set(tags) <= set(known.tags):
            session.keep(RELEASE, attached)
            return
    tagged = [TaggedReference(image.repository, tag) for tag in tags]
    highest = max((_highest(session, reference) for reference in tagged), default=0)
    remembered = max((_remembered(memory, image.repository, tag) for tag in tags), default=0)
    sequence = max(highest, remembered) + 1
    statement = _statement(image, tags, sequence=sequence, time=session.clock.now())
    session.attest(statement, annotations=annotations)


def withdrawal(image: PinnedReference, *, reason: str, time: datetime) -> Statement:
    """Return the statement that withdraws an image: verifiers refuse it then."""
    return Statement(
        subjects=(StatementSubject(name=image.repository.name, digest=image.digest),),
        predicate_type=WITHDRAWAL,
        predicate=withdrawal_predicate(Withdrawal(reason=reason, time=time)),
    )


def _statement(
    image: PinnedReference, tags: Sequence[str], *, sequence: int, time: datetime
) -> Statement:
    known = Release(
        repository=image.repository.name, sequence=sequence, tags=tuple(tags), time=time
    )
    return Statement(
        subjects=subjects(image, tags), predicate_type=RELEASE, predicate=release_predicate(known)
    )


def _highest(session: SigningSession, tagged: TaggedReference) -> int:
    try:
        image = session.look.resolve(tagged)
    except NotFoundError:
        return 0
    return release_sequence(session, image, tag=tagged.tag)


def release_sequence(session: SigningSession, image: PinnedReference, *, tag: str) -> int:
    """Return the highest sequence of the signer's releases of an image under a tag, or 0.

    Raises:
        RegistryError: the registry did not answer.
    """
    known = [signed for _, signed in _releases(session, image) if tag in signed.tags]
    return max((signed.sequence for signed in known), default=0)


def _remembered(memory: RollbackStore, repository: Repository, tag: str) -> int:
    try:
        seen = memory.highest(f"{repository.name}:{tag}")
    except RollbackStoreError:
        return 0
    return seen.sequence if seen else 0


def _releases(
    session: SigningSession, image: PinnedReference
) -> tuple[tuple[PinnedReference, Release], ...]:
    releases = []
    for own in session.statements(image):
        if own.statement.predicate_type != RELEASE:
            continue
        try:
            known = parse_release(own.statement.predicate)
        except DocumentError:
            continue
        if canonical_name(known.repository) == image.repository.name:
            releases.append((own.reference, known))
    return tuple(releases)

"""Signing releases: statements with a sequence that only rises, one for each publish.

The next sequence of a set of tags is one more than the highest that their images have in the
registry, by releases of the same signer, or that the publisher remembers.
"""

from collections.abc import Sequence
from datetime import datetime

from imagekit.clock import Clock
from imagekit.errors import DocumentError, NotFoundError, RollbackStoreError
from imagekit.oci.reference import (
    PinnedReference,
    Repository,
    TaggedReference,
    canonical_name,
)
from imagekit.oci.registry.ports import RegistryReader, RegistryWriter
from imagekit.oci.types import Descriptor
from imagekit.sign.attach import Attached
from imagekit.sign.own import own_statements
from imagekit.sign.signing import attest, subjects
from imagekit.signatures.intoto import Statement, Subject
from imagekit.signatures.ports import Signer
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
    writer: RegistryWriter,
    signer: Signer,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    tags: Sequence[str],
    clock: Clock,
    memory: RollbackStore,
) -> Attached:
    """Sign a release of the image under these tags, unless it has one that names them all.

    Args:
        writer: where the image is.
        signer: who signs.
        image: the image; a tag in the reference means nothing here.
        manifest: what points to the image's manifest or index.
        tags: the tags that get the image now.
        clock: for the time of the release.
        memory: what this publisher has released before; one that cannot be read is passed over.

    Raises:
        RegistryError: the registry refused or did not answer.
    """
    for attached, known in _releases(writer, signer, image):
        if set(tags) <= set(known.tags):
            return Attached(what=RELEASE, reference=attached, new=False)
    tagged = [TaggedReference(image.repository, tag) for tag in tags]
    highest = max((_highest(writer, signer, one) for one in tagged), default=0)
    remembered = max((_remembered(memory, image.repository, tag) for tag in tags), default=0)
    statement = _statement(image, tags, sequence=max(highest, remembered) + 1, time=clock.now())
    return attest(writer, signer, image, manifest=manifest, statement=statement, clock=clock)


def withdrawal(image: PinnedReference, *, reason: str, time: datetime) -> Statement:
    """Return the statement that withdraws an image: whoever verifies it is refused."""
    return Statement(
        subjects=(Subject(name=image.repository.name, digest=image.digest),),
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


def _highest(reader: RegistryReader, signer: Signer, tagged: TaggedReference) -> int:
    try:
        image = reader.resolve(tagged)
    except NotFoundError:
        return 0
    return release_sequence(reader, signer, image, tag=tagged.tag)


def release_sequence(
    reader: RegistryReader, signer: Signer, image: PinnedReference, *, tag: str
) -> int:
    """Return the highest sequence of the signer's releases of an image under a tag, or 0.

    Raises:
        RegistryError: the registry did not answer.
    """
    known = [each for _, each in _releases(reader, signer, image) if tag in each.tags]
    return max((each.sequence for each in known), default=0)


def _remembered(memory: RollbackStore, repository: Repository, tag: str) -> int:
    try:
        seen = memory.highest(f"{repository.name}:{tag}")
    except RollbackStoreError:
        return 0
    return seen.sequence if seen else 0


def _releases(
    reader: RegistryReader, signer: Signer, image: PinnedReference
) -> tuple[tuple[PinnedReference, Release], ...]:
    found = []
    for own in own_statements(reader, image, signer):
        if own.statement.predicate_type != RELEASE:
            continue
        try:
            known = parse_release(own.statement.predicate)
        except DocumentError:
            continue
        if canonical_name(known.repository) == image.repository.name:
            found.append((own.reference, known))
    return tuple(found)

"""What a release changes: its SBOM compared with that of the release before it.

The release before is what a moving tag of the recipe still points to when another one is published.
Its SBOM is taken only from an attestation of the same signer.
"""

from collections.abc import Mapping

from imagekit.errors import DocumentError, NotFoundError
from imagekit.oci.reference import TaggedReference
from imagekit.recipe.recipe import Tags
from imagekit.sbom.sbom_diff import SbomDiff, diff_sboms, diff_text
from imagekit.sbom.sbom_listing import SbomListing, listing
from imagekit.sign.signing import SigningSession
from imagekit.signatures.intoto import CYCLONEDX

CHANGES = "dev.imagekit.changes"
"""The annotation of a release's bundle that says what it changes. Nobody signs it: it is for
people, and ``imagekit sbom diff`` says the same of two images."""
_MOST = 2000
"""Bytes of the annotation: it stands in every list of the image's referrers, too."""


def changes_since_last(session: SigningSession, tags: Tags, sbom: bytes) -> SbomDiff | None:
    """Return what an image changes; None where there was no release before it.

    Args:
        session: the image, which no tag points to yet, and its signer.
        tags: the tags that the image will have.
        sbom: its SBOM.

    Raises:
        RegistryError: the registry did not answer.
    """
    from imagekit.documents.strictjson import loads_object

    before = _listing_before(session, tags)
    if before is None:
        return None
    return diff_sboms(before, listing(loads_object(sbom, what="the SBOM")))


def changes_annotation(diff: SbomDiff | None) -> Mapping[str, str]:
    """Return the annotation that says what a release changes, as far as there is room."""
    if diff is None:
        return {}
    lines = diff_text(diff).split("\n")
    kept, size = 0, 0
    for line in lines:
        size += len(line.encode()) + 1
        if size > _MOST:
            break
        kept += 1
    left = len(lines) - kept
    return {CHANGES: "\n".join([*lines[:kept], *([f"... {left} more lines"] if left else [])])}


def told_changes(diff: SbomDiff | None) -> str:
    """Return in one line what a release changes; empty where there was none before it."""
    return f"since {diff.before}: {diff.summary}" if diff is not None else ""


def _listing_before(session: SigningSession, tags: Tags) -> SbomListing | None:
    for tag in tags.moving:
        try:
            image = session.look.resolve(TaggedReference(session.image.repository, tag))
        except NotFoundError:
            continue
        if tag in tags.immutable or image.digest == session.image.digest:
            continue
        for own in reversed(session.statements(image)):
            if own.statement.predicate_type == CYCLONEDX:
                try:
                    return listing(dict(own.statement.predicate))
                except DocumentError:
                    # An older imagekit, or another program with the same key: nothing to compare.
                    continue
    return None

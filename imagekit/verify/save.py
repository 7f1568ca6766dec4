"""Saving the evidence of an image: what a verifier reads of it, in a small layout folder."""

from pathlib import Path

from msgspec import Struct

from imagekit.oci.location import LocatedReference
from imagekit.oci.reference import PinnedReference, TaggedReference
from imagekit.oci.registry import connect
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader
from imagekit.policy.findings import Finding
from imagekit.verify.collect import gather
from imagekit.verify.content import read_image
from imagekit.verify.sources import recorder


class SavedEvidence(Struct, frozen=True, kw_only=True):
    """What was saved."""

    reference: PinnedReference
    signatures: int
    """How many signatures and attestations there are, of the image and of its platforms."""
    notes: tuple[Finding, ...]
    """What is wrong with the image, as a verifier finds it."""
    unread: tuple[str, ...]
    """What could not be read, and so was not saved."""


def save_evidence(
    wanted: LocatedReference,
    folder: Path,
    *,
    reader: RegistryReader | None = None,
    options: RegistryOptions | None = None,
) -> SavedEvidence:
    """Read what any policy may look at, and keep it: manifests, configurations, signatures.

    Args:
        wanted: the image, and where it is; it is saved under its full name.
        folder: the layout, made where it is not there; other images in it stay.
        reader: the way to the registry; made from ``options`` where it is left out.
        options: how the registry is reached.

    Raises:
        RegistryError: the registry did not answer, or the folder cannot be written.
        DocumentError, IntegrityError: the image is not one that can be kept.
    """
    reference = wanted.reference
    inner = reader or connect.reader(wanted.location, options or RegistryOptions())
    recording = recorder(inner, folder)
    raw = recording.manifest(reference)
    if isinstance(reference, TaggedReference):
        image = reference.pin(raw.digest)
    else:
        image = reference
        if image.tag is not None:
            recording.resolve(TaggedReference(image.repository, image.tag))
    content = read_image(recording, image, raw)
    # Also what is not there may be withdrawn.
    digests = dict.fromkeys((image.digest, *content.listed))
    gathered = [gather(recording, image.with_digest(digest)) for digest in digests]
    return SavedEvidence(
        reference=image,
        signatures=sum(len(attachments.candidates) for attachments in gathered),
        notes=tuple(finding for finding in content.findings if finding.severity != "ok"),
        unread=tuple(
            refusal.message for attachments in gathered for refusal in attachments.refusals
        ),
    )

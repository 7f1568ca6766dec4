"""Pushing a built image by digest, and its tags when everything else is there."""

import time
from collections.abc import Sequence

from msgspec import Struct

from imagekit.build.image import BuiltImage
from imagekit.documents.quantity import count, size
from imagekit.errors import InputError, TagRaceError
from imagekit.oci.location import REGISTRY, LocatedRepository, Location
from imagekit.oci.reference import PinnedReference, TaggedReference
from imagekit.oci.registry.ports import BlobStore, RegistryWriter
from imagekit.oci.types import Descriptor, RawManifest
from imagekit.progress import Advanced, Done, Progress, Started

IMMUTABLE_TAG = "publish/immutable-tag"


class Pushed(Struct, frozen=True, kw_only=True):
    """An image that the registry has, without a tag."""

    reference: PinnedReference
    manifest: RawManifest
    sent: int
    """Bytes that had to be sent."""


def push(
    writer: RegistryWriter,
    store: BlobStore,
    image: BuiltImage,
    *,
    place: LocatedRepository,
    progress: Progress,
) -> Pushed:
    """Send what the repository lacks of the image, the manifest last, and no tag.

    distribution-spec, "Pushing Manifests": a manifest refers to blobs that are there, and one that
    is pushed by its digest has no tag.

    Raises:
        RegistryError: the registry refused or did not answer.
        IntegrityError: the local store was altered.
    """
    progress(Started(stage="push", detail=str(place)))
    repository = place.repository
    began = time.monotonic()
    blobs = [*(layer.descriptor for layer in image.layers), image.config]
    total = sum(blob.size for blob in blobs)
    sent = new = before = 0

    def told(done: int) -> None:
        progress(Advanced(stage="push", done=before + done, total=total))

    for blob in blobs:
        if writer.put_blob(repository, blob, store.path(blob.digest), count=told):
            sent += blob.size
            new += blob != image.config
        before += blob.size
        told(0)
    manifest = _read_manifest(store, image.manifest)
    reference = writer.put_manifest(repository, manifest.media_type, manifest.raw)
    progress(
        Done(
            stage="push",
            summary=f"{count(len(image.layers), 'layer')}, {new} new: "
            f"{size(sent)} of {size(total)} sent",
            seconds=time.monotonic() - began,
        )
    )
    return Pushed(reference=reference, manifest=manifest, sent=sent)


def claim_tags(
    writer: RegistryWriter,
    image: PinnedReference,
    *,
    manifest: RawManifest,
    tags: Sequence[str],
    location: Location = REGISTRY,
) -> None:
    """Make immutable tags point to the image, each only if it is not there.

    Args:
        writer: where it is.
        image: the image.
        manifest: its manifest.
        tags: the tags.
        location: where the writer writes, for messages.

    Raises:
        InputError: one of them is another image's by now, or that is not known; moving tags were
            not touched.
        RegistryError: the registry refused or did not answer.
    """
    for tag in tags:
        reference = TaggedReference(image.repository, tag)
        try:
            held = writer.tag_once(reference, manifest)
        except TagRaceError as error:
            raise InputError(error.message, hint=error.hint, code=IMMUTABLE_TAG) from error
        if held.digest != manifest.digest:
            raise InputError(
                f"{location.shown(str(reference))} was published as {held.digest.short} by "
                f"another process in the meantime, and not as {image.digest.short}",
                hint="an immutable tag is never moved: raise `version` in the recipe. What was "
                "pushed is signed for this tag; withdraw it: imagekit withdraw "
                f"{location.shown(str(image))}",
                code=IMMUTABLE_TAG,
            )


def move_tags(
    writer: RegistryWriter, image: PinnedReference, *, manifest: RawManifest, tags: Sequence[str]
) -> None:
    """Make moving tags point to the image.

    Raises:
        RegistryError: the registry refused or did not answer.
    """
    for tag in tags:
        writer.tag(TaggedReference(image.repository, tag), manifest)


def _read_manifest(store: BlobStore, descriptor: Descriptor) -> RawManifest:
    raw = store.path(descriptor.digest).read_bytes()
    descriptor.digest.check(raw, what="the manifest in the local store")
    return RawManifest(media_type=descriptor.media_type, digest=descriptor.digest, raw=raw)

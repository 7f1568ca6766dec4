"""Pushing a built image by digest, and its tags when everything else is there."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct

from imagekit.build.image import BuiltImage, Origin
from imagekit.documents.quantity import count, size
from imagekit.errors import InputError, TagRaceError
from imagekit.oci.location import REGISTRY, LocatedRepository, Location
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry.ports import BlobStore, RegistryWriter
from imagekit.oci.types import Descriptor, RawManifest
from imagekit.progress import Count, Done, Progress, Started

IMMUTABLE_TAG = "publish/immutable-tag"
_AT_ONCE = 4
"""Most blobs that are sent at once."""


class Uploaded(Struct, frozen=True, kw_only=True):
    """The blobs of an image that the repository has."""

    blobs: int
    """How many of its layers had to be sent."""
    sent: int
    """Bytes that had to be sent."""
    total: int
    """Bytes of all of them."""


class Pushed(Struct, frozen=True, kw_only=True):
    """An image that the registry has, without a tag."""

    reference: PinnedReference
    manifest: RawManifest
    sent: int
    """Bytes that had to be sent."""


def upload(
    writer: RegistryWriter,
    store: BlobStore,
    image: BuiltImage,
    *,
    repository: Repository,
    below: Sequence[Repository],
    count: Count,
) -> Uploaded:
    """Send what the repository lacks of the image's blobs, some at once; nothing names them yet.

    Args:
        writer: writes to the registry.
        store: has the blobs.
        image: the image.
        repository: where they are put.
        below: repositories of the same registry where what the image builds on may be.
        count: gets how many bytes of all blobs were read; where it raises, all uploads end.

    Raises:
        RegistryError: the registry refused or did not answer.
        IntegrityError: the local store was altered.
    """
    blobs = [*(layer.descriptor for layer in image.layers), image.config]
    bases = {layer.descriptor.digest for layer in image.layers if layer.origin is Origin.BASE}
    done, turn = [0] * len(blobs), threading.Lock()

    def put(number: int) -> bool:
        blob = blobs[number]

        def told(read: int) -> None:
            with turn:
                done[number] = read
                count(sum(done))

        # Also a blob that is there asks whether to go on.
        told(0)
        sent = writer.put_blob(
            repository,
            blob,
            store.path(blob.digest),
            known_in=below if blob.digest in bases else (),
            count=told,
        )
        told(blob.size)
        return sent

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload") as threads:
        sent = list(threads.map(put, range(len(blobs))))
    return Uploaded(
        blobs=sum(sent[:-1]),
        sent=sum(blob.size for blob, new in zip(blobs, sent, strict=True) if new),
        total=sum(blob.size for blob in blobs),
    )


def push(
    writer: RegistryWriter,
    store: BlobStore,
    image: BuiltImage,
    *,
    place: LocatedRepository,
    uploaded: Callable[[], Uploaded],
    progress: Progress,
) -> Pushed:
    """Send the manifest when all blobs are there, and no tag.

    distribution-spec, "Pushing Manifests": a manifest refers to blobs that are there, and one that
    is pushed by its digest has no tag.

    Args:
        writer: writes to the registry.
        store: has the manifest.
        image: the image.
        place: where it is put.
        uploaded: waits for the blobs.
        progress: told of it.

    Raises:
        RegistryError: the registry refused or did not answer.
        IntegrityError: the local store was altered.
    """
    progress(Started(stage="push", detail=str(place)))
    began = time.monotonic()
    blobs = uploaded()
    manifest = _read_manifest(store, image.manifest)
    reference = writer.put_manifest(place.repository, manifest.media_type, manifest.raw)
    progress(
        Done(
            stage="push",
            summary=f"{count(len(image.layers), 'layer')}, {blobs.blobs} new: "
            f"{size(blobs.sent)} of {size(blobs.total)} sent",
            seconds=time.monotonic() - began,
        )
    )
    return Pushed(reference=reference, manifest=manifest, sent=blobs.sent)


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

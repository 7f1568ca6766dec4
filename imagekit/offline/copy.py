"""Copying an image with all that belongs to it: blobs, manifests, attachments, and tags last."""

import time
from collections.abc import Callable, Iterator

from msgspec import Struct

from imagekit.documents.quantity import count, size
from imagekit.errors import NotFoundError
from imagekit.oci.codec import parse_manifest
from imagekit.oci.location import LocatedRepository
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry.ports import RegistryReader, RegistryWriter
from imagekit.oci.types import Descriptor, Index, RawManifest
from imagekit.offline.closure import Closure
from imagekit.progress import Advanced, Done, Note, Progress, Started, counted

PutPieces = Callable[[Repository, Descriptor, Iterator[bytes]], None]
"""Stores a blob that comes in pieces, whole or not at all."""
Name = Callable[[TaggedReference, RawManifest], None]
"""Makes a tag point to an image."""


class Copied(Struct, frozen=True, kw_only=True):
    """An image at its new place."""

    reference: PinnedReference
    sent: int
    """Bytes of blobs that were not there before."""


def check_blobs(reader: RegistryReader, closure: Closure, *, progress: Progress) -> None:
    """Read every blob once, so that no part of a damaged image is copied.

    Raises:
        IntegrityError: bytes differ from their digest.
        RegistryError: something is not there.
    """
    progress(Started(stage="check", detail=count(len(closure.blobs), "blob")))
    began = time.monotonic()
    done = 0
    for blob in closure.blobs:
        with reader.stream(closure.image.repository, blob) as pieces:
            for piece in pieces:
                done += len(piece)
                progress(Advanced(stage="check", done=done, total=closure.size))
    summary = f"{count(len(closure.blobs), 'blob')}, {size(done)}, digests correct"
    progress(Done(stage="check", summary=summary, seconds=time.monotonic() - began))


def copy(
    reader: RegistryReader,
    writer: RegistryWriter,
    closure: Closure,
    *,
    to: LocatedRepository,
    put: PutPieces,
    progress: Progress,
    name: Name | None = None,
) -> Copied:
    """Write all that is not there yet; the image's own tag comes last.

    Args:
        reader: where the image is.
        writer: where it goes to.
        closure: what belongs to it.
        to: the repository that it gets into, and where that is.
        put: writes blobs.
        progress: gets the events.
        name: makes the tag point to the image; where it is left out, a tag of another image moves.

    Raises:
        RegistryError: one of the two registries refused or did not answer.
        IntegrityError: bytes differ from their digest.
    """
    progress(Started(stage="copy", detail=str(to)))
    began = time.monotonic()
    repository = to.repository
    sent = before = 0

    def told(done: int) -> None:
        progress(Advanced(stage="copy", done=before + done, total=closure.size))

    for blob in closure.blobs:
        if not writer.has_blob(repository, blob):
            with reader.stream(closure.image.repository, blob) as pieces:
                put(repository, blob, counted(pieces, told))
            sent += blob.size
        before += blob.size
        told(0)
    # distribution-spec, "Pushing Manifests": a registry may refuse one whose blobs it does not
    # have, and an index before its manifests.
    for raw in (*closure.manifests, *closure.attached):
        writer.put_manifest(repository, raw.media_type, raw.raw)
    for tag, raw in closure.tags:
        legacy = TaggedReference(repository, tag)
        if not _merged(writer, legacy, raw):
            shown = to.location.shown(str(legacy))
            progress(Note(message=f"not replaced, as it holds other signatures: {shown}"))
    if closure.image.tag is not None:
        (name or writer.tag)(TaggedReference(repository, closure.image.tag), closure.top)
    summary = f"{count(len(closure.blobs), 'blob')}, {size(sent)} of {size(closure.size)} sent"
    progress(Done(stage="copy", summary=summary, seconds=time.monotonic() - began))
    pinned = PinnedReference(repository, closure.image.digest, tag=closure.image.tag)
    return Copied(reference=pinned, sent=sent)


def _merged(writer: RegistryWriter, reference: TaggedReference, raw: RawManifest) -> bool:
    """Write a tag of the legacy forms, unless that would remove signatures of others.

    Returns:
        Whether all signatures are there now.
    """
    there = _layers_of(writer, reference)
    mine = _layers(raw)
    if there - mine:
        return not mine - there
    writer.put_manifest(reference.repository, raw.media_type, raw.raw)
    writer.tag(reference, raw)
    return True


def _layers_of(reader: RegistryReader, reference: TaggedReference) -> frozenset[object]:
    try:
        return _layers(reader.manifest(reference))
    except NotFoundError:
        return frozenset()


def _layers(raw: RawManifest) -> frozenset[object]:
    """Return what identifies the layers: several signatures may be of one payload."""
    parsed = parse_manifest(raw.raw, raw.media_type)
    if isinstance(parsed, Index):
        return frozenset({raw.digest})
    return frozenset(
        (layer.digest, tuple(sorted(layer.annotations.items()))) for layer in parsed.layers
    )

"""The image that a reference means on this host: of an index, the one of its platform."""

from imagekit.errors import DocumentError, InputError
from imagekit.oci.codec import parse_manifest
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.reference import PinnedReference, Reference, TaggedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import INDEX_TYPES, Descriptor, Index, Manifest, Platform, RawManifest


def host_image(
    reader: RegistryReader, reference: Reference
) -> tuple[PinnedReference, RawManifest, Manifest]:
    """Return the image by its digest, with the bytes of its manifest and what they say.

    Args:
        reader: the way to the registry.
        reference: an image, or an index of images.

    Raises:
        InputError: the index has no image for this host, or several.
        DocumentError: it is no image.
        RegistryError: the registry did not answer.
    """
    tagged = isinstance(reference, TaggedReference)
    pinned = reader.resolve(reference) if isinstance(reference, TaggedReference) else reference
    raw = reader.manifest(pinned)
    manifest = parse_manifest(raw.raw, raw.media_type)
    if isinstance(manifest, Manifest):
        return pinned, raw, manifest
    child = pinned.with_digest(_for_host(manifest, str(pinned if tagged else reference)).digest)
    raw = reader.manifest(child)
    image = parse_manifest(raw.raw, raw.media_type)
    if not isinstance(image, Manifest):
        raise DocumentError(f"{child} is an index within an index", code="BAD_DOCUMENT")
    return child, raw, image


def _for_host(index: Index, shown: str) -> Descriptor:
    wanted = host_platform()
    images = [entry for entry in index.manifests if entry.media_type not in INDEX_TYPES]
    fitting = [
        entry for entry in images if entry.platform is not None and _fits(entry.platform, wanted)
    ]
    if len(fitting) == 1 or len(images) == 1:
        return (fitting or images)[0]
    listed = ", ".join(f"{entry.platform or 'unknown'} {entry.digest}" for entry in images[:8])
    raise InputError(
        f"{shown} is an index with {len(fitting)} images for {wanted}: {listed}",
        hint="name one of them by its digest",
    )


def _fits(platform: Platform, wanted: Platform) -> bool:
    return (platform.os, platform.architecture) == (wanted.os, wanted.architecture)

"""The one image of a layout, of which nobody said which image is meant."""

from collections.abc import Sequence

from imagekit.errors import InputError, InvalidReferenceError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import (
    LAYOUT_HOST,
    PinnedReference,
    Reference,
    Repository,
    parse_reference,
)
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import (
    CONFIG,
    DOCKER_CONFIG,
    INDEX_TYPES,
    MANIFEST_TYPES,
    REF_NAME,
    Descriptor,
    Index,
)


def sole_image(
    reader: RegistryReader, entries: Sequence[Descriptor], *, place: str, prefix: str
) -> Reference:
    """Return the one image among the entries of a layout.

    Args:
        reader: reads the layout.
        entries: what its index lists.
        place: what it is called in messages.
        prefix: what stands before an image's name where one is named.

    Raises:
        InputError: there is none, or there are several.
        RegistryError: the layout cannot be read.
    """
    images: dict[Digest, Reference] = {}
    for entry in entries:
        reference = _entry_reference(entry)
        if entry.digest not in images and _is_image(reader, entry, reference):
            images[entry.digest] = reference
    if len(images) == 1:
        return next(iter(images.values()))
    names = (
        f"{prefix}{str(reference).removeprefix(f'{LAYOUT_HOST}/')}"
        for reference in list(images.values())[:5]
    )
    raise InputError(
        f"{place} holds {len(images)} images: {', '.join(names) or 'none'}",
        hint=f"name one: {prefix}NAME:TAG" if prefix else "write an archive of one image",
    )


def _entry_reference(entry: Descriptor) -> PinnedReference:
    """Return the entry by its digest, with its name where it has a full one."""
    repository, tag = Repository(LAYOUT_HOST, "image"), None
    try:
        named = parse_reference(entry.annotations.get(REF_NAME, ""))
        repository, tag = named.repository, named.tag
    except InvalidReferenceError:
        # Other tools write a tag only, or nothing.
        pass
    return PinnedReference(repository, entry.digest, tag=tag)


def _is_image(reader: RegistryReader, entry: Descriptor, reference: PinnedReference) -> bool:
    """Return whether an entry is an image, and nothing that is attached to one."""
    from imagekit.oci.codec import parse_manifest

    if entry.media_type not in MANIFEST_TYPES | INDEX_TYPES:
        return False
    manifest = parse_manifest(reader.manifest(reference).raw, entry.media_type)
    if manifest.subject is not None or manifest.artifact_type:
        return False
    # The fallback tag of referrers is an index of artifacts without platforms.
    if isinstance(manifest, Index):
        return any(child.platform is not None for child in manifest.manifests)
    return manifest.config.media_type in {CONFIG, DOCKER_CONFIG}

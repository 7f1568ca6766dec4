"""Of an index, the one manifest that this host runs: for engines that would choose themselves."""

from collections.abc import Collection

from imagekit.errors import InputError
from imagekit.oci.codec import parse_config, parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import MAX_MANIFEST, ImageConfig, Index


def image_for_host(
    reference: PinnedReference, *, among: Collection[Digest], reader: RegistryReader
) -> PinnedReference:
    """Return the image by the digest of its own manifest, and of no index.

    Engines that keep only the index's digest cannot say afterwards which manifest they chose.

    Args:
        reference: the image or index that was judged.
        among: the manifests that were judged with it.
        reader: reads the index; its bytes are compared with the digest.

    Raises:
        InputError: not exactly one of the judged manifests is for this host.
        RegistryError: the index cannot be read.
        IntegrityError: it is another one.
    """
    pinned = reference.with_digest(reference.digest)
    if set(among) == {pinned.digest}:
        return pinned
    raw = reader.manifest(pinned)
    manifest = parse_manifest(raw.raw, raw.media_type)
    wanted = host_platform()
    entries = manifest.manifests if isinstance(manifest, Index) else ()
    fitting = {
        entry.digest
        for entry in entries
        if entry.digest in among
        and entry.platform is not None
        and (entry.platform.os, entry.platform.architecture) == (wanted.os, wanted.architecture)
    }
    if len(fitting) != 1:
        raise InputError(
            f"{pinned} has {len(fitting)} judged images for {wanted}, and not one",
            hint="name the image itself by its digest; imagekit inspect lists them",
            code="run/no-image-for-host",
        )
    return pinned.with_digest(fitting.pop())


def config_for_host(
    reference: PinnedReference, *, among: Collection[Digest], reader: RegistryReader
) -> ImageConfig:
    """Return the configuration of the image that this host runs.

    Args:
        reference: the image or index that was judged.
        among: the manifests that were judged with it.
        reader: reads both; their bytes are compared with their digests.

    Raises:
        InputError: not exactly one of the judged manifests is for this host.
        RegistryError: they cannot be read.
        IntegrityError: they are others.
    """
    pinned = image_for_host(reference, among=among, reader=reader)
    raw = reader.manifest(pinned)
    manifest = parse_manifest(raw.raw, raw.media_type)
    if isinstance(manifest, Index):
        raise InputError(f"{pinned} is an index, and was judged as an image")
    config = reader.blob(pinned.repository, manifest.config, limit=MAX_MANIFEST)
    return parse_config(config)

"""Artifacts beside an image: OCI 1.1 manifests that name it as their subject."""

from collections.abc import Mapping
from dataclasses import dataclass

from imagekit.errors import IntegrityError
from imagekit.oci.codec import manifest_bytes
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.oci.types import CYCLONEDX, EMPTY, EMPTY_JSON, MANIFEST, NOTHING, Descriptor, Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """Something that is beside an image now."""

    what: str
    """``signature``, ``legacy signature``, ``sbom`` or the predicate type of an attestation."""
    reference: PinnedReference
    new: bool
    """Whether it was written now; else it was there already and is good."""


def attach_sbom(
    writer: RegistryWriter, image: PinnedReference, *, manifest: Descriptor, sbom: bytes
) -> Attached:
    """Attach a CycloneDX document as a referrer of its own, where scanners look for it.

    The same document gives the same manifest, so that a second time writes nothing.

    Args:
        writer: where the image is.
        image: the image.
        manifest: what points to the image's manifest.
        sbom: the bytes of the document.

    Raises:
        RegistryError: the registry refused or did not answer.
    """
    return attach(writer, image, manifest=manifest, media_type=CYCLONEDX, raw=sbom, what="sbom")


def attach(
    writer: RegistryWriter,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    media_type: str,
    raw: bytes,
    what: str,
    annotations: Mapping[str, str] = NOTHING,
) -> Attached:
    """Attach bytes to an image: an artifact manifest with an empty config and one layer.

    Raises:
        IntegrityError: the descriptor is of another image.
        RegistryError: the registry refused or did not answer.
    """
    if manifest.digest != image.digest:
        raise IntegrityError(f"{image} was given with the descriptor of {manifest.digest}")
    repository = image.repository
    config = writer.put_bytes(repository, EMPTY, EMPTY_JSON)
    layer = writer.put_bytes(repository, media_type, raw)
    artifact = Manifest(
        media_type=MANIFEST,
        config=_plain(config, EMPTY),
        layers=(_plain(layer, media_type),),
        artifact_type=media_type,
        subject=_plain(manifest, manifest.media_type),
        annotations=annotations,
    )
    before = {referrer.digest for referrer in writer.referrers(image)}
    reference = writer.put_manifest(repository, MANIFEST, manifest_bytes(artifact))
    return Attached(what=what, reference=reference, new=reference.digest not in before)


def _plain(descriptor: Descriptor, media_type: str) -> Descriptor:
    return Descriptor(media_type=media_type, digest=descriptor.digest, size=descriptor.size)

"""Artifacts that are attached to an image: OCI 1.1 manifests that name it as their subject.

image-spec manifest.md, ``subject`` and "Guidelines for Artifact Usage".
"""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct, field

from imagekit.errors import IntegrityError
from imagekit.needs.compatibility import SPEC, annotations, compatibility_yaml
from imagekit.needs.needs import Needs
from imagekit.oci.codec import manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.oci.types import (
    COMPATIBILITY,
    CYCLONEDX,
    EMPTY,
    EMPTY_JSON,
    MANIFEST,
    NOTHING,
    RECIPE,
    Descriptor,
    Manifest,
    RawManifest,
)


class Artifact(Struct, frozen=True, kw_only=True):
    """Bytes to attach to an image: the one layer of a manifest of their own."""

    kind: str
    """See ``Attached``."""
    media_type: str
    raw: bytes
    annotations: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    artifact_type: str = ""
    """Empty: the media type."""

    def __repr__(self) -> str:
        return f"Artifact(kind={self.kind!r}, media_type={self.media_type!r})"


class Attached(Struct, frozen=True, kw_only=True):
    """An artifact that is attached to an image now."""

    kind: str
    """``signature``, ``legacy signature``, ``sbom``, ``recipe``, ``needs`` or the predicate type of
    an attestation."""
    reference: PinnedReference
    new: bool
    """Whether it was written now; else it was there already and is valid."""


def sbom_artifact(sbom: bytes) -> Artifact:
    """Return a CycloneDX document as an artifact of its own, where scanners look for it.

    The same document gives the same manifest, so that a second time writes nothing.
    """
    return Artifact(kind="sbom", media_type=CYCLONEDX, raw=sbom)


def needs_artifact(needs: Needs) -> Artifact:
    """Return what an image needs of its node, where Node Feature Discovery looks for it.

    Of several it takes the newest by a time in the annotations. This one states none, so that it is
    the same for the same needs.
    """
    return Artifact(
        kind="needs",
        media_type=SPEC,
        raw=compatibility_yaml(needs),
        annotations=annotations(needs),
        artifact_type=COMPATIBILITY,
    )


def recipe_artifact(archive: bytes) -> Artifact:
    """Return what an image was built of, as ``imagekit rebuild`` looks for it."""
    return Artifact(kind="recipe", media_type=RECIPE, raw=archive)


def attach(
    writer: RegistryWriter, image: PinnedReference, *, manifest: Descriptor, artifact: Artifact
) -> Attached:
    """Attach one artifact to an image.

    Raises:
        IntegrityError: the descriptor is of another image.
        RegistryError: the registry refused or did not answer.
    """
    before = {referrer.digest for referrer in writer.referrers(image)}
    (attached,), _ = attach_all(
        writer, image, manifest=manifest, artifacts=(artifact,), before=before
    )
    return attached


def attach_all(
    writer: RegistryWriter,
    image: PinnedReference,
    *,
    manifest: Descriptor,
    artifacts: Sequence[Artifact],
    before: Collection[Digest],
) -> tuple[tuple[Attached, ...], tuple[Descriptor, ...]]:
    """Attach artifacts to an image, and have them listed all at once.

    Args:
        writer: where the image is.
        image: the image.
        manifest: what points to the image's manifest.
        artifacts: what is attached.
        before: what was listed before.

    Returns:
        What is attached to the image now, in the order of the artifacts; and all its referrers, as
        they were read back.

    Raises:
        IntegrityError: the descriptor is of another image.
        RegistryError: the registry refused or did not answer.
    """
    if manifest.digest != image.digest:
        raise IntegrityError(f"{image} was given with the descriptor of {manifest.digest}")
    stored = [
        _stored(writer, artifact, repository=image.repository, subject=manifest)
        for artifact in artifacts
    ]
    listed = writer.put_referrers(image.with_digest(image.digest), stored)
    attached = tuple(
        Attached(
            kind=artifact.kind,
            reference=image.with_digest(raw.digest),
            new=raw.digest not in before,
        )
        for artifact, raw in zip(artifacts, stored, strict=True)
    )
    return attached, listed


def _stored(
    writer: RegistryWriter, artifact: Artifact, *, repository: Repository, subject: Descriptor
) -> RawManifest:
    """Store the blobs of an artifact, and return its manifest, which is not stored yet."""
    # Guidelines for Artifact Usage: without a configuration of its own an artifact has the empty
    # descriptor, and then it must have an artifactType.
    config = writer.put_bytes(repository, EMPTY, EMPTY_JSON)
    layer = writer.put_bytes(repository, artifact.media_type, artifact.raw)
    raw = manifest_bytes(
        Manifest(
            media_type=MANIFEST,
            config=_plain(config, EMPTY),
            layers=(_plain(layer, artifact.media_type),),
            artifact_type=artifact.artifact_type or artifact.media_type,
            subject=_plain(subject, subject.media_type),
            annotations=artifact.annotations,
        )
    )
    return RawManifest(media_type=MANIFEST, digest=Digest.of(raw), raw=raw)


def _plain(descriptor: Descriptor, media_type: str) -> Descriptor:
    return Descriptor(media_type=media_type, digest=descriptor.digest, size=descriptor.size)

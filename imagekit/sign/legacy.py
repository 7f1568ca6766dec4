"""The legacy form (cosign SIGNATURE_SPEC): the tag ``sha256-HEX.sig``, one layer for each claim.

Podman, skopeo and CRI-O read nothing else. The tag holds the signatures of all signers; those of
others are kept. Registries have no locks and the last write wins, so the tag is read back and
merged.
"""

import secrets
import time
from collections.abc import Mapping, Sequence

from msgspec import Struct

from imagekit.errors import DocumentError, NotFoundError, RegistryError
from imagekit.oci.codec import MAX_DESCRIPTORS, config_bytes, manifest_bytes, parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, TaggedReference
from imagekit.oci.registry.ports import RegistryReader, RegistryWriter
from imagekit.oci.types import (
    CONFIG,
    MANIFEST,
    SIMPLE_SIGNING,
    Descriptor,
    History,
    ImageConfig,
    Manifest,
    Platform,
    RawManifest,
)
from imagekit.signatures.ports import Signer
from imagekit.signatures.simplesigning import SimpleSigning, payload_bytes

_ATTEMPTS = 30
_PAUSE = 0.06
_NO_TIME = "0001-01-01T00:00:00Z"


_Found = tuple[RawManifest, Manifest]


class Merged(Struct, frozen=True, kw_only=True):
    """What the tag holds now, and whether that took a write."""

    reference: PinnedReference
    new: bool


def legacy_tag(image: PinnedReference) -> TaggedReference:
    """Return the tag of the image's legacy signatures (SIGNATURE_SPEC, Tag-based Discovery)."""
    return TaggedReference(image.repository, f"{image.digest.algorithm}-{image.digest.hex}.sig")


class SignedLayers(Struct, frozen=True, kw_only=True):
    """Legacy signatures of an image: those that are there and verify, and new ones."""

    layers: tuple[Descriptor, ...] = ()
    payloads: tuple[bytes, ...] = ()
    """What the new ones sign; not in the registry yet."""
    there: PinnedReference | None = None
    """What the tag holds; None where it does not exist."""


def signed_layers(
    reader: RegistryReader, signer: Signer, image: PinnedReference, *, identities: Sequence[str]
) -> SignedLayers:
    """Return a layer for each identity: those that are there and verify, else newly signed ones.

    There are none where the signer has no legacy form.

    Raises:
        DocumentError: the tag holds something that is no manifest of signatures.
        RegistryError: the registry refused or did not answer.
    """
    tag = legacy_tag(image)
    current = _current(reader, tag)
    there = _layers(current)
    layers, payloads = [], []
    for identity in identities:
        payload = payload_bytes(SimpleSigning(identity=identity, digest=image.digest))
        layer = next((layer for layer in there if _holds(layer, payload, signer)), None)
        if layer is None:
            layer = _new_layer(signer, payload)
            payloads.append(payload)
        if layer is not None:
            layers.append(layer)
    return SignedLayers(
        layers=tuple(layers),
        payloads=tuple(payloads),
        there=None if current is None else tag.pin(current[0].digest),
    )


def merge(writer: RegistryWriter, image: PinnedReference, signed: SignedLayers) -> Merged:
    """Add layers to the tag unless they are there, until reading it back shows all of them.

    Raises:
        DocumentError: the tag holds something that is no manifest of signatures, or too many.
        RegistryError: the registry refused or did not answer, or others overwrote the tag each
            time.
    """
    tag, layers = legacy_tag(image), signed.layers
    for payload in signed.payloads:
        writer.put_bytes(image.repository, SIMPLE_SIGNING, payload)
    calm = True
    for attempt in range(_ATTEMPTS):
        current = _current(writer, tag)
        there = _layers(current)
        missing = [layer for layer in layers if not _contains(there, layer)]
        if current is not None and not missing and calm:
            return Merged(reference=tag.pin(current[0].digest), new=attempt > 0)
        if missing:
            wrote = _write(writer, tag, current, layers=(*there, *missing))
            # After another writer was met, one more read shows whether its write came later.
            calm = wrote and attempt == 0
        else:
            calm = True
        if not calm:
            # Writers that met wait for different times, and read the tag again afterwards.
            time.sleep(_PAUSE * (1 + min(attempt, 4)) * secrets.SystemRandom().uniform(0.5, 1.5))
    raise RegistryError(
        f"{tag} did not keep our signature in {_ATTEMPTS} attempts",
        hint="another process writes this tag all the time, or it is protected: check which",
        code="SIGNATURE_LOST",
    )


def _new_layer(signer: Signer, payload: bytes, /) -> Descriptor | None:
    annotations = signer.legacy(payload)
    if not annotations:
        return None
    return Descriptor(
        media_type=SIMPLE_SIGNING,
        digest=Digest.of(payload),
        size=len(payload),
        annotations=annotations,
    )


def _holds(layer: Descriptor, payload: bytes, signer: Signer, /) -> bool:
    """Return whether the layer is this payload, by this signer; its digest identifies the bytes."""
    if layer.media_type != SIMPLE_SIGNING or layer.digest != Digest.of(payload):
        return False
    return signer.made_legacy(payload, layer.annotations)


def _contains(layers: Sequence[Descriptor], wanted: Descriptor) -> bool:
    return any(
        layer.digest == wanted.digest and layer.annotations == wanted.annotations
        for layer in layers
    )


def _current(writer: RegistryReader, tag: TaggedReference) -> _Found | None:
    try:
        raw = writer.manifest(tag)
    except NotFoundError:
        return None
    try:
        manifest = parse_manifest(raw.raw, raw.media_type)
    except DocumentError as error:
        raise _unreadable(tag, error.message) from error
    if not isinstance(manifest, Manifest):
        raise _unreadable(tag, "it is an index")
    return raw, manifest


def _layers(current: _Found | None) -> tuple[Descriptor, ...]:
    return () if current is None else current[1].layers


def _write(
    writer: RegistryWriter,
    tag: TaggedReference,
    current: _Found | None,
    *,
    layers: tuple[Descriptor, ...],
) -> bool:
    """Write the tag unless it was written since it was read; return whether it was written."""
    if len(layers) > MAX_DESCRIPTORS:
        raise _unreadable(tag, f"it would hold {len(layers)} signatures")
    raw = _manifest(
        writer, tag, layers=layers, annotations=current[1].annotations if current else {}
    )
    try:
        stored = writer.put_manifest(tag.repository, MANIFEST, raw)
        # The manifest is stored: between this read and the write of the tag is one request only.
        now = _current(writer, tag)
        if _digest(now) != _digest(current):
            return False
        writer.tag(tag, RawManifest(media_type=MANIFEST, digest=stored.digest, raw=raw))
    except RegistryError as error:
        # docker-registry does not write its files atomically: of two that store the same bytes at
        # the same moment, one can meet the other's empty link and get DIGEST_INVALID.
        if error.reason != "DIGEST_INVALID":
            raise
        return False
    return True


def _digest(current: _Found | None) -> Digest | None:
    return None if current is None else current[0].digest


def _manifest(
    writer: RegistryWriter,
    tag: TaggedReference,
    *,
    layers: tuple[Descriptor, ...],
    annotations: Mapping[str, str],
) -> bytes:
    config = ImageConfig(
        platform=Platform(os="", architecture=""),
        created=_NO_TIME,
        # Payloads are not compressed, so that digest and diff ID are the same.
        diff_ids=tuple(layer.digest for layer in layers),
        history=tuple(History(created=_NO_TIME, created_by="") for _ in layers),
    )
    stored = writer.put_bytes(tag.repository, CONFIG, config_bytes(config))
    return manifest_bytes(
        Manifest(
            media_type=MANIFEST,
            config=Descriptor(media_type=CONFIG, digest=stored.digest, size=stored.size),
            layers=layers,
            annotations=annotations,
        )
    )


def _unreadable(tag: TaggedReference, why: str) -> DocumentError:
    return DocumentError(
        f"{tag} cannot take a signature: {why}",
        hint="nothing there was changed; delete this tag if it is of no use, and sign again",
        code="BAD_SIGNATURE_TAG",
    )

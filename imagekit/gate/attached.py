"""Signatures, SBOMs and the like: artifacts that are attached to an allowed image.

They are served, so that cosign and oras can look for themselves, although no policy judges them:
only what no runtime can take for an image, whoever attached it.
"""

from datetime import datetime

from imagekit.errors import DocumentError
from imagekit.formats.oci import parse_manifest
from imagekit.gate.decision import Closure, Decision
from imagekit.model.digest import Digest
from imagekit.model.oci import EMPTY, EMPTY_JSON, LAYER_TYPES, Manifest, RawManifest
from imagekit.model.reference import PinnedReference

_EMPTY_DIGEST = Digest.of(EMPTY_JSON)
_LAYER_WORDS = ("rootfs", "image.layer")


def subject_of(raw: RawManifest) -> Digest | None:
    """Return what an artifact is attached to; None for what is no artifact, or could be run."""
    try:
        document = parse_manifest(raw.raw, raw.media_type)
    except DocumentError:
        return None
    if not isinstance(document, Manifest) or document.subject is None:
        return None
    config = document.config
    # Without a configuration that says how, nothing runs it.
    inert = config.media_type == EMPTY and config.digest == _EMPTY_DIGEST
    layered = any(
        layer.media_type in LAYER_TYPES or any(word in layer.media_type for word in _LAYER_WORDS)
        for layer in document.layers
    )
    return document.subject.digest if inert and not layered else None


def served_with(raw: RawManifest, image: Decision, *, now: datetime) -> Decision:
    """Return the decision on an artifact: it is served as long as its image is."""
    document = parse_manifest(raw.raw, raw.media_type)
    blobs: dict[Digest, int] = {}
    if isinstance(document, Manifest):
        blobs = {part.digest: part.size for part in (document.config, *document.layers)}
    return Decision(
        reference=PinnedReference(image.reference.repository, raw.digest),
        digest=raw.digest,
        allowed=True,
        policy=image.policy,
        policy_name=image.policy_name,
        made=now,
        fresh=image.fresh,
        until=image.fresh,
        manifest=raw,
        closure=Closure(blobs=blobs),
    )

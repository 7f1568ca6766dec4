"""Signatures, SBOMs and the like: proofs that are attached to an allowed image.

Anybody who may push can attach something to an allowed image, and no policy judges what it is. So
that cosign and oras can look for themselves, proofs are served, and nothing else.

What must hold before an attached manifest, and the blobs that it names, are served:

1. It names an allowed image as its subject.
2. Its artifact type is on the list of proofs, its configuration is the empty one or of such a type,
   and so is every layer: see ``PROOFS`` and ``_ARTIFACTS``.
3. Number and bytes of the layers are bounded.
4. Every blob is what its type says: a JSON object with the key that documents of the type have.
   Whoever attaches a manifest writes the types in it, so a type alone opens no blob: no program
   is JSON, and an archive that is JSON as well, which can be made of tar's oldest form, is refused.
"""

from collections.abc import Callable
from datetime import datetime
from tarfile import BLOCKSIZE, HeaderError, TarInfo

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.errors import DocumentError
from imagekit.gate.decisions.decision import Decision, DecisionClosure
from imagekit.needs.compatibility import SPEC
from imagekit.oci.codec import parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.location import LocatedReference
from imagekit.oci.reference import PinnedReference
from imagekit.oci.types import (
    COMPATIBILITY,
    CYCLONEDX,
    EMPTY,
    EMPTY_JSON,
    IN_TOTO,
    SIMPLE_SIGNING,
    Descriptor,
    Manifest,
    RawManifest,
)
from imagekit.signatures.bundle import MAX_BUNDLE, MEDIA_TYPES

MAX_BYTES = MAX_BUNDLE
"""Most bytes that the layers of one proof have together."""
MAX_LAYERS = 64
"""Most layers of one proof: a legacy signature has one for each signer."""

PROOFS = {
    **dict.fromkeys(MEDIA_TYPES, "mediaType"),
    SIMPLE_SIGNING: "critical",
    # cosign ATTESTATION_SPEC, "Overall Layout": the layers of ``.att`` images.
    "application/vnd.dsse.envelope.v1+json": "payloadType",
    IN_TOTO: "_type",
    CYCLONEDX: "bomFormat",
    "application/spdx+json": "spdxVersion",
    # So by ``cosign attach sbom``; the specification of SBOMs has no word for JSON.
    "text/spdx+json": "spdxVersion",
    # As imagekit writes it: JSON, which is YAML.
    SPEC: "compatibilities",
}
"""What is served as a proof, and the key that every document of the type has."""
# Types that cosign and Node Feature Discovery give to the whole artifact only; its configuration
# may be of them, too.
_ARTIFACTS = frozenset(
    {
        "application/vnd.dev.cosign.artifact.sig.v1+json",
        "application/vnd.dev.cosign.artifact.att.v1+json",
        "application/vnd.dev.cosign.artifact.sbom.v1+json",
        COMPATIBILITY,
    }
)
_SUM = slice(148, 156)
_EMPTY_DIGEST = Digest.of(EMPTY_JSON)


class ClaimedProof(Struct, frozen=True, kw_only=True):
    """A manifest that says of itself that it is a proof; nobody has looked at its blobs."""

    subject: Digest
    """What it is attached to."""
    config: Descriptor
    layers: tuple[Descriptor, ...]


def proof_of(raw: RawManifest) -> ClaimedProof | None:
    """Return what a manifest says that it proves; None where it is not on the list of proofs."""
    try:
        document = parse_manifest(raw.raw, raw.media_type)
    except DocumentError:
        return None
    if not isinstance(document, Manifest) or document.subject is None:
        return None
    config, layers = document.config, document.layers
    # manifest.md, "Guidance for an Empty Descriptor". By its digest as well, since a type is only a
    # word.
    empty = config.media_type == EMPTY and config.digest == _EMPTY_DIGEST
    kinds = {config.media_type} if not empty else set()
    # distribution-spec, "Listing Referrers": without an artifactType the configuration's type is
    # the artifact's.
    kinds.add(document.artifact_type or config.media_type)
    listed = kinds <= _ARTIFACTS | PROOFS.keys() and all(
        layer.media_type in PROOFS for layer in layers
    )
    bounded = (
        0 < len(layers) <= MAX_LAYERS
        and sum(descriptor.size for descriptor in (config, *layers)) <= MAX_BYTES
    )
    if not listed or not bounded:
        return None
    return ClaimedProof(subject=document.subject.digest, config=config, layers=layers)


def is_genuine(proof: ClaimedProof, read: Callable[[Descriptor], bytes]) -> bool:
    """Return whether every blob of a proof is what its type says.

    Args:
        proof: the proof.
        read: returns a blob, its size and digest checked.

    Raises:
        ImagekitError: a blob cannot be read.
    """
    try:
        strictjson.loads_object(read(proof.config), what="the configuration")
        return all(_is_document(read(layer), PROOFS[layer.media_type]) for layer in proof.layers)
    except DocumentError:
        return False


def _is_document(raw: bytes, key: str) -> bool:
    """Return whether bytes are a JSON object with the key, and no archive besides.

    Raises:
        DocumentError: they are no JSON.
    """
    return key in strictjson.loads_object(raw, what="the proof") and not any(
        _is_header(raw[start : start + BLOCKSIZE]) for start in range(0, len(raw), BLOCKSIZE)
    )


def _is_header(block: bytes) -> bool:
    """Return whether a block begins a member of a tar archive: by its sum, which stands in it."""
    if not block[_SUM].strip(b" ").isdigit():
        return False
    try:
        TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except HeaderError:
        return False
    return True


def served_with(
    raw: RawManifest, proof: ClaimedProof, image: Decision, *, now: datetime
) -> Decision:
    """Return the decision on a genuine proof: it is served as long as its image is."""
    blobs = {part.digest: part.size for part in (proof.config, *proof.layers)}
    reference = PinnedReference(image.reference.reference.repository, raw.digest)
    return Decision(
        reference=LocatedReference(image.reference.location, reference),
        digest=raw.digest,
        allowed=True,
        policy=image.policy,
        policy_name=image.policy_name,
        made=now,
        fresh=image.fresh,
        until=image.fresh,
        manifest=raw,
        closure=DecisionClosure(blobs=blobs),
    )

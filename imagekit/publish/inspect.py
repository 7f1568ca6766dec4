"""Inspecting an image: what it is, what is attached to it, and what that claims.

Nothing is verified here but digests: what a signature claims is shown as a claim.
"""

from collections.abc import Mapping

from msgspec import Struct, field

from imagekit.documents import strictjson
from imagekit.errors import DocumentError, IntegrityError
from imagekit.oci.codec import parse_config, parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, TaggedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import (
    CYCLONEDX,
    MAX_MANIFEST,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
)
from imagekit.signatures.bundle import KeyBundle, parse_bundle
from imagekit.signatures.intoto import COSIGN_SIGN, statement_of
from imagekit.signatures.simplesigning import parse_payload
from imagekit.verify.collect import gather
from imagekit.verify.evidence import Candidate, Form

_MAX_SBOM = 32 << 20


class Claim(Struct, frozen=True, kw_only=True):
    """What a signature or attestation claims about the image; it is not verified."""

    form: str
    """``bundle`` or ``legacy``."""
    predicate_type: str
    identities: tuple[str, ...]
    hint: str
    """The key that a bundle names; empty where there is none."""
    about: bool
    """Whether it is about this digest at all."""


class SbomSummary(Struct, frozen=True, kw_only=True):
    """An SBOM that is attached to the image as a document of its own."""

    digest: Digest
    size: int
    version: str
    components: int


class Inspection(Struct, frozen=True, kw_only=True):
    """Everything that ``imagekit inspect`` shows."""

    reference: PinnedReference
    media_type: str
    platforms: tuple[tuple[str, Digest], ...]
    layers: tuple[Descriptor, ...] = ()
    config: ImageConfig | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    sboms: tuple[SbomSummary, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def signatures(self) -> tuple[Claim, ...]:
        """The claims that are signatures of the image."""
        return tuple(claim for claim in self.claims if claim.predicate_type == COSIGN_SIGN)

    @property
    def attestations(self) -> tuple[Claim, ...]:
        """The claims that are about something else of the image."""
        return tuple(claim for claim in self.claims if claim.predicate_type != COSIGN_SIGN)


def inspect(reader: RegistryReader, reference: Reference) -> Inspection:
    """Look at an image and at what is attached to it.

    Raises:
        RegistryError: the registry did not answer.
        IntegrityError: bytes differ from their digest.
        DocumentError: the reference points to no image.
    """
    pinned = reader.resolve(reference) if isinstance(reference, TaggedReference) else reference
    raw = reader.manifest(pinned)
    parsed = parse_manifest(raw.raw, raw.media_type)
    config = _config(reader, pinned, parsed) if isinstance(parsed, Manifest) else None
    gathered = gather(reader, pinned)
    sboms, notes = _sboms(reader, pinned)
    claims, unread = _claims(gathered.candidates, pinned.digest)
    return Inspection(
        reference=pinned,
        media_type=raw.media_type,
        platforms=_platforms(pinned, parsed, config),
        layers=parsed.layers if isinstance(parsed, Manifest) else (),
        config=config,
        annotations=parsed.annotations,
        claims=claims,
        sboms=sboms,
        notes=(*unread, *notes, *(refusal.message for refusal in gathered.refusals)),
    )


def _config(
    reader: RegistryReader, image: PinnedReference, manifest: Manifest
) -> ImageConfig | None:
    if manifest.artifact_type:
        # image-spec manifest.md, Guidelines for Artifact Usage: its configuration is no image's.
        return None
    return parse_config(reader.blob(image.repository, manifest.config, limit=MAX_MANIFEST))


def _platforms(
    image: PinnedReference, parsed: Manifest | Index, config: ImageConfig | None
) -> tuple[tuple[str, Digest], ...]:
    if isinstance(parsed, Index):
        return tuple((str(e.platform or "unknown"), e.digest) for e in parsed.manifests)
    return () if config is None else ((str(config.platform), image.digest),)


def _claims(
    candidates: tuple[Candidate, ...], digest: Digest
) -> tuple[tuple[Claim, ...], tuple[str, ...]]:
    claims: list[Claim] = []
    notes: list[str] = []
    for candidate in candidates:
        read = _bundle if candidate.form is Form.BUNDLE else _legacy
        try:
            claims.append(read(candidate, digest))
        except DocumentError as error:
            notes.append(error.message)
    return tuple(claims), tuple(notes)


def _bundle(candidate: Candidate, digest: Digest) -> Claim:
    bundle = parse_bundle(candidate.raw)
    statement = statement_of(bundle.envelope)
    mine = [subject for subject in statement.subjects if subject.digest == digest]
    return Claim(
        form="bundle",
        predicate_type=statement.predicate_type,
        identities=tuple(subject.name for subject in mine if subject.name),
        hint=bundle.hint if isinstance(bundle, KeyBundle) else "a certificate",
        about=bool(mine),
    )


def _legacy(candidate: Candidate, digest: Digest) -> Claim:
    payload = parse_payload(candidate.raw)
    return Claim(
        form="legacy",
        predicate_type=COSIGN_SIGN,
        identities=(payload.identity,),
        hint="",
        about=payload.digest == digest,
    )


def _sboms(
    reader: RegistryReader, image: PinnedReference
) -> tuple[tuple[SbomSummary, ...], tuple[str, ...]]:
    summaries: list[SbomSummary] = []
    notes: list[str] = []
    for entry in reader.referrers(image):
        if entry.artifact_type != CYCLONEDX:
            continue
        try:
            summaries += _sbom(reader, image.with_digest(entry.digest))
        except (DocumentError, IntegrityError) as error:
            notes.append(error.message)
    return tuple(summaries), tuple(notes)


def _sbom(reader: RegistryReader, referrer: PinnedReference) -> list[SbomSummary]:
    raw = reader.manifest(referrer)
    parsed = parse_manifest(raw.raw, raw.media_type)
    layers = parsed.layers if isinstance(parsed, Manifest) else ()
    return [
        _summary(layer, reader.blob(referrer.repository, layer, limit=_MAX_SBOM))
        for layer in layers
        if layer.media_type == CYCLONEDX
    ]


def _summary(layer: Descriptor, raw: bytes) -> SbomSummary:
    document = strictjson.loads_object(raw, what="the SBOM")
    components = document.get("components")
    return SbomSummary(
        digest=layer.digest,
        size=layer.size,
        version=str(document.get("specVersion", ""))[:16],
        components=len(components) if isinstance(components, list) else 0,
    )

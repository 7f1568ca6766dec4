"""Signing an image that something else built: ``imagekit sign``."""

import time
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from imagekit.clock import Clock
from imagekit.documents import strictjson
from imagekit.errors import DocumentError, IntegrityError
from imagekit.oci.codec import parse_manifest
from imagekit.oci.location import REGISTRY, LocatedReference, Location
from imagekit.oci.reference import PinnedReference, Reference, TaggedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader, RegistryWriter
from imagekit.oci.registry.snapshot import RegistrySnapshot
from imagekit.oci.types import BUNDLE, IN_TOTO, MANIFEST_TYPES, Index, RawManifest
from imagekit.progress import Done, Progress, Started
from imagekit.sign.attach import Attached
from imagekit.sign.provenance import Stated, stated_provenance
from imagekit.sign.signing import SigningSession, subjects
from imagekit.signatures.intoto import CYCLONEDX, Statement
from imagekit.signatures.ports import Signer

_MOST_PLATFORMS = 64
_STATEMENTS = frozenset({IN_TOTO, BUNDLE})

MakeSbom = Callable[[RegistryReader, PinnedReference], bytes]
"""Makes the CycloneDX document of an image of one platform."""


class SignedImage(Struct, frozen=True, kw_only=True):
    """What was signed: an image of one platform, or an index and every manifest in it."""

    reference: PinnedReference
    attached: tuple[tuple[PinnedReference, Attached], ...]
    """Each image or index, and what is attached to it."""


def sign_reference(
    wanted: LocatedReference,
    *,
    signer: Signer,
    options: RegistryOptions,
    sbom: bool,
    progress: Progress,
    stated: Stated | None = None,
) -> SignedImage:
    """Sign an image in a registry or layout.

    Args:
        wanted: the image, and where it is.
        signer: signs it.
        options: how the registry is reached.
        sbom: whether to make the SBOM, attach it and attest to it.
        progress: gets the events.
        stated: what the signer states about its build; None for nothing.

    Raises:
        SigningKeyError: the key refuses, or there is no identity token.
        RegistryError: the registry refused or did not answer.
        IntegrityError: bytes differ from their digest.
        DocumentError: the reference points to no image.
    """
    from imagekit.clock import SystemClock
    from imagekit.oci.registry.connect import light

    return sign_image(
        light(wanted.location, options),
        signer,
        wanted.reference,
        location=wanted.location,
        clock=SystemClock(),
        progress=progress,
        make_sbom=_sbom_maker(progress) if sbom else None,
        stated=stated,
    )


def _sbom_maker(progress: Progress) -> MakeSbom:
    from imagekit.sbom.sbom import sbom_of_reference

    def make(reader: RegistryReader, image: PinnedReference) -> bytes:
        return sbom_of_reference(reader, image, progress=progress)

    return make


def sign_image(
    writer: RegistryWriter,
    signer: Signer,
    reference: Reference,
    *,
    location: Location = REGISTRY,
    clock: Clock,
    progress: Progress,
    make_sbom: MakeSbom | None = None,
    stated: Stated | None = None,
) -> SignedImage:
    """Sign what the reference points to now, in both forms, and attest its SBOM if wanted.

    Of an index the index itself is signed, which cosign verifies, and every platform's manifest,
    which Podman verifies. Where the reference has a tag, it is signed for that tag; where it has
    none, for the repository.

    Args:
        writer: where the image is, and its signatures go.
        signer: signs it.
        reference: the image.
        location: where it is, for messages.
        clock: for the time in annotations.
        progress: gets the events.
        make_sbom: makes the SBOM of each platform's image; None for none.
        stated: what the signer states about its build; None for nothing.

    Raises:
        RegistryError: the registry refused or did not answer.
        IntegrityError: bytes differ from their digest.
        DocumentError: the reference points to no image, or to an index of too many.
    """
    image = writer.resolve(reference) if isinstance(reference, TaggedReference) else reference
    top = writer.manifest(image.with_digest(image.digest))
    tags = (image.tag,) if image.tag else ()
    look = RegistrySnapshot(writer)
    sessions = [
        SigningSession(writer, signer, target, manifest=manifest.descriptor, clock=clock, look=look)
        for target, manifest in _targets(writer, image, top)
    ]
    sboms = {}
    for session in sessions:
        if make_sbom is not None and is_image(writer, session.image):
            sboms[session.image] = make_sbom(writer, session.image)
    # All that may fail is done before the first write, so that no index is signed in part.
    for session in sessions:
        progress(Started(stage="sign", detail=location.shown(str(session.image))))
        _prepare(session, tags=tags, sbom=sboms.get(session.image), stated=stated)
    attached: list[tuple[PinnedReference, Attached]] = []
    for session in sessions:
        began = time.monotonic()
        done = session.write()
        attached += [(session.image, artifact) for artifact in done]
        seconds = time.monotonic() - began
        progress(Done(stage="sign", summary=_summary(session.image, done), seconds=seconds))
    return SignedImage(reference=image, attached=tuple(attached))


def _prepare(
    session: SigningSession, *, tags: Sequence[str], sbom: bytes | None, stated: Stated | None
) -> None:
    """Sign all that is to be attached to one image or index."""
    session.sign(tags)
    about = subjects(session.image, tags)
    if sbom is not None:
        document = strictjson.loads_object(sbom, what="the SBOM")
        session.attach_sbom(sbom)
        session.attest(Statement(subjects=about, predicate_type=CYCLONEDX, predicate=document))
    if stated is not None:
        session.attest(stated_provenance(stated, subjects=about))


def is_image(reader: RegistryReader, target: PinnedReference) -> bool:
    """Return whether an SBOM is made of it: it is neither an index nor an attestation.

    BuildKit puts a manifest of in-toto statements beside each image in an index. It has layers,
    and none of them is one of a file system. What is not known to be such a manifest counts as an
    image, of which an SBOM must be made.
    """
    raw = reader.manifest(target)
    parsed = parse_manifest(raw.raw, raw.media_type)
    if isinstance(parsed, Index):
        return False
    types = {layer.media_type for layer in parsed.layers}
    return not types or not types <= _STATEMENTS


def _targets(
    reader: RegistryReader, image: PinnedReference, top: RawManifest
) -> Iterator[tuple[PinnedReference, RawManifest]]:
    """Yield what is to be signed: the manifest, or the index and each manifest in it.

    All is read and checked before the first is yielded, so that no index is signed in part.
    """
    parsed = parse_manifest(top.raw, top.media_type)
    targets = [(image, top)]
    if isinstance(parsed, Index):
        if not 0 < len(parsed.manifests) <= _MOST_PLATFORMS:
            raise DocumentError(
                f"{image} is an index of {len(parsed.manifests)} manifests",
                hint=f"an index of 1 to {_MOST_PLATFORMS} images can be signed",
                code="BAD_INDEX",
            )
        # BuildKit lists one attestation twice where two images have the same.
        for entry in {entry.digest: entry for entry in parsed.manifests}.values():
            child = image.with_digest(entry.digest)
            raw = reader.manifest(child)
            if raw.media_type not in MANIFEST_TYPES:
                raise DocumentError(
                    f"{child} is an index within an index",
                    hint="sign it by itself",
                    code="BAD_INDEX",
                )
            parse_manifest(raw.raw, raw.media_type)
            targets.append((child, raw))
        _check_sizes(image, parsed, targets)
    elif parsed.subject is not None:
        raise DocumentError(
            f"{image} is no image but something attached to {parsed.subject.digest}",
            hint="sign the image itself",
            code="NOT_AN_IMAGE",
        )
    yield from targets


def _check_sizes(
    image: PinnedReference, index: Index, read: Sequence[tuple[PinnedReference, RawManifest]]
) -> None:
    """Refuse an index that no runtime could pull: with another size than a manifest has.

    Raises:
        IntegrityError: it has one (image-spec descriptor.md, ``size``).
    """
    sizes = {child.digest: len(raw.raw) for child, raw in read}
    for entry in index.manifests:
        if entry.size != sizes[entry.digest]:
            raise IntegrityError(
                f"{image} lists {entry.digest} with {entry.size} bytes; it has "
                f"{sizes[entry.digest]}",
                hint="the index has to be made again",
            )


def _summary(target: PinnedReference, done: Sequence[Attached]) -> str:
    new = sum(artifact.new for artifact in done)
    kept = len(done) - new
    return f"{target.digest.short}  {new} written, {kept} there already"

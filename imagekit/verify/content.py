"""The image itself: bytes that are what was asked for, and that all programs read alike.

What must hold:

1. The manifest's bytes hash to the digest that is judged, whoever says so.
2. It is one manifest or one index, and no program reads another image in the same bytes. The same
   holds for the manifests that an index lists and for the configurations, which decide what runs.
3. An index lists no other index, present or not: what that one lists would not be known.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.errors import DocumentError, IntegrityError, NotFoundError
from imagekit.oci.codec import parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import (
    CONFIG,
    DOCKER_CONFIG,
    INDEX_TYPES,
    MANIFEST_TYPES,
    MAX_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    RawManifest,
)
from imagekit.policy.findings import Finding, error, ok, warning

MAX_PLATFORMS = 64
"""Most manifests of one index that are read."""

NO_PLATFORM = "unknown/unknown"
"""What BuildKit attaches to an index so; no runtime ever chooses it."""

_CHECK = "image"


class PlatformImage(Struct, frozen=True, kw_only=True):
    """The image of one platform."""

    reference: PinnedReference
    platform: str
    """As ``linux/arm64/v8``; empty where neither index nor configuration says it, and
    ``unknown/unknown`` only where the index does."""
    raw: RawManifest
    config: Mapping[str, object]
    """The configuration as JSON; empty where it is of no kind that runs."""


class ImageContent(Struct, frozen=True, kw_only=True):
    """What an image consists of, all read and checked."""

    findings: tuple[Finding, ...]
    is_index: bool = False
    parts: tuple[PlatformImage, ...] = ()
    """The image of each platform; of an image of one platform that itself."""
    listed: tuple[Digest, ...] = ()
    """All that the index lists, read or not; of an image of one platform that itself. What goes by
    another algorithm stands there by its SHA-256 digest as well, by which others speak of it."""
    names: frozenset[Digest] = frozenset()
    """The digests of all that was read, by every algorithm: each is a name of the same bytes."""
    unread: tuple[Digest, ...] = ()
    """What of it is not there, or no manifest by its media type: the registry may have it for
    others."""


def read_image(reader: RegistryReader, image: PinnedReference, raw: RawManifest) -> ImageContent:
    """Check the manifest that was received, and what it consists of.

    Raises:
        RegistryError: the registry did not answer; there can be no verdict.
    """
    try:
        # descriptor.md, "Verification": before anything in the bytes is used.
        image.digest.check(raw.raw, what=f"the manifest of {image}")
        document = parse_manifest(raw.raw, raw.media_type)
        parts, unread = _parts(reader, image, document, raw=raw)
    except (DocumentError, IntegrityError) as fault:
        return ImageContent(findings=(refusal(fault),))
    raws = (raw.raw, *(part.raw.raw for part in parts))
    is_index = isinstance(document, Index)
    kind = "an index" if is_index else "a manifest"
    passed = ok(_CHECK, f"{kind}, {len(raw.raw)} bytes, as its digest says")
    lacking = warning(
        "platforms",
        "MISSING_MANIFEST",
        f"the index lists what the registry does not have, or what is no manifest: {shown(unread)}",
        hint="the image was copied in part: these platforms cannot be pulled",
    )
    return ImageContent(
        findings=(passed, lacking) if unread else (passed,),
        is_index=is_index,
        parts=parts,
        listed=_listed(image, document, raws),
        names=frozenset(name for content in raws for name in Digest.all_of(content)),
        unread=unread,
    )


def _listed(
    image: PinnedReference, document: Manifest | Index, raws: Iterable[bytes]
) -> tuple[Digest, ...]:
    digests = [image.digest]
    if isinstance(document, Index):
        digests = [entry.digest for entry in document.manifests]
    others = (name for name in map(Digest.of, raws) if name != image.digest)
    return tuple(dict.fromkeys((*digests, *others)))


def shown(digests: Iterable[Digest]) -> str:
    """Return digests as a message names them."""
    return ", ".join(digest.short for digest in digests)


def refusal(fault: DocumentError | IntegrityError) -> Finding:
    """Return the finding on an image whose bytes cannot be accepted."""
    code = fault.code or "CONTENT_DIGEST_MISMATCH"
    hint = fault.hint or "do not use it; ask who pushed it, and publish it again"
    return error(_CHECK, code, fault.message, hint=hint)


def _parts(
    reader: RegistryReader, image: PinnedReference, document: Manifest | Index, *, raw: RawManifest
) -> tuple[tuple[PlatformImage, ...], tuple[Digest, ...]]:
    """Read manifests and configurations; return them, and what is not there or no manifest."""
    if isinstance(document, Manifest):
        config = _config(reader, image, document)
        part = PlatformImage(
            reference=image, platform=_configured_platform(config), raw=raw, config=config
        )
        return (part,), ()
    if len(document.manifests) > MAX_PLATFORMS:
        raise DocumentError(
            f"the index lists {len(document.manifests)} manifests; {MAX_PLATFORMS} are the most",
            code="TOO_MANY",
        )
    parts, unread = [], []
    for entry in document.manifests:
        # Of two entries with one digest, the one that cannot be read still counts as unread: a
        # runtime chooses by the entry.
        child = _part(reader, image, entry)
        if child is None:
            unread.append(entry.digest)
        else:
            parts.append(child)
    return tuple(parts), tuple(unread)


def _part(
    reader: RegistryReader, image: PinnedReference, entry: Descriptor
) -> PlatformImage | None:
    """Return what an entry of an index stands for, or None where that cannot be read."""
    # image-index.md, "manifests", allows it; a runtime would choose from a list that nobody has
    # judged.
    if entry.media_type in INDEX_TYPES:
        raise DocumentError("the index lists another index", code="BAD_DOCUMENT")
    # image-index.md, "manifests": a type that is not known must not be an error. It counts as
    # unread.
    if entry.media_type not in MANIFEST_TYPES:
        return None
    try:
        raw = reader.manifest(image.with_digest(entry.digest))
        # Readers promise as much; a verdict does not rest on promises.
        entry.digest.check(raw.raw, what=f"the manifest {entry.digest.short}")
        manifest = parse_manifest(raw.raw, entry.media_type)
        config = _config(reader, image, manifest)
    except NotFoundError:
        return None
    child = PinnedReference(image.repository, entry.digest, tag=image.tag)
    # An entry without a platform is chosen by runtimes where no other fits.
    configured = _configured_platform(config)
    platform = (
        str(entry.platform) if entry.platform else configured if configured != NO_PLATFORM else ""
    )
    if entry.platform and config and not _agree(platform, _configured_platform(config)):
        raise DocumentError(
            f"the index says that {entry.digest.short} is for {platform}, and its configuration "
            f"that it is for {_configured_platform(config)}",
            hint="runtimes choose by the one or the other",
            code="PLATFORM_MISMATCH",
        )
    return PlatformImage(reference=child, platform=platform, raw=raw, config=config)


def _config(
    reader: RegistryReader, image: PinnedReference, manifest: Manifest | Index
) -> Mapping[str, object]:
    # manifest.md, "config": content of a type that is not known must not be parsed.
    if isinstance(manifest, Index) or manifest.config.media_type not in {CONFIG, DOCKER_CONFIG}:
        return {}
    config = manifest.config
    raw = reader.blob(image.repository, config, limit=MAX_MANIFEST)
    config.digest.check(raw, what=f"the configuration {config.digest.short}")
    return strictjson.loads_object(raw, what="the image's configuration")


def _configured_platform(config: Mapping[str, object]) -> str:
    parts = [config.get(key) for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if isinstance(part, str) and part)


def _agree(listed: str, configured: str) -> bool:
    """Return whether index and configuration mean one platform; many leave the variant out."""
    return listed.split("/")[:2] == configured.split("/")[:2]

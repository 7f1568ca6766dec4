"""The image itself: bytes that are what was asked for, and that all programs read alike.

What must hold:

1. The manifest's bytes hash to the digest that is judged, whoever says so.
2. It is one manifest or one index, and no program reads another image in the same bytes. The same
   holds for the manifests that an index lists and for the configurations, which decide what runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagekit.errors import DocumentError, IntegrityError, NotFoundError
from imagekit.formats import strictjson
from imagekit.formats.oci import parse_manifest
from imagekit.model.oci import (
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
from imagekit.model.reference import PinnedReference
from imagekit.model.verdict import Finding
from imagekit.ports import RegistryReader
from imagekit.verify.findings import error, ok, warning

MAX_PLATFORMS = 64
"""Most manifests of one index that are read."""

NO_PLATFORM = "unknown/unknown"
"""What BuildKit attaches to an index so; no runtime ever chooses it."""

_CHECK = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The image of one platform."""

    reference: PinnedReference
    platform: str
    """As ``linux/arm64/v8``; empty where neither index nor configuration says it, and
    ``unknown/unknown`` only where the index does."""
    raw: RawManifest
    config: Mapping[str, object] = field(hash=False)
    """The configuration as JSON; empty where it is of no kind that runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What an image consists of, all read and checked."""

    findings: tuple[Finding, ...]
    is_index: bool = False
    parts: tuple[Part, ...] = ()
    """The image of each platform; of an image of one platform that itself."""
    unread: tuple[str, ...] = ()
    """What the index lists besides: not there, or no manifest by its media type."""


def read_image(reader: RegistryReader, image: PinnedReference, raw: RawManifest) -> Content:
    """Check the manifest that was received, and what it consists of.

    Raises:
        RegistryError: the registry did not answer; there can be no verdict.
    """
    try:
        image.digest.check(raw.raw, what=f"the manifest of {image}")
        parts, missing, foreign = _parts(reader, image, raw)
    except (DocumentError, IntegrityError) as fault:
        return Content(findings=(refusal(fault),))
    is_index = raw.media_type in INDEX_TYPES
    kind = "an index" if is_index else "a manifest"
    passed = ok(_CHECK, f"{kind}, {len(raw.raw)} bytes, as its digest says")
    lacking = warning(
        "platforms",
        "MISSING_MANIFEST",
        f"the index lists manifests that the registry does not have: {', '.join(missing)}",
        hint="the image was copied in part: these platforms cannot be pulled",
    )
    return Content(
        findings=(passed, lacking) if missing else (passed,),
        is_index=is_index,
        parts=parts,
        unread=(*missing, *foreign),
    )


def refusal(fault: DocumentError | IntegrityError) -> Finding:
    """Return the finding on an image whose bytes cannot be accepted."""
    code = fault.code or "CONTENT_DIGEST_MISMATCH"
    hint = fault.hint or "do not use it; ask who pushed it, and publish it again"
    return error(_CHECK, code, fault.message, hint=hint)


def _parts(
    reader: RegistryReader, image: PinnedReference, raw: RawManifest
) -> tuple[tuple[Part, ...], tuple[str, ...], tuple[str, ...]]:
    """Read manifests and configurations; return them, what is not there, and what is neither."""
    document = parse_manifest(raw.raw, raw.media_type)
    if isinstance(document, Manifest):
        config = _config(reader, image, document)
        part = Part(reference=image, platform=_said_by(config), raw=raw, config=config)
        return (part,), (), ()
    if len(document.manifests) > MAX_PLATFORMS:
        raise DocumentError(
            f"the index lists {len(document.manifests)} manifests; {MAX_PLATFORMS} are the most",
            code="TOO_MANY",
        )
    parts, missing, foreign = [], [], []
    for entry in document.manifests:
        if entry.media_type not in MANIFEST_TYPES | INDEX_TYPES:
            foreign.append(entry.digest.short)
            continue
        try:
            parts.append(_part(reader, image, entry))
        except NotFoundError:
            missing.append(entry.digest.short)
    return tuple(parts), tuple(missing), tuple(foreign)


def _part(reader: RegistryReader, image: PinnedReference, entry: Descriptor) -> Part:
    child = PinnedReference(image.repository, entry.digest, tag=image.tag)
    raw = reader.manifest(image.with_digest(entry.digest))
    entry.digest.check(raw.raw, what=f"the manifest {entry.digest.short}")
    manifest = parse_manifest(raw.raw, entry.media_type)
    if isinstance(manifest, Index):
        raise DocumentError("the index lists another index", code="BAD_DOCUMENT")
    config = _config(reader, image, manifest)
    # An entry without a platform is chosen by runtimes where no other fits.
    said = _said_by(config)
    platform = str(entry.platform) if entry.platform else said if said != NO_PLATFORM else ""
    if entry.platform and config and not _agree(platform, _said_by(config)):
        raise DocumentError(
            f"the index says that {entry.digest.short} is for {platform}, and its configuration "
            f"that it is for {_said_by(config)}",
            hint="runtimes choose by the one or the other",
            code="PLATFORM_MISMATCH",
        )
    return Part(reference=child, platform=platform, raw=raw, config=config)


def _config(
    reader: RegistryReader, image: PinnedReference, manifest: Manifest
) -> Mapping[str, object]:
    config = manifest.config
    if config.media_type not in {CONFIG, DOCKER_CONFIG}:
        return {}
    raw = reader.blob(image.repository, config, limit=MAX_MANIFEST)
    config.digest.check(raw, what=f"the configuration {config.digest.short}")
    return strictjson.loads_object(raw, what="the image's configuration")


def _said_by(config: Mapping[str, object]) -> str:
    parts = [config.get(key) for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if isinstance(part, str) and part)


def _agree(listed: str, said: str) -> bool:
    """Tell whether index and configuration mean one platform; many leave the variant out."""
    return listed.split("/")[:2] == said.split("/")[:2]

"""The image itself: bytes that are what was asked for, and that all programs read alike.

What must hold:

1. The manifest's bytes hash to the digest that is judged, whoever says so.
2. It is one manifest or one index, and no program reads another image in the same bytes. The same
   holds for the manifests that an index lists and for the configurations, which decide what runs.
"""

from imagekit.errors import DocumentError, IntegrityError, NotFoundError
from imagekit.formats import strictjson
from imagekit.formats.oci import parse_manifest
from imagekit.model.oci import (
    CONFIG,
    DOCKER_CONFIG,
    INDEX_TYPES,
    MANIFEST_TYPES,
    MAX_MANIFEST,
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

_CHECK = "image"


def check_image(
    reader: RegistryReader, image: PinnedReference, raw: RawManifest
) -> tuple[Finding, ...]:
    """Check the manifest that was received, and what it consists of.

    Raises:
        RegistryError: the registry did not answer; there can be no verdict.
    """
    try:
        image.digest.check(raw.raw, what=f"the manifest of {image}")
        document = parse_manifest(raw.raw, raw.media_type)
        missing = _check_parts(reader, image, document)
    except (DocumentError, IntegrityError) as fault:
        return (refusal(fault),)
    kind = "an index" if isinstance(document, Index) else "a manifest"
    passed = ok(_CHECK, f"{kind}, {len(raw.raw)} bytes, as its digest says")
    if not missing:
        return (passed,)
    lacking = warning(
        "platforms",
        "MISSING_MANIFEST",
        f"the index lists manifests that the registry does not have: {', '.join(missing)}",
        hint="the image was copied in part: these platforms cannot be pulled",
    )
    return (passed, lacking)


def refusal(fault: DocumentError | IntegrityError) -> Finding:
    """Return the finding on an image whose bytes cannot be accepted."""
    code = fault.code or "CONTENT_DIGEST_MISMATCH"
    hint = fault.hint or "do not use it; ask who pushed it, and publish it again"
    return error(_CHECK, code, fault.message, hint=hint)


def _check_parts(
    reader: RegistryReader, image: PinnedReference, document: Manifest | Index
) -> tuple[str, ...]:
    """Read manifests and configurations; return the digests that are not there."""
    if isinstance(document, Manifest):
        _check_config(reader, image, document)
        return ()
    if len(document.manifests) > MAX_PLATFORMS:
        raise DocumentError(
            f"the index lists {len(document.manifests)} manifests; {MAX_PLATFORMS} are the most",
            code="TOO_MANY",
        )
    missing = []
    for entry in document.manifests:
        if entry.media_type not in MANIFEST_TYPES | INDEX_TYPES:
            continue
        child = image.with_digest(entry.digest)
        try:
            raw = reader.manifest(child)
        except NotFoundError:
            missing.append(entry.digest.short)
            continue
        entry.digest.check(raw.raw, what=f"the manifest {entry.digest.short}")
        part = parse_manifest(raw.raw, entry.media_type)
        if isinstance(part, Index):
            raise DocumentError("the index lists another index", code="BAD_DOCUMENT")
        _check_config(reader, image, part)
    return tuple(missing)


def _check_config(reader: RegistryReader, image: PinnedReference, manifest: Manifest) -> None:
    config = manifest.config
    if config.media_type in {CONFIG, DOCKER_CONFIG}:
        raw = reader.blob(image.repository, config, limit=MAX_MANIFEST)
        config.digest.check(raw, what=f"the configuration {config.digest.short}")
        strictjson.loads_object(raw, what="the image's configuration")

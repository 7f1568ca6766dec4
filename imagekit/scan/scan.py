"""Scanning an image for known vulnerabilities: ``imagekit scan``.

Its packages are those that its layers hold, by the cataloguers of the SBOM; what somebody attached
to it is not asked. No network is used but for the registry.
"""

import time
from collections.abc import Callable, Iterator

from msgspec import Struct

from imagekit.clock import Clock
from imagekit.errors import DocumentError, InputError
from imagekit.oci.codec import parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, TaggedReference
from imagekit.oci.registry.ports import RegistryReader, RegistryWriter
from imagekit.oci.types import Index
from imagekit.progress import Done, Progress, Started, silent
from imagekit.scan.advisory_index import AdvisoryIndex
from imagekit.scan.foreign_reports import ForeignReport
from imagekit.scan.image_packages import ImagePackage, packages_of
from imagekit.scan.match import match
from imagekit.scan.scan_result import ScannerIdentity, ScanResult
from imagekit.scan.vulnerability_report import scan_statement
from imagekit.sign.attach import Attached
from imagekit.sign.issue_vsa import signing_version
from imagekit.sign.sign import is_image
from imagekit.sign.signing import attest, subjects
from imagekit.signatures.ports import Signer

STAGE = "scan"
MAX_PLATFORMS = 64
"""Most images of one index that are scanned."""
_URI = "https://imagekit.dev/scan"

FindPackages = Callable[[PinnedReference], tuple[ImagePackage, ...]]
"""Returns the packages of an image of one platform."""


class ScannedImage(Struct, frozen=True, kw_only=True):
    """An image of one platform, and what a scan found in it."""

    image: PinnedReference
    platform: str
    """As the index says it; empty where there is none."""
    result: ScanResult


class _PlatformImage(Struct, frozen=True):
    image: PinnedReference
    platform: str
    config: Digest


def scan_reference(
    reader: RegistryReader,
    reference: Reference,
    index: AdvisoryIndex,
    *,
    clock: Clock,
    progress: Progress = silent,
    find_packages: FindPackages | None = None,
) -> tuple[ScannedImage, ...]:
    """Scan an image; of an index the image of each platform.

    Args:
        reader: the way to the registry or layout.
        reference: the image.
        index: the advisories.
        clock: for the time of the scan.
        progress: told of everything that happens.
        find_packages: knows the packages of an image; by default they are read from its layers.

    Raises:
        InputError: the data say nothing of any package that is there.
        DocumentError: it is no image, or one that cannot be catalogued.
        RegistryError: the registry did not answer.
    """
    find = find_packages or _cataloguer(reader, progress)
    scanned = []
    for part in _images(reader, reference):
        progress(Started(stage=STAGE, detail=str(part.image)))
        began = time.monotonic()
        result = _scan(find(part.image), index, clock=clock)
        _check_targets(part.image, result)
        summary = f"{len(result.vulnerabilities)} vulnerabilities"
        progress(Done(stage=STAGE, summary=summary, seconds=time.monotonic() - began))
        scanned.append(ScannedImage(image=part.image, platform=part.platform, result=result))
    return tuple(scanned)


def reported(
    reader: RegistryReader, reference: Reference, report: ForeignReport
) -> tuple[ScannedImage, ...]:
    """Return what another scanner reported of an image.

    The report must name the image, of an index that of one platform: by the digest of its
    manifest or of its configuration, which decides what it holds.

    Raises:
        InputError: it is of another image, or does not say of which.
        RegistryError: the registry did not answer.
    """
    images = tuple(_images(reader, reference))
    named = [part for part in images if report.digests & {str(part.image.digest), str(part.config)}]
    # A scanner that was given an index names that, and not which of its images it looked at.
    if not named and len(images) == 1 and str(_pin(reader, reference).digest) in report.digests:
        named = list(images)
    if len(named) != 1:
        of = ", ".join(sorted(report.digests)[:3]) or "no digest"
        raise InputError(
            f"the report is not of {reference}: it names {of}",
            hint="scan the image by its digest, and of an index that of each platform: "
            f"{', '.join(str(part.image.digest) for part in images[:4])}",
            code="scan/other-image",
        )
    (part,) = named
    return (ScannedImage(image=part.image, platform=part.platform, result=report.result),)


def attest_scan(
    writer: RegistryWriter,
    signer: Signer,
    scanned: ScannedImage,
    *,
    tags: tuple[str, ...],
    clock: Clock,
) -> Attached:
    """Sign what was found, and attach it to the image.

    Args:
        writer: the way to the registry.
        signer: signs it.
        scanned: what was found.
        tags: the tags that the image was asked for by.
        clock: for the time in annotations.

    Raises:
        RegistryError: the registry refused or did not answer.
        SigningKeyError: the key refused.
    """
    image = scanned.image
    statement = scan_statement(scanned.result, image, subjects=subjects(image, tags))
    manifest = writer.manifest(image).descriptor
    return attest(writer, signer, image, manifest=manifest, statement=statement, clock=clock)


def _scan(packages: tuple[ImagePackage, ...], index: AdvisoryIndex, *, clock: Clock) -> ScanResult:
    matched = match(packages, index)
    facts = index.facts
    return ScanResult(
        scanner=ScannerIdentity(
            uri=_URI,
            version=signing_version(),
            database=f"sha256:{facts.digest}",
            database_date=facts.newest,
        ),
        finished=clock.now(),
        targets=matched.targets,
        vulnerabilities=matched.vulnerabilities,
        gaps=matched.gaps,
        notes=matched.notes,
    )


def _check_targets(image: PinnedReference, result: ScanResult) -> None:
    """Refuse a scan that looked at nothing: no vulnerability was found only since none could be.

    Raises:
        InputError: it is one.
    """
    if result.targets:
        return
    kinds = ", ".join(gap.partition(": ")[0] for gap in result.gaps[:5])
    raise InputError(
        f"nothing is known of any package of {image}: "
        + (
            f"the advisories have nothing on {kinds}"
            if kinds
            else "it has none that advisories know"
        ),
        hint="put the exports of these ecosystems into the folder" if kinds else "",
        code="scan/nothing-known",
    )


def _images(reader: RegistryReader, reference: Reference) -> Iterator[_PlatformImage]:
    """Yield the image of each platform.

    Raises:
        DocumentError: it is none, or an index of too many.
    """
    pinned = _pin(reader, reference)
    raw = reader.manifest(pinned)
    parsed = parse_manifest(raw.raw, raw.media_type)
    if not isinstance(parsed, Index):
        yield _PlatformImage(pinned, "", parsed.config.digest)
        return
    if len(parsed.manifests) > MAX_PLATFORMS:
        raise DocumentError(
            f"{pinned} lists {len(parsed.manifests)} manifests; {MAX_PLATFORMS} are the most",
            code="TOO_MANY",
        )
    for entry in {entry.digest: entry for entry in parsed.manifests}.values():
        child = pinned.with_digest(entry.digest)
        # What BuildKit puts beside images has nothing to scan.
        if not is_image(reader, child):
            continue
        raw = reader.manifest(child)
        image = parse_manifest(raw.raw, raw.media_type)
        if isinstance(image, Index):
            raise DocumentError(f"{child} is an index within an index", code="BAD_DOCUMENT")
        yield _PlatformImage(child, str(entry.platform or ""), image.config.digest)


def _pin(reader: RegistryReader, reference: Reference) -> PinnedReference:
    return reader.resolve(reference) if isinstance(reference, TaggedReference) else reference


def _cataloguer(reader: RegistryReader, progress: Progress) -> FindPackages:
    from imagekit.sbom.sbom import catalogue_reference

    return lambda image: packages_of(catalogue_reference(reader, image, progress=progress))

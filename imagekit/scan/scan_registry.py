"""What a registry has, judged by a policy and by what is known of vulnerabilities today.

What must hold:

1. An image whose verdict says no is listed with its reason, and not scanned.
2. Its packages are those of an SBOM that counted for the verdict, so that its layers need not be
   read; where the policy requires none, they are read from the layers.
3. The fresh scan is judged by the very conditions that the policy has for a vulnerability report.
4. Only what the fresh scan speaks against may be withdrawn: not what is unsigned, nor what could
   not be scanned.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from imagekit.clock import Clock
from imagekit.errors import (
    AuthError,
    DocumentError,
    ImagekitError,
    InputError,
    IntegrityError,
    NotFoundError,
    RegistryError,
)
from imagekit.oci.destination import Destination
from imagekit.oci.location import LocatedReference
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry.ports import CatalogReader, RegistryReader
from imagekit.policy.condition import VulnerabilityCondition
from imagekit.policy.force import rule_in_force
from imagekit.policy.now import Now
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.scan.advisory_index import AdvisoryIndex
from imagekit.scan.image_packages import ImagePackage, packages_of, packages_of_document
from imagekit.scan.scan import ScannedImage, scan_reference
from imagekit.scan.vulnerability_report import scan_predicate
from imagekit.signatures.bundle import parse_bundle
from imagekit.signatures.intoto import CYCLONEDX, statement_of
from imagekit.signatures.results import Refusal
from imagekit.verify.collect import gather
from imagekit.verify.conditions.vulnerabilities import check_vulnerabilities
from imagekit.verify.evidence import Form
from imagekit.verify.verdict import Verdict
from imagekit.verify.verify import Verifier

MAX_IMAGES = 10_000
"""Most images of one registry that are judged."""
# What is attached to an image by a tag, and no image: ``sha256-HEX`` and ``sha256-HEX.sig``.
_ATTACHED = ("sha256-", "sha512-")
# One repository that this user may not read, or one tag that somebody has spoilt, keeps no other
# image from being judged.
_UNREAD = (AuthError, NotFoundError, DocumentError, IntegrityError)


class PublishedFinding(Struct, frozen=True, kw_only=True):
    """What came of one image of a registry."""

    image: PinnedReference
    tags: tuple[str, ...]
    code: str = ""
    """Why it is refused; empty where it is not."""
    message: str = ""
    scanned: tuple[ScannedImage, ...] = ()
    vulnerable: bool = False
    """Whether a fresh scan speaks against it."""
    judged: bool = True
    """Whether the policy has a condition that a fresh scan could be judged by."""

    @property
    def status(self) -> str:
        """What it comes to, in a word."""
        return "vulnerable" if self.vulnerable else "refused" if self.code else "allowed"


class ImageTags(Struct, frozen=True):
    """An image, and the tags that point to it now."""

    image: PinnedReference
    tags: tuple[str, ...]


class PublishedImages(Struct, frozen=True, kw_only=True):
    """What a registry has."""

    images: tuple[ImageTags, ...]
    unread: tuple[str, ...] = ()
    """Repositories and tags that could not be read, with the reason."""


def published_images(reader: CatalogReader, destination: Destination) -> PublishedImages:
    """Return the images that a registry or layout has, each once for each repository.

    Args:
        reader: the way to it.
        destination: a registry, what its repositories begin with, or one repository.

    Raises:
        InputError: it has no list of repositories, or no images there, or too many.
        RegistryError: the registry did not answer.
    """
    found: dict[PinnedReference, list[str]] = {}
    unread: list[str] = []
    for repository in _repositories(reader, destination):
        for tagged in _tags(reader, repository, unread):
            try:
                digest = reader.resolve(tagged).digest
            except _UNREAD as error:
                unread.append(f"{tagged}: {error.message}")
                continue
            found.setdefault(PinnedReference(repository, digest), []).append(tagged.tag)
            if len(found) > MAX_IMAGES:
                raise InputError(
                    f"there are more than {MAX_IMAGES} images",
                    hint="name a part of the registry: HOST/PREFIX",
                    code="scan/too-many",
                )
    return PublishedImages(
        images=tuple(ImageTags(image, tuple(tags)) for image, tags in found.items()),
        unread=tuple(unread),
    )


class PublishedScan(Struct, frozen=True, kw_only=True):
    """By what images of a registry are judged."""

    reader: RegistryReader
    verifier: Verifier
    policy: OpenedPolicy
    clock: Clock
    index: AdvisoryIndex | None = None
    """Today's advisories; None for the verdict alone."""

    def findings(
        self, images: Sequence[ImageTags], destination: Destination
    ) -> Iterator[PublishedFinding]:
        """Yield what comes of each image; one that cannot be judged keeps none from it."""
        for entry in images:
            try:
                yield self._finding(entry, destination)
            except ImagekitError as error:
                yield PublishedFinding(
                    image=entry.image,
                    tags=entry.tags,
                    code=error.code or type(error).__name__,
                    message=error.message,
                )

    def _finding(self, entry: ImageTags, destination: Destination) -> PublishedFinding:
        # By tag: what is signed names it.
        tagged = PinnedReference(
            entry.image.repository, entry.image.digest, tag=entry.tags[0] if entry.tags else None
        )
        verdict = self.verifier.verify(LocatedReference(destination.location, tagged))
        if not verdict.allowed:
            fault = next(each for each in verdict.findings if each.severity == "error")
            return PublishedFinding(
                image=entry.image, tags=entry.tags, code=fault.code, message=fault.message
            )
        if self.index is None:
            return PublishedFinding(image=entry.image, tags=entry.tags)
        return self._scanned(entry, verdict, self.index)

    def _scanned(
        self, entry: ImageTags, verdict: Verdict, index: AdvisoryIndex
    ) -> PublishedFinding:
        scanned = scan_reference(
            self.reader,
            entry.image,
            index,
            clock=self.clock,
            find_packages=lambda image: self._packages(image, verdict),
        )
        conditions = self._conditions(entry.image.repository)
        refusal = self._refusal(scanned, conditions)
        return PublishedFinding(
            image=entry.image,
            tags=entry.tags,
            code="" if refusal is None else refusal.code,
            message="" if refusal is None else refusal.message,
            scanned=scanned,
            vulnerable=refusal is not None,
            judged=bool(conditions),
        )

    def _refusal(
        self, scanned: Sequence[ScannedImage], conditions: Sequence[VulnerabilityCondition]
    ) -> Refusal | None:
        now = Now(self.clock.now())
        for each in scanned:
            predicate = scan_predicate(each.result, each.image)
            for condition in conditions:
                refusal = check_vulnerabilities(predicate, condition, now=now)
                if refusal is not None:
                    return refusal
        return None

    def _conditions(self, repository: Repository) -> list[VulnerabilityCondition]:
        _, rule = rule_in_force(self.policy, repository.name, Now(self.clock.now()))
        attestations = () if rule is None else rule.attestations
        return [
            required.condition
            for required in attestations
            if isinstance(required.condition, VulnerabilityCondition)
        ]

    def _packages(self, image: PinnedReference, verdict: Verdict) -> tuple[ImagePackage, ...]:
        attested = self._attested(image, verdict)
        if attested is not None:
            return attested
        from imagekit.sbom.sbom import catalogue_reference

        return packages_of(catalogue_reference(self.reader, image))

    def _attested(
        self, image: PinnedReference, verdict: Verdict
    ) -> tuple[ImagePackage, ...] | None:
        """Return the packages of an SBOM that counted for the verdict, if there is one."""
        for candidate in gather(self.reader, image).candidates:
            # These very bytes were verified: their digest says so.
            if candidate.form is not Form.BUNDLE or candidate.source not in verdict.evidence:
                continue
            statement = statement_of(parse_bundle(candidate.raw).envelope)
            about = any(subject.digest == image.digest for subject in statement.subjects)
            if about and statement.predicate_type == CYCLONEDX:
                return packages_of_document(statement.predicate)
        return None


def _tags(
    reader: CatalogReader, repository: Repository, unread: list[str]
) -> Iterator[TaggedReference]:
    """Yield the tags of images; what keeps them from being read is added to ``unread``."""
    try:
        tags = reader.tags(repository)
    except _UNREAD as error:
        unread.append(f"{repository}: {error.message}")
        return
    for tag in tags:
        if not tag.startswith(_ATTACHED):
            yield TaggedReference(repository, tag)


def _repositories(reader: CatalogReader, destination: Destination) -> tuple[Repository, ...]:
    prefix = destination.prefix
    try:
        listed = reader.repositories(destination.host)
    except (RegistryError, DocumentError) as error:
        own = Repository(destination.host, prefix) if prefix else None
        if own is not None and reader.tags(own):
            return (own,)
        raise InputError(
            f"{destination.host} has no list of its repositories: {error.message}",
            hint="name a single repository: --published HOST/NAME",
            code="scan/no-catalog",
        ) from error
    if not destination.location.is_remote:
        return listed
    return tuple(
        repository
        for repository in listed
        if not prefix or repository.path == prefix or repository.path.startswith(f"{prefix}/")
    )

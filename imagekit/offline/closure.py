"""All that belongs to an image: its manifests and blobs, and everything that is attached to it.

What must hold:

1. The image itself is complete, or it is an error; a platform that an index lists and the registry
   lacks is reported, and so is one that was not asked for.
2. What is attached may come from anybody: what cannot be read is left out and reported, and what is
   read is bounded in number and bytes.
"""

from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct, field

from imagekit.errors import DocumentError, InputError, IntegrityError, NotFoundError
from imagekit.oci.codec import parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, TaggedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Index,
    Manifest,
    RawManifest,
)

MAX_PLATFORMS = 64
MAX_ATTACHED = 1024
"""Most manifests that are attached to one image, to its platforms and to each other."""
MAX_ATTACHED_BYTES = 1 << 30
_DEPTH = 3
_TAGS = (".sig", ".att", ".sbom")
"""The suffixes of cosign's tags beside an image (SIGNATURE_SPEC, "Tag-based Discovery")."""


class Closure(Struct, frozen=True, kw_only=True):
    """What belongs to one image, each document once, in the order in which it can be written."""

    image: PinnedReference
    manifests: tuple[RawManifest, ...]
    """Of the platforms first, the index last."""
    blobs: tuple[Descriptor, ...]
    """Configurations and layers, also of what is attached."""
    attached: tuple[RawManifest, ...]
    """Everything that names one of the manifests, or one of these, as its subject."""
    tags: tuple[tuple[str, RawManifest], ...]
    """The tags of the legacy forms."""
    left_out: tuple[str, ...]
    """What was not taken, and why, for messages."""

    @property
    def top(self) -> RawManifest:
        """The manifest or index that the reference points to."""
        return self.manifests[-1]

    @property
    def size(self) -> int:
        """All bytes together."""
        raw = (*self.manifests, *self.attached, *(raw for _, raw in self.tags))
        return sum(blob.size for blob in self.blobs) + sum(len(manifest.raw) for manifest in raw)


class _Walk(Struct):
    reader: RegistryReader
    image: PinnedReference
    unread: Collection[Digest] = ()
    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    attached: dict[Digest, RawManifest] = field(default_factory=dict)
    tags: dict[str, RawManifest] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    cost: int = 0

    def layers(self, manifest: Manifest) -> None:
        for blob in (manifest.config, *manifest.layers):
            self.blobs.setdefault(blob.digest, blob)

    def referrers(self, subject: RawManifest, *, depth: int = 0) -> None:
        """Take what is attached to a manifest, and to what is attached.

        image-spec manifest.md, ``subject``: a referrer is a manifest, and may have referrers.
        """
        if depth == _DEPTH:
            return
        for entry in self.reader.referrers(self.image.with_digest(subject.digest)):
            if entry.digest in self.attached:
                continue
            raw = self._taken(f"the referrer {entry.digest}", self.image.with_digest(entry.digest))
            if raw is not None:
                self.attached[entry.digest] = raw
                self.referrers(raw, depth=depth + 1)

    def legacy(self, subject: RawManifest) -> None:
        """Take what the tags beside a manifest point to."""
        if subject.digest.algorithm != "sha256":
            return
        for suffix in _TAGS:
            tag = f"sha256-{subject.digest.hex}{suffix}"
            reference = TaggedReference(self.image.repository, tag)
            raw = self._taken(f"the tag {tag[:19]}...{suffix}", reference, quiet=True)
            if raw is not None:
                self.tags[tag] = raw

    def _taken(
        self, description: str, reference: PinnedReference | TaggedReference, *, quiet: bool = False
    ) -> RawManifest | None:
        """Return a manifest with all its blobs noted, or None with the reason noted."""
        if len(self.attached) + len(self.tags) >= MAX_ATTACHED:
            raise InputError(
                f"more than {MAX_ATTACHED} artifacts are attached to {self.image}",
                hint="check who may push there",
                code="TOO_MANY",
            )
        try:
            raw = self.reader.manifest(reference)
            manifest = parse_manifest(raw.raw, raw.media_type)
        except NotFoundError:
            if not quiet:
                self.left_out.append(f"{description} is listed, but not there")
            return None
        except (DocumentError, IntegrityError) as error:
            self.left_out.append(f"{description}: {error.message}")
            return None
        if isinstance(manifest, Index):
            self.left_out.append(f"{description} is an index")
            return None
        return raw if self._affordable(description, manifest) else None

    def _affordable(self, description: str, manifest: Manifest) -> bool:
        new = [
            blob for blob in (manifest.config, *manifest.layers) if blob.digest not in self.blobs
        ]
        size = sum(blob.size for blob in new)
        if self.cost + size > MAX_ATTACHED_BYTES:
            self.left_out.append(
                f"{description} has {size} bytes, which is too much beside an image"
            )
            return False
        self.cost += size
        self.layers(manifest)
        return True


def find_closure(
    reader: RegistryReader,
    image: PinnedReference,
    *,
    platforms: Sequence[str] = (),
    unread: Collection[Digest] = (),
) -> Closure:
    """Find all that belongs to an image.

    Args:
        reader: where it is.
        image: the image, by the digest that was judged.
        platforms: which manifests of an index are wanted, as ``linux/amd64``; all by default.
        unread: what the index lists and the verdict is not about: it is left out, also where the
            registry has it now.

    Raises:
        RegistryError: the registry did not answer.
        IntegrityError: bytes differ from their digest.
        DocumentError: it is no image.
        InputError: a wanted platform is not there, or too much is attached.
    """
    top = reader.manifest(image.with_digest(image.digest))
    walk = _Walk(reader, image, unread)
    manifests = [*_children(walk, top, platforms), top]
    for raw in manifests:
        walk.referrers(raw)
        walk.legacy(raw)
    return Closure(
        image=image,
        manifests=tuple(manifests),
        blobs=tuple(walk.blobs.values()),
        attached=tuple(walk.attached.values()),
        tags=tuple(walk.tags.items()),
        left_out=tuple(walk.left_out),
    )


def _children(walk: _Walk, top: RawManifest, platforms: Sequence[str]) -> Iterator[RawManifest]:
    document = parse_manifest(top.raw, top.media_type)
    if isinstance(document, Manifest):
        _refuse_artifact(walk.image, document)
        walk.layers(document)
        return
    if len(document.manifests) > MAX_PLATFORMS:
        raise DocumentError(
            f"{walk.image} lists more than {MAX_PLATFORMS} manifests", code="TOO_MANY"
        )
    count = 0
    for entry in document.manifests:
        raw = _child(walk, entry, platforms)
        if raw is not None:
            count += 1
            yield raw
    if not count:
        raise InputError(
            f"{walk.image} has none of the platforms {', '.join(platforms) or 'that it lists'}",
            hint=f"it lists: {', '.join(_platform(entry) for entry in document.manifests)}",
            code="MISSING_PLATFORM",
        )


def _child(walk: _Walk, entry: Descriptor, platforms: Sequence[str]) -> RawManifest | None:
    if entry.media_type not in MANIFEST_TYPES | INDEX_TYPES:
        walk.left_out.append(f"{entry.digest.short} is a {entry.media_type[:60]}")
        return None
    if platforms and not any(matches(_platform(entry), wanted) for wanted in platforms):
        walk.left_out.append(f"{_platform(entry)} is not wanted")
        return None
    if entry.digest in walk.unread:
        walk.left_out.append(f"{_platform(entry)} could not be read when the image was judged")
        return None
    try:
        raw = walk.reader.manifest(walk.image.with_digest(entry.digest))
    except NotFoundError:
        walk.left_out.append(f"{_platform(entry)} is listed, but not there")
        return None
    manifest = parse_manifest(raw.raw, entry.media_type)
    if isinstance(manifest, Index):
        raise DocumentError(f"{walk.image} lists another index", code="BAD_DOCUMENT")
    walk.layers(manifest)
    return raw


def matches(platform: str, wanted: str) -> bool:
    """Return whether a platform is the wanted one, whose variant may be left out."""
    return platform == wanted or platform.startswith(f"{wanted}/")


def _platform(entry: Descriptor) -> str:
    return str(entry.platform) if entry.platform else entry.digest.short


def _refuse_artifact(image: PinnedReference, manifest: Manifest) -> None:
    if manifest.subject is not None:
        raise DocumentError(
            f"{image} is no image but something attached to {manifest.subject.digest}",
            code="NOT_AN_IMAGE",
        )

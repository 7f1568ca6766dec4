"""What the gate decided about a reference: values only."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from enum import Enum

from msgspec import Struct, field

from imagekit.oci.codec import parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.location import LocatedReference, LocatedRepository
from imagekit.oci.reference import PinnedReference
from imagekit.oci.types import Descriptor, Manifest, RawManifest
from imagekit.policy.findings import Finding
from imagekit.policy.ruleset import Policy

_JUDGED = "2"
"""Raised when one policy allows less than before: what an older gate kept then counts no more."""


class DecisionSubject(Struct, frozen=True):
    """What a decision is about: a digest in a repository, and the tag that it was asked for by."""

    place: LocatedRepository
    """What one place has under a name says nothing of what another has under it."""
    digest: Digest
    tag: str = ""

    @property
    def reference(self) -> LocatedReference:
        """The image by its digest, with the tag if it was asked for by one."""
        pinned = PinnedReference(self.place.repository, self.digest, tag=self.tag or None)
        return LocatedReference(self.place.location, pinned)


class Blob(Struct, frozen=True):
    """A blob that an allowed image consists of."""

    digest: Digest
    size: int


class DecisionClosure(Struct, frozen=True, kw_only=True):
    """What an allowed manifest consists of."""

    manifests: Mapping[Digest, RawManifest] = field(default_factory=dict)
    """Those that an index lists and that were judged with it."""
    blobs: Mapping[Digest, int] = field(default_factory=dict)
    """Configurations and layers, with their sizes."""


class Decision(Struct, frozen=True, kw_only=True):
    """A verdict, and how long it holds."""

    reference: LocatedReference
    digest: Digest | None
    allowed: bool
    policy: str
    """Fingerprint of the policy with all keys and trust roots."""
    findings: tuple[Finding, ...] = ()
    policy_name: str = ""
    made: datetime
    fresh: datetime
    """From then on it is judged again."""
    until: datetime
    """From then on it holds no more, whatever cannot be reached."""
    manifest: RawManifest | None = None
    """The very bytes that were judged."""
    closure: DecisionClosure = field(default_factory=DecisionClosure)

    @property
    def tag(self) -> str:
        """The tag that the image was asked for by, if any."""
        return self.reference.reference.tag or ""

    @property
    def subject(self) -> DecisionSubject | None:
        """What it is about; None where nothing was found to judge."""
        if self.digest is None:
            return None
        return DecisionSubject(self.reference.place, self.digest, self.tag)

    def is_fresh(self, policy: str, now: datetime) -> bool:
        """Return whether it may be used without another look."""
        # Also not before it was made: a clock that was set back would let it hold for longer.
        return self.policy == policy and self.made <= now < min(self.fresh, self.until)

    def holds(self, policy: str, now: datetime) -> bool:
        """Return whether it may be used while the upstream cannot be asked."""
        return self.policy == policy and self.made <= now < self.until


def closure_of(
    top: RawManifest,
    read: Mapping[Digest, RawManifest],
    *,
    judged: Collection[Digest],
    denied: frozenset[Digest] = frozenset(),
) -> DecisionClosure:
    """Return what a manifest consists of.

    Args:
        top: an index or a manifest, allowed as a whole.
        read: the manifests that were read with it.
        judged: those that the verdict speaks for. A client chooses by digest, so nothing else is
            part of an index, though the index lists it.
        denied: what the policy refuses whoever signed it: it is no part of anything.

    Raises:
        DocumentError: it is neither.
    """
    document = parse_manifest(top.raw, top.media_type)
    if isinstance(document, Manifest):
        return DecisionClosure(blobs={k: v for k, v in _blobs(document) if k not in denied})
    manifests: dict[Digest, RawManifest] = {}
    blobs: dict[Digest, int] = {}
    for entry in document.manifests:
        raw = read.get(entry.digest)
        # Under another type it was not judged.
        if raw is None or raw.media_type != entry.media_type:
            continue
        if entry.digest not in judged or entry.digest in denied:
            continue
        child = parse_manifest(raw.raw, raw.media_type)
        if isinstance(child, Manifest):
            manifests[entry.digest] = raw
            blobs.update({k: v for k, v in _blobs(child) if k not in denied})
    return DecisionClosure(manifests=manifests, blobs=blobs)


def _blobs(manifest: Manifest) -> Iterator[tuple[Digest, int]]:
    parts: tuple[Descriptor, ...] = (manifest.config, *manifest.layers)
    return ((part.digest, part.size) for part in parts)


def fingerprint(policy: Policy) -> str:
    """Return a digest of all that a policy decides by: also of keys and trust roots in files."""
    return str(Digest.of("\n".join((_JUDGED, *_canonical(policy))).encode()))


def moments(value: object) -> Iterator[datetime]:
    """Yield every time that a policy names: at each of them it may begin to say something else."""
    if isinstance(value, datetime):
        yield value
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from moments(getattr(value, name))
    elif isinstance(value, (tuple, frozenset)):
        for part in value:
            yield from moments(part)


def _canonical(value: object) -> Iterator[str]:
    """Yield a text that is the same for equal values, in every process."""
    if isinstance(value, Struct):
        yield type(value).__name__
        for name in value.__struct_fields__:
            yield name
            yield from _canonical(getattr(value, name))
    elif isinstance(value, (tuple, list)):
        yield f"{len(value)}:"
        for element in value:
            yield from _canonical(element)
    # Sorted: each process has an order of its own for a set of texts.
    elif isinstance(value, (set, frozenset)):
        yield from sorted("\n".join(_canonical(element)) for element in value)
    elif isinstance(value, Mapping):
        for key in sorted(value):
            yield from (repr(key), *_canonical(value[key]))
    elif isinstance(value, Enum):
        yield str(value.value)
    else:
        yield repr(value)

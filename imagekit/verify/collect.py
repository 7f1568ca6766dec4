"""Reads from a registry everything that may prove something about an image.

What must hold:

1. Every object is asked for by digest, but for the one tag that has the legacy form.
2. A registry that does not answer is an error. It never means "there is nothing", and one form
   never stands in silence for the other.
3. Whatever strangers attached costs a bounded number of requests and bytes: ``MAX_CANDIDATES``
   documents, ``MAX_BUNDLE`` bytes each and ``MAX_TOTAL`` bytes together. What lies beyond is not
   read and proves nothing, and a refusal says so.
4. A document that cannot be read is left out with its reason: anybody who may push can attach
   junk, and junk beside a good signature does not take it away.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from imagekit.errors import DocumentError, IntegrityError, NotFoundError
from imagekit.formats.bundle import MAX_BUNDLE
from imagekit.formats.oci import parse_manifest
from imagekit.formats.simplesigning import MAX_PAYLOAD
from imagekit.model.digest import Digest
from imagekit.model.evidence import Candidate, Form, Gathered, Refusal
from imagekit.model.oci import (
    CYCLONEDX,
    MANIFEST_TYPES,
    SIMPLE_SIGNING,
    Descriptor,
    Index,
    Manifest,
    RawManifest,
)
from imagekit.model.reference import PinnedReference, TaggedReference
from imagekit.ports import RegistryReader

MAX_CANDIDATES = 256
MAX_TOTAL = 128 << 20
MAX_REFERRER = 64 << 10
"""Largest manifest of a referrer: honest ones have one kilobyte."""

_BUNDLES = "application/vnd.dev.sigstore.bundle"
# These are documents themselves and hold no bundle; cosign's index entries name the empty
# configuration's type instead of the bundle's, so no other filter by type is right.
_NO_BUNDLES = frozenset({CYCLONEDX, "application/spdx+json"})


@dataclass(slots=True)
class _Haul:
    """What was found so far beside an image, and how many bytes it cost."""

    reader: RegistryReader
    image: PinnedReference
    candidates: list[Candidate] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    cost: int = 0
    known: dict[Digest, bytes] = field(default_factory=dict)
    """Blobs that were read: all signatures of one tag are of the same payload."""

    def refuse(self, code: str, message: str, hint: str = "") -> None:
        self.refusals.append(Refusal(code=code, message=message, hint=hint))


def gather(reader: RegistryReader, image: PinnedReference) -> Gathered:
    """Read the candidates of both forms.

    Raises:
        RegistryError: the registry did not answer; there can be no verdict.
        DocumentError, IntegrityError: it answered with something that is no list of referrers.
    """
    haul = _Haul(reader, image)
    listed = reader.referrers(image)
    _bundles(haul, listed)
    trace = "" if haul.candidates else _trace(haul, listed)
    _legacy(haul)
    return Gathered(candidates=tuple(haul.candidates), refusals=tuple(haul.refusals), trace=trace)


def _bundles(haul: _Haul, listed: Sequence[Descriptor]) -> None:
    likely = [
        entry
        for entry in listed
        if entry.media_type in MANIFEST_TYPES and entry.artifact_type not in _NO_BUNDLES
    ]
    for entry in _bounded(likely, haul, what="referrers"):
        manifest = _referrer(haul, entry)
        if manifest is None or len(manifest.layers) != 1:
            continue
        if manifest.layers[0].media_type.startswith(_BUNDLES):
            raw = _blob(haul, manifest.layers[0], limit=MAX_BUNDLE)
            if raw is not None:
                haul.candidates.append(
                    Candidate(form=Form.BUNDLE, source=manifest.layers[0].digest, raw=raw)
                )


def _referrer(haul: _Haul, entry: Descriptor) -> Manifest | None:
    if entry.size > MAX_REFERRER:
        haul.refuse("TOO_LARGE", f"the referrer {entry.digest} has {entry.size} bytes")
        return None
    if not _affordable(entry, haul):
        return None
    try:
        raw = haul.reader.manifest(haul.image.with_digest(entry.digest))
        haul.cost += len(raw.raw)
        manifest = parse_manifest(raw.raw, raw.media_type)
    except NotFoundError:
        haul.refuse(
            "REFERRERS_LOST",
            f"the referrer {entry.digest} is listed, but the registry does not have it",
            "somebody deleted it, or a copy was incomplete: sign the image again",
        )
        return None
    except (DocumentError, IntegrityError) as error:
        haul.refuse(error.code or "BAD_DOCUMENT", f"the referrer {entry.digest}: {error.message}")
        return None
    return None if isinstance(manifest, Index) else manifest


def _legacy(haul: _Haul) -> None:
    raw = _by_tag(haul, suffix=".sig")
    if raw is None:
        return
    try:
        manifest = parse_manifest(raw.raw, raw.media_type)
    except DocumentError as error:
        haul.refuse(error.code, f"the .sig image {raw.digest}: {error.message}")
        return
    if isinstance(manifest, Index):
        haul.refuse("BAD_DOCUMENT", f"the .sig tag points to an index, {raw.digest}")
        return
    layers = [layer for layer in manifest.layers if layer.media_type == SIMPLE_SIGNING]
    for layer in _bounded(layers, haul, what="layers of the .sig image"):
        payload = _blob(haul, layer, limit=MAX_PAYLOAD)
        if payload is not None:
            haul.candidates.append(
                Candidate(
                    form=Form.LEGACY,
                    source=layer.digest,
                    raw=payload,
                    annotations=layer.annotations,
                )
            )


def _by_tag(haul: _Haul, *, suffix: str) -> RawManifest | None:
    """Read what the tag ``ALGORITHM-HEX`` and the suffix points to, or None without such a tag."""
    image = haul.image
    if image.digest.algorithm != Digest.of(b"").algorithm:
        # A tag has no room for a longer digest, and no tool writes one.
        return None
    tag = f"{image.digest.algorithm}-{image.digest.hex}{suffix}"
    try:
        return haul.reader.manifest(TaggedReference(image.repository, tag))
    except NotFoundError:
        return None
    except (DocumentError, IntegrityError) as error:
        haul.refuse(error.code or "BAD_DOCUMENT", f"the tag {tag[:19]}...{suffix}: {error.message}")
        return None


def _trace(haul: _Haul, listed: Sequence[Descriptor]) -> str:
    """Look for what shows that bundles were attached once.

    Whoever attaches something writes the fallback tag with an entry in it; only somebody who
    overwrites it, or a tool that lost a race, leaves it without any.
    """
    if any(refusal.code == "REFERRERS_LOST" for refusal in haul.refusals):
        return "referrers are listed that the registry does not have"
    if listed or _by_tag(haul, suffix="") is None:
        return ""
    return f"the fallback tag sha256-{haul.image.digest.hex[:12]}... is there, but lists nothing"


def _blob(haul: _Haul, layer: Descriptor, *, limit: int) -> bytes | None:
    if layer.size > limit:
        haul.refuse("TOO_LARGE", f"{layer.digest} has {layer.size} bytes; at most {limit} are read")
        return None
    if layer.digest in haul.known and len(haul.known[layer.digest]) == layer.size:
        return haul.known[layer.digest]
    if not _affordable(layer, haul):
        return None
    try:
        raw = haul.reader.blob(haul.image.repository, layer, limit=limit)
    except NotFoundError:
        haul.refuse("REFERRERS_LOST", f"the registry does not have {layer.digest} any more")
        return None
    except IntegrityError as error:
        haul.refuse(error.code or "CONTENT_DIGEST_MISMATCH", error.message)
        return None
    haul.cost += len(raw)
    haul.known[layer.digest] = raw
    return raw


def _affordable(descriptor: Descriptor, haul: _Haul) -> bool:
    if haul.cost + descriptor.size <= MAX_TOTAL:
        return True
    haul.refuse("TOO_LARGE", f"{descriptor.digest} was not read: {MAX_TOTAL} bytes are the most")
    return False


def _bounded(listed: list[Descriptor], haul: _Haul, *, what: str) -> Iterator[Descriptor]:
    if len(listed) > MAX_CANDIDATES:
        haul.refuse(
            "TOO_MANY",
            f"the image has {len(listed)} {what}; the first {MAX_CANDIDATES} were read",
            "delete what strangers attached, and let only the publisher push",
        )
    yield from listed[:MAX_CANDIDATES]

"""Reads from a registry everything that may prove something about an image.

What must hold:

1. Every object is asked for by digest, but for the one tag that has the legacy form.
2. A registry that does not answer is an error. It never means "there is nothing", and one form
   never silently replaces the other.
3. Whatever strangers attached costs a bounded number of requests and bytes: ``MAX_CANDIDATES``
   documents of each form, ``MAX_BUNDLE`` bytes each and ``MAX_TOTAL`` bytes together. What lies
   beyond is not read and proves nothing, and a refusal says so. Withdrawals are read first, and
   what is cut off and may be one is reported: many others must not hide it. So is what is listed,
   may be one, and is not there.
4. A document that cannot be read is left out with its reason: anybody who may push can attach
   junk, and junk beside a good signature does not take it away.
5. What is found has the order of the registry's lists, bundles first, however many requests were
   under way at once.

A registry is waited for three times: for the two lists, for what they list, and for the blobs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field

from imagekit.errors import DocumentError, ImagekitError, IntegrityError, NotFoundError
from imagekit.oci.codec import parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry.ports import CachingReader, RegistryReader
from imagekit.oci.registry.protocol import fallback_tag
from imagekit.oci.types import (
    DOCUMENT_TYPES,
    MANIFEST_TYPES,
    PREDICATE_TYPE,
    SIMPLE_SIGNING,
    Descriptor,
    Index,
    Manifest,
    RawManifest,
)
from imagekit.signatures.bundle import MAX_BUNDLE
from imagekit.signatures.release import WITHDRAWAL
from imagekit.signatures.results import Refusal
from imagekit.signatures.simplesigning import MAX_PAYLOAD
from imagekit.verify.evidence import Attachments, Candidate, Form
from imagekit.verify.parallel import in_order

# cosign once read as many signatures as there were (CVE-2023-46737). One takes 0.1 ms to verify
# by a key and up to 4 ms under a certificate: with so many, a second is what an attacker can cost.
MAX_CANDIDATES = 256
# Attachments of any size once filled the memory of who verified (cosign: CVE-2024-29902, -29903).
MAX_TOTAL = 128 << 20
MAX_REFERRER = 64 << 10
"""Largest manifest of a referrer: usual ones have one kilobyte."""

# cosign, too, takes every type that begins so; which versions are read is up to the bundle's
# parser.
_BUNDLES = "application/vnd.dev.sigstore.bundle"
_LIMITS = {Form.BUNDLE: MAX_BUNDLE, Form.LEGACY: MAX_PAYLOAD}
Fault = NotFoundError | DocumentError | IntegrityError
"""Why there is no document where one should be."""
_Wanted = tuple[Form, Descriptor]
"""A blob that may be a candidate, and of which form it would be."""


class _Collector(Struct, kw_only=True):
    """What was found so far beside an image, and how many bytes it cost."""

    reader: RegistryReader
    image: PinnedReference
    at_once: int
    remembers: Callable[[Repository, Digest], bool]
    listed: tuple[Descriptor, ...] = ()
    legacy: RawManifest | Fault | None = None
    refusals: list[Refusal] = field(default_factory=list)
    suspects: set[Digest] = field(default_factory=set)
    """Manifests and blobs that may be withdrawals."""
    cut: bool = False
    lost: Digest | None = None
    cost: int = 0

    def refuse(self, code: str, message: str, hint: str = "") -> None:
        self.refusals.append(Refusal(code=code, message=message, hint=hint))

    def read(
        self, entries: Sequence[Descriptor], question: Callable[[Descriptor], bytes]
    ) -> Iterator[tuple[Descriptor, bytes | Fault]]:
        """Yield each entry with its bytes or with why there are none; several are asked at once.

        What could cost too much is refused. A registry whose lists state wrong sizes gets at most
        ``at_once`` answers more than it should.
        """

        def answer(entry: Descriptor) -> bytes | Fault:
            try:
                return question(entry)
            except (NotFoundError, DocumentError, IntegrityError) as error:
                return error

        for start in range(0, len(entries), self.at_once):
            wave = [
                entry for entry in entries[start : start + self.at_once] if self._reserve(entry)
            ]
            # A thread costs more than it saves where nothing has to be waited for.
            remembered = [self.remembers(self.image.repository, entry.digest) for entry in wave]
            unknown = [
                entry for entry, is_known in zip(wave, remembered, strict=True) if not is_known
            ]
            answers = in_order(answer, unknown, at_once=self.at_once)
            for entry, is_known in zip(wave, remembered, strict=True):
                outcome = answer(entry) if is_known else next(answers)
                # What cannot be parsed was read: it is no withdrawal. These bytes nobody has seen.
                unseen = isinstance(outcome, NotFoundError | IntegrityError)
                if unseen and self.lost is None and entry.digest in self.suspects:
                    self.lost = entry.digest
                # What came counts, since a list may state any size.
                self.cost += (len(outcome) if isinstance(outcome, bytes) else 0) - entry.size
                yield entry, outcome

    def _reserve(self, entry: Descriptor) -> bool:
        if self.cost + entry.size <= MAX_TOTAL:
            self.cost += entry.size
            return True
        self.refuse("TOO_LARGE", f"{entry.digest} was not read: {MAX_TOTAL} bytes are the most")
        self.cut = self.cut or entry.digest in self.suspects
        return False


def gather(reader: RegistryReader, image: PinnedReference, *, at_once: int = 1) -> Attachments:
    """Read the candidates of both forms.

    Args:
        reader: the way to the registry; safe in several threads where ``at_once`` is above 1.
        image: the manifest or index, by its digest.
        at_once: how many requests are under way at the same time.

    Raises:
        RegistryError: the registry did not answer; there can be no verdict.
        DocumentError, IntegrityError: it answered with something that is no list of referrers.
    """
    remembers = reader.remembers if isinstance(reader, CachingReader) else _nothing
    collector = _Collector(reader=reader, image=image, at_once=at_once, remembers=remembers)
    # Both forms are asked for in any case. cosign takes the older one where the list fails, which
    # whoever answers for the registry can bring about.
    for _ in in_order(lambda look: look(collector), (_list, _look_for_legacy), at_once=at_once):
        pass
    candidates = _candidates(collector, [*_bundles(collector), *_signatures(collector)])
    proven = any(candidate.form is Form.BUNDLE for candidate in candidates)
    return Attachments(
        candidates=candidates,
        refusals=tuple(collector.refusals),
        trace="" if proven else _trace(collector),
        cut=collector.cut,
        lost=collector.lost,
    )


def gather_withdrawals(reader: RegistryReader, image: PinnedReference) -> Attachments:
    """Read what may be withdrawals, and nothing that its list calls something else.

    Args:
        reader: the way to the registry.
        image: a manifest, by its digest; it need not be there.

    Raises:
        RegistryError: the registry did not answer; there can be no verdict.
        DocumentError, IntegrityError: it answered with something that is no list of referrers.
    """
    collector = _Collector(reader=reader, image=image, at_once=1, remembers=_nothing)
    collector.listed = tuple(
        referrer for referrer in reader.referrers(image) if _may_withdraw(referrer.annotations)
    )
    candidates = _candidates(collector, [*_bundles(collector)])
    return Attachments(
        candidates=candidates,
        refusals=tuple(collector.refusals),
        cut=collector.cut,
        lost=collector.lost,
    )


def _may_withdraw(annotations: Mapping[str, str]) -> bool:
    """Return whether something may be a withdrawal: old tools do not write what a bundle holds.

    Whoever could write it falsely into a registry's list could leave the entry out as well.
    """
    return annotations.get(PREDICATE_TYPE, WITHDRAWAL) == WITHDRAWAL


def _nothing(repository: Repository, digest: Digest) -> bool:
    del repository, digest
    return False


def _list(collector: _Collector) -> None:
    collector.listed = collector.reader.referrers(collector.image)


def _look_for_legacy(collector: _Collector) -> None:
    collector.legacy = _by_tag(collector, suffix=".sig")


def _bundles(collector: _Collector) -> Iterator[_Wanted]:
    """Return the blobs that referrers hold as bundles."""
    # distribution-spec, "Listing Referrers": artifactType is the registry's word. It only leaves
    # out what holds a bundle by no tool.
    likely = [
        entry
        for entry in collector.listed
        # An index may be a referrer, too (distribution-spec, "Listing Referrers"), and holds no
        # bundle.
        if entry.media_type in MANIFEST_TYPES and entry.artifact_type not in DOCUMENT_TYPES
    ]
    collector.suspects |= {entry.digest for entry in likely if _may_withdraw(entry.annotations)}
    # Withdrawals first: what a bound cuts off is something else then.
    likely.sort(key=lambda entry: entry.annotations.get(PREDICATE_TYPE) != WITHDRAWAL)
    # What a manifest calls its subject is not looked at: what was signed names the image itself.
    for manifest in _referrers(collector, _bounded(likely, collector, what="referrers")):
        # cosign BUNDLE_SPEC, "Publishing": the only layer is the bundle.
        if len(manifest.layers) == 1 and manifest.layers[0].media_type.startswith(_BUNDLES):
            (layer,) = manifest.layers
            # By its own words, which are under its digest; another manifest may say otherwise.
            if _may_withdraw(manifest.annotations):
                collector.suspects.add(layer.digest)
            yield Form.BUNDLE, layer


def _referrers(collector: _Collector, entries: Iterable[Descriptor]) -> Iterator[Manifest]:
    kinds: dict[Digest, str] = {}

    def manifest(entry: Descriptor) -> bytes:
        raw = collector.reader.manifest(collector.image.with_digest(entry.digest))
        kinds[entry.digest] = raw.media_type
        return raw.raw

    small = []
    for entry in entries:
        if entry.size > MAX_REFERRER:
            collector.refuse("TOO_LARGE", f"the referrer {entry.digest} has {entry.size} bytes")
        else:
            small.append(entry)
    for entry, outcome in collector.read(small, manifest):
        parsed = _referrer(collector, entry, outcome, kind=kinds.get(entry.digest, ""))
        if isinstance(parsed, Manifest):
            yield parsed


def _referrer(
    collector: _Collector, entry: Descriptor, outcome: bytes | Fault, *, kind: str
) -> Manifest | Index | None:
    if isinstance(outcome, NotFoundError):
        collector.refuse(
            "REFERRERS_LOST",
            f"the referrer {entry.digest} is listed, but the registry does not have it",
            "somebody deleted it, or a copy was incomplete: sign the image again",
        )
        return None
    return _parsed(collector, outcome, kind=kind, what=f"the referrer {entry.digest}")


def _signatures(collector: _Collector) -> Iterator[_Wanted]:
    """Return the layers of the legacy form's image."""
    raw = collector.legacy
    if raw is None:
        return
    if isinstance(raw, RawManifest):
        manifest = _parsed(
            collector, raw.raw, kind=raw.media_type, what=f"the .sig image {raw.digest}"
        )
    else:
        manifest = _parsed(collector, raw, kind="", what="the .sig tag")
    if isinstance(manifest, Index):
        collector.refuse("BAD_DOCUMENT", "the .sig tag points to an index")
    if not isinstance(manifest, Manifest):
        return
    # cosign SIGNATURE_SPEC, "Payload and mediaType": each layer is a payload, and its annotations
    # hold the signature.
    layers = [layer for layer in manifest.layers if layer.media_type == SIMPLE_SIGNING]
    for layer in _bounded(layers, collector, what="layers of the .sig image"):
        yield Form.LEGACY, layer


def _parsed(
    collector: _Collector, outcome: bytes | Fault, *, kind: str, what: str
) -> Manifest | Index | None:
    try:
        if isinstance(outcome, ImagekitError):
            raise outcome
        return parse_manifest(outcome, kind)
    except (DocumentError, IntegrityError) as error:
        collector.refuse(error.code or "BAD_DOCUMENT", f"{what}: {error.message}")
        return None


def _candidates(collector: _Collector, wanted: Sequence[_Wanted]) -> tuple[Candidate, ...]:
    """Read the blobs, each once: all signatures of one tag are of the same payload."""
    limits: dict[Digest, int] = {}
    layers: dict[tuple[Digest, int], Descriptor] = {}
    for form, layer in wanted:
        if layer.size > _LIMITS[form]:
            collector.refuse(
                "TOO_LARGE",
                f"{layer.digest} has {layer.size} bytes; at most {_LIMITS[form]} are read",
            )
            continue
        limits[layer.digest] = max(_LIMITS[form], limits.get(layer.digest, 0))
        # Also by size: of two descriptors of one digest each has to be right by itself.
        layers.setdefault((layer.digest, layer.size), layer)

    def blob(layer: Descriptor) -> bytes:
        return collector.reader.blob(collector.image.repository, layer, limit=limits[layer.digest])

    contents = {}
    for layer, outcome in collector.read(tuple(layers.values()), blob):
        if isinstance(outcome, bytes):
            contents[layer.digest] = outcome
        else:
            _refuse_blob(collector, layer, outcome)
    return tuple(
        _candidate(form, layer, contents[layer.digest])
        for form, layer in wanted
        if layer.digest in contents and len(contents[layer.digest]) == layer.size <= _LIMITS[form]
    )


def _candidate(form: Form, layer: Descriptor, raw: bytes) -> Candidate:
    if form is Form.BUNDLE:
        return Candidate(form=form, source=layer.digest, raw=raw)
    return Candidate(form=form, source=layer.digest, raw=raw, annotations=layer.annotations)


def _refuse_blob(collector: _Collector, layer: Descriptor, fault: Fault) -> None:
    if isinstance(fault, NotFoundError):
        collector.refuse("REFERRERS_LOST", f"the registry does not have {layer.digest} any more")
    else:
        collector.refuse(fault.code or "CONTENT_DIGEST_MISMATCH", fault.message)


def _by_tag(collector: _Collector, *, suffix: str) -> RawManifest | Fault | None:
    """Read what the tag of the image's referrers, or with a suffix cosign's, points to, if any."""
    image = collector.image
    if suffix and image.digest.algorithm != Digest.of(b"").algorithm:
        # cosign SIGNATURE_SPEC, "Tag-based Discovery": the tag has the whole digest in it. A longer
        # one is no tag (distribution-spec, "Pulling manifests": at most 128 characters).
        return None
    tag = f"{fallback_tag(image.digest)}{suffix}"
    try:
        return collector.reader.manifest(TaggedReference(image.repository, tag))
    except NotFoundError:
        return None
    except (DocumentError, IntegrityError) as error:
        return error


def _trace(collector: _Collector) -> str:
    """Look for what shows that bundles were attached once.

    Whoever attaches something writes the fallback tag with an entry in it; only somebody who
    overwrites it, or a tool that lost a race, leaves it without any.
    """
    if any(refusal.code == "REFERRERS_LOST" for refusal in collector.refusals):
        return "referrers are listed that the registry does not have"
    if collector.listed:
        return ""
    tagged = _by_tag(collector, suffix="")
    if isinstance(tagged, DocumentError | IntegrityError):
        _parsed(
            collector, tagged, kind="", what=f"the tag sha256-{collector.image.digest.hex[:12]}..."
        )
    if not isinstance(tagged, RawManifest):
        return ""
    return (
        f"the fallback tag sha256-{collector.image.digest.hex[:12]}... is there, but lists nothing"
    )


def _bounded(listed: list[Descriptor], collector: _Collector, *, what: str) -> Iterator[Descriptor]:
    if len(listed) > MAX_CANDIDATES:
        collector.refuse(
            "TOO_MANY",
            f"the image has {len(listed)} {what}; the first {MAX_CANDIDATES} were read",
            "delete what strangers attached, and let only the publisher push",
        )
        collector.cut = any(entry.digest in collector.suspects for entry in listed[MAX_CANDIDATES:])
    yield from listed[:MAX_CANDIDATES]

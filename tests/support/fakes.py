"""The ports in memory."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from imagekit.errors import IntegrityError, NotFoundError, VerificationError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, Repository, TaggedReference
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.oci.types import CONFIG, LAYER_GZIP, MANIFEST, MAX_MANIFEST, Descriptor, RawManifest
from imagekit.progress import Count
from imagekit.sign.keyed import KeySigner
from imagekit.signatures.authority import Authority, TrustRoot
from imagekit.signatures.publickey import PublicKey, public_key_of
from imagekit.signatures.results import Certified, ServiceResult, TransparencyResult


@dataclass
class FixedClock:
    """A clock that stands, until a test moves it."""

    time: datetime = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time that it shows."""
        return self.time


@dataclass
class MemorySigner:
    """A P-256 key in memory, and the signer with it; counts how often it signed."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    signed: int = 0

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return public_key_of(self.key.public_key())

    def sign(self, message: bytes) -> bytes:
        """Sign the message."""
        self.signed += 1
        return self.key.sign(message, ec.ECDSA(hashes.SHA256()))

    def sign_legacy(self, message: bytes) -> bytes:
        """Sign a payload."""
        return self.sign(message)

    @property
    def authority(self) -> Authority:
        """What a policy must list."""
        return KeySigner(self).authority

    def bundle(self, statement: bytes) -> bytes:
        """Sign a statement."""
        return KeySigner(self).bundle(statement)

    def legacy(self, payload: bytes) -> Mapping[str, str]:
        """Sign a payload."""
        return KeySigner(self).legacy(payload)

    def made(self, bundle: bytes) -> bool:
        """Return whether this key made it."""
        return KeySigner(self).made(bundle)

    def made_legacy(self, payload: bytes, annotations: Mapping[str, str]) -> bool:
        """Return whether this key made it."""
        return KeySigner(self).made_legacy(payload, annotations)


@dataclass
class FixedWitness:
    """A CertificateVerifier that says the same of every key's signature; it counts the looks.

    Of certificates it refuses all.
    """

    log: ServiceResult = field(default_factory=ServiceResult)
    timestamps: ServiceResult = field(default_factory=ServiceResult)
    looks: int = 0

    def bundle(self, *_: object) -> tuple[Certified, TransparencyResult]:
        """Refuse a certificate."""
        raise VerificationError("no certificate is taken here", code="BAD_CERTIFICATE")

    def legacy(self, *_: object) -> tuple[Certified, TransparencyResult]:
        """Refuse a certificate."""
        return self.bundle()

    def key_bundle(self, *_: object, root: TrustRoot) -> TransparencyResult:
        """Say it of a bundle."""
        self.looks += 1
        return TransparencyResult(root=root.digest, log=self.log, timestamps=self.timestamps)

    def key_legacy(self, *_: object, root: TrustRoot) -> TransparencyResult:
        """Say it of a legacy signature."""
        self.looks += 1
        return TransparencyResult(root=root.digest, log=self.log, timestamps=self.timestamps)


class Killed(BaseException):
    """The process died here."""


@dataclass
class MemoryRegistry:
    """A registry that holds everything in dictionaries: a RegistryWriter.

    ``writes`` lists what was written, in order, as ``blob DIGEST``, ``manifest DIGEST`` and
    ``tag NAME``; what was there already is not written again. ``die_after`` raises Killed at the
    write after so many. ``before_tag`` runs before each tag is set: the place of a race.
    """

    manifests: dict[tuple[str, Digest], RawManifest] = field(default_factory=dict)
    blobs: dict[tuple[str, Digest], bytes] = field(default_factory=dict)
    tagged: dict[tuple[str, str], Digest] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    die_after: int | None = None
    before_tag: Callable[[TaggedReference], None] | None = None

    def resolve(self, reference: TaggedReference) -> PinnedReference:
        """Return what the tag points to."""
        digest = self.tagged.get((reference.repository.name, reference.tag))
        if digest is None:
            raise NotFoundError(f"{reference} does not exist", http_status=404)
        return reference.pin(digest)

    def manifest(self, reference: Reference) -> RawManifest:
        """Return the exact bytes of a manifest or index."""
        pinned = self.resolve(reference) if isinstance(reference, TaggedReference) else reference
        found = self.manifests.get((pinned.repository.name, pinned.digest))
        if found is None:
            raise NotFoundError(f"{pinned} does not exist", http_status=404)
        pinned.digest.check(found.raw, what=f"the manifest {pinned}")
        return found

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Return a small blob whole."""
        found = self.blobs.get((repository.name, descriptor.digest))
        if found is None:
            raise NotFoundError(f"{descriptor.digest} does not exist", http_status=404)
        if len(found) > limit or len(found) != descriptor.size:
            raise IntegrityError(f"{descriptor.digest} has {len(found)} bytes")
        descriptor.digest.check(found, what=f"the blob {descriptor.digest}")
        return found

    @contextlib.contextmanager
    def stream(self, repository: Repository, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        """Yield a blob in pieces."""
        raw = self.blob(repository, descriptor, limit=descriptor.size)
        yield iter([raw[: len(raw) // 2], raw[len(raw) // 2 :]])

    def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        """Return all manifests that name this one as their subject."""
        here = [
            raw for (name, _), raw in self.manifests.items() if name == reference.repository.name
        ]
        return tuple(
            _referrer(raw, document)
            for raw in here
            if (document := json.loads(raw.raw)).get("subject", {}).get("digest")
            == str(reference.digest)
        )

    def repositories(self, host: str) -> tuple[Repository, ...]:
        """Return the repositories of a host that have tags."""
        names = {Repository.parse(name) for name, _ in self.tagged}
        return tuple(sorted(name for name in names if name.host == host))

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the tags of a repository."""
        return tuple(sorted(tag for name, tag in self.tagged if name == repository.name))

    def has_blob(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Return whether the blob is there."""
        return (repository.name, descriptor.digest) in self.blobs

    def put_blob(
        self,
        repository: Repository,
        descriptor: Descriptor,
        source: Path,
        *,
        known_in: Sequence[Repository] = (),
        count: Count | None = None,
    ) -> bool:
        """Store a file as a blob, unless it is there or in one of the other repositories."""
        if self.has_blob(repository, descriptor):
            return False
        for other in known_in:
            if self.has_blob(other, descriptor):
                raw = self.blobs[other.name, descriptor.digest]
                self.blobs[repository.name, descriptor.digest] = raw
                return False
        raw = source.read_bytes()
        descriptor.digest.check(raw, what=str(source))
        if count is not None:
            count(len(raw))
        self.put_bytes(repository, descriptor.media_type, raw)
        return True

    def put_bytes(self, repository: Repository, media_type: str, raw: bytes) -> Descriptor:
        """Store a small blob, unless it is there."""
        descriptor = Descriptor(media_type=media_type, digest=Digest.of(raw), size=len(raw))
        if not self.has_blob(repository, descriptor):
            self._write(f"blob {descriptor.digest}")
            self.blobs[repository.name, descriptor.digest] = raw
        return descriptor

    def put_manifest(self, repository: Repository, media_type: str, raw: bytes) -> PinnedReference:
        """Store a manifest by its digest only, as a registry does: what it points to is there."""
        digest = Digest.of(raw)
        if len(raw) > MAX_MANIFEST:
            raise IntegrityError(f"the manifest {digest} has {len(raw)} bytes")
        self._check_closure(repository, json.loads(raw))
        if (repository.name, digest) not in self.manifests:
            self._write(f"manifest {digest}")
            stored = RawManifest(media_type=media_type, digest=digest, raw=raw)
            self.manifests[repository.name, digest] = stored
        return PinnedReference(repository, digest)

    def put_referrers(
        self, subject: PinnedReference, manifests: Sequence[RawManifest]
    ) -> tuple[Descriptor, ...]:
        """Store manifests that name one subject."""
        for manifest in manifests:
            self.put_manifest(subject.repository, manifest.media_type, manifest.raw)
        return self.referrers(subject)

    def tag(self, reference: TaggedReference, manifest: RawManifest) -> None:
        """Let the tag point to the manifest."""
        if self.before_tag is not None:
            self.before_tag(reference)
        self.manifest(PinnedReference(reference.repository, manifest.digest))
        self._write(f"tag {reference.tag}")
        self.tagged[reference.repository.name, reference.tag] = manifest.digest

    def tag_once(self, reference: TaggedReference, manifest: RawManifest) -> PinnedReference:
        """Let the tag point to the manifest if it is not there."""
        if (reference.repository.name, reference.tag) not in self.tagged:
            self.tag(reference, manifest)
        return self.resolve(reference)

    def _write(self, what: str) -> None:
        if self.die_after is not None and len(self.writes) >= self.die_after:
            raise Killed(what)
        self.writes.append(what)

    def _check_closure(self, repository: Repository, document: Mapping[str, object]) -> None:
        layers, config = document.get("layers", []), document.get("config")
        assert isinstance(layers, list)
        for descriptor in [*layers, *([config] if config is not None else [])]:
            digest = Digest.parse(descriptor["digest"])
            if (repository.name, digest) not in self.blobs:
                raise NotFoundError(f"blob {digest} of the manifest is not there", http_status=400)


def _referrer(raw: RawManifest, document: Mapping[str, object]) -> Descriptor:
    config, annotations = document.get("config"), document.get("annotations", {})
    assert isinstance(annotations, dict)
    fallback = config["mediaType"] if isinstance(config, dict) else ""
    return Descriptor(
        media_type=raw.media_type,
        digest=raw.digest,
        size=len(raw.raw),
        artifact_type=str(document.get("artifactType") or fallback),
        annotations=annotations,
    )


def push_image(
    registry: RegistryWriter, repository: Repository, *, content: bytes = b"layer"
) -> PinnedReference:
    """Put a small image of one layer, without a tag."""
    config = registry.put_bytes(
        repository,
        CONFIG,
        json.dumps(
            {
                "os": "linux",
                "architecture": "amd64",
                "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(content))]},
            }
        ).encode(),
    )
    layer = registry.put_bytes(repository, LAYER_GZIP, content)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _plain(config),
        "layers": [_plain(layer)],
    }
    return registry.put_manifest(repository, MANIFEST, json.dumps(manifest).encode())


def _plain(descriptor: Descriptor) -> dict[str, object]:
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }

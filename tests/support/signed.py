"""An image in a registry in memory, and the pieces to sign it by and to break it with."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self, cast

from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry
from imagekit.oci.location import REGISTRY, LocatedReference
from imagekit.oci.reference import PinnedReference, Reference, Repository, TaggedReference
from imagekit.oci.types import (
    BUNDLE,
    CONFIG,
    EMPTY,
    EMPTY_JSON,
    IN_TOTO,
    INDEX,
    MANIFEST,
    SIMPLE_SIGNING,
    Descriptor,
)
from imagekit.policy.findings import Finding
from imagekit.policy.ruleset import Deny, ImageRule, OpenedPolicy, RequiredAttestation
from imagekit.signatures.authority import Authority
from imagekit.signatures.bundle import key_bundle_bytes
from imagekit.signatures.dsse import pae
from imagekit.signatures.intoto import (
    COSIGN_SIGN,
    CYCLONEDX,
    SLSA_PROVENANCE,
    Statement,
    StatementSubject,
    full_type,
    statement_bytes,
)
from imagekit.signatures.simplesigning import SIGNATURE_ANNOTATION, SimpleSigning, payload_bytes
from imagekit.verify.context import VerifyContext
from imagekit.verify.judge import judge
from imagekit.verify.verdict import Verdict
from tests.support.fakes import MemoryRegistry, MemorySigner, push_image

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SBOM: Mapping[str, object] = {"bomFormat": "CycloneDX", "specVersion": "1.6"}
PROVENANCE: Mapping[str, object] = {"buildDefinition": {"a": 1}, "runDetails": {"b": 2}}


@dataclass
class World:
    """One repository with an image under the tag 1, a signer, and what a policy asks for."""

    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    signer: MemorySigner = field(default_factory=MemorySigner)
    repository: Repository = field(default_factory=lambda: Repository.parse("r.site/apps/demo"))

    @classmethod
    def in_layout(cls, registry: LayoutRegistry, **more: Any) -> Self:
        """Return one in a layout, which does all that is asked of a registry here."""
        return cls(registry=cast("MemoryRegistry", registry), **more)

    def __post_init__(self) -> None:
        """Push the image and tag it."""
        self.image = push_image(self.registry, self.repository)
        self.reference = TaggedReference(self.repository, "1")
        self.tag("1", self.image)

    @property
    def located(self) -> LocatedReference:
        """The image under the tag, in the registry."""
        return LocatedReference(REGISTRY, self.reference)

    def tag(self, tag: str, image: PinnedReference) -> TaggedReference:
        """Let a tag point to an image."""
        reference = TaggedReference(self.repository, tag)
        self.registry.tag(reference, self.registry.manifest(image))
        return reference

    def sign(self, **changes: object) -> None:
        """Attach a bundle that signs the image; each keyword breaks one thing."""
        self.attach(COSIGN_SIGN, {}, **changes)  # type: ignore[arg-type]  # keywords of attach

    def attach(
        self,
        predicate_type: str,
        predicate: Mapping[str, object],
        *,
        signer: MemorySigner | None = None,
        name: str | None = None,
        digest: Digest | None = None,
        payload: bytes | None = None,
        payload_type: str = IN_TOTO,
        raw: bytes | None = None,
    ) -> None:
        """Attach a bundle with a statement."""
        statement = statement_bytes(
            Statement(
                subjects=(
                    StatementSubject(
                        digest=digest or self.image.digest,
                        name=self.reference.identity if name is None else name,
                    ),
                ),
                predicate_type=predicate_type,
                predicate=predicate,
            )
        )
        payload = statement if payload is None else payload
        signer = signer or self.signer
        signature = signer.sign(pae(payload_type, payload))
        bundle = key_bundle_bytes(payload, signature, signer.public_key)
        if payload_type != IN_TOTO:
            bundle = bundle.replace(IN_TOTO.encode(), payload_type.encode())
        self.attach_raw(bundle if raw is None else raw)

    def attach_raw(self, bundle: bytes, *, media_type: str = BUNDLE) -> Descriptor:
        """Attach bytes as a bundle."""
        layer = self.registry.put_bytes(self.repository, media_type, bundle)
        config = self.registry.put_bytes(self.repository, EMPTY, EMPTY_JSON)
        image = self.registry.manifest(self.image).descriptor
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "config": _plain(config),
            "layers": [_plain(layer)],
            "subject": _plain(image),
        }
        self.registry.put_manifest(self.repository, MANIFEST, json.dumps(manifest).encode())
        return layer

    def sign_legacy(
        self,
        *signers: MemorySigner,
        identity: str | None = None,
        digest: Digest | None = None,
        payload: bytes | None = None,
        beside: Callable[[bytes, bytes], Mapping[str, str]] | None = None,
    ) -> None:
        """Write the .sig tag with a layer for each signer.

        ``beside`` makes more annotations of a payload and its signature.
        """
        identity = self.reference.identity if identity is None else identity
        claim = SimpleSigning(identity=identity, digest=digest or self.image.digest)
        payload = payload_bytes(claim) if payload is None else payload
        layer = _plain(self.registry.put_bytes(self.repository, SIMPLE_SIGNING, payload))
        layers = []
        for signer in signers or (self.signer,):
            signature = signer.sign(payload)
            text = base64.b64encode(signature).decode()
            more = {SIGNATURE_ANNOTATION: text} | dict(beside(payload, signature) if beside else {})
            layers.append(layer | {"annotations": more})
        config = self.registry.put_bytes(self.repository, CONFIG, b"{}")
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _plain(config),
            "layers": layers,
        }
        pinned = self.registry.put_manifest(
            self.repository, MANIFEST, json.dumps(manifest).encode()
        )
        self.tag(f"sha256-{self.image.digest.hex}.sig", pinned)

    def policy(
        self,
        *require: str,
        signers: tuple[MemorySigner, ...] = (),
        attestors: tuple[MemorySigner, ...] = (),
        deny: Deny | None = None,
        **rule: object,
    ) -> OpenedPolicy:
        """Return a policy that lists the signer; keywords change its only rule."""
        authorities = _authorities(signers or (self.signer,))
        image_rule = ImageRule(
            glob=f"{self.repository.host}/apps/**",
            authorities=authorities,
            attestations=tuple(
                RequiredAttestation(
                    type=word,
                    predicate_type=full_type(word),
                    authorities=_authorities(attestors) or authorities,
                )
                for word in require
            ),
        )
        return OpenedPolicy(
            name="site",
            version=3,
            expires=datetime(2027, 1, 1, tzinfo=UTC),
            digest=Digest.of(b"policy"),
            images=(replace(image_rule, **rule),),
            deny=deny or Deny(),
            standing=(),
        )

    def judge(
        self,
        policy: OpenedPolicy | None = None,
        *,
        reference: Reference | None = None,
        registry: MemoryRegistry | None = None,
        now: datetime = NOW,
        **context: Any,
    ) -> Verdict:
        """Judge the image, by a policy that wants one signature unless told otherwise."""
        return judge(
            reference or self.reference,
            policy or self.policy(),
            VerifyContext(now=now, open_reader=lambda: registry or self.registry, **context),
        )


def _authorities(signers: tuple[MemorySigner, ...]) -> tuple[Authority, ...]:
    return tuple(
        Authority(name=f"signer-{number}", key=signer.public_key)
        for number, signer in enumerate(signers)
    )


def _plain(descriptor: Descriptor) -> dict[str, object]:
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }


def signed_world(name: str = "r.site/apps/demo") -> World:
    """Return a registry with one image, signed, with SBOM and provenance."""
    made = World(repository=Repository.parse(name))
    made.sign()
    made.attach(CYCLONEDX, SBOM)
    made.attach(SLSA_PROVENANCE, PROVENANCE)
    return made


def sparse_index(world: World, missing: Digest) -> PinnedReference:
    """Let the tag name a signed index of the image, and of something that is not there."""
    there = _plain(world.registry.manifest(world.image).descriptor)
    gone = {"mediaType": MANIFEST, "digest": str(missing), "size": 9}
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [there, gone]}
    raw = json.dumps(document).encode()
    world.image = world.registry.put_manifest(world.repository, INDEX, raw)
    world.tag("1", world.image)
    world.sign()
    return world.image


def finding(verdict: Verdict, check: str) -> Finding:
    """Return the only finding of a check."""
    found = [each for each in verdict.findings if each.check == check]
    assert len(found) == 1, verdict.findings
    return found[0]

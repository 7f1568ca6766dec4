"""Signing what something else built."""

import json

import pytest
from msgspec.structs import replace

from imagekit.build.image import Material
from imagekit.errors import DocumentError, IntegrityError, SigningKeyError
from imagekit.oci.codec import index_bytes, manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import (
    CONFIG,
    CYCLONEDX,
    IN_TOTO,
    INDEX,
    LAYER_GZIP,
    MANIFEST,
    Index,
    Manifest,
    RawManifest,
)
from imagekit.progress import Done, Event, silent
from imagekit.sign.own import own_statements
from imagekit.sign.provenance import STATED_TYPE, Stated, recipe_digest_of
from imagekit.sign.sign import MakeSbom, SignedImage, is_image, sign_image
from imagekit.signatures.intoto import COSIGN_SIGN, SLSA_PROVENANCE
from imagekit.signatures.intoto import CYCLONEDX as SBOM_TYPE
from tests.support.fakes import FixedClock, MemoryRegistry, MemorySigner, push_image
from tests.support.signing import attach_sbom

REPOSITORY = Repository("reg.example", "apps/solver")
TAGGED = TaggedReference(REPOSITORY, "1.0")


def _sbom(reader: RegistryReader, image: PinnedReference) -> bytes:
    return json.dumps({"bomFormat": "CycloneDX", "of": str(image.digest)}).encode()


def _signed(
    registry: MemoryRegistry,
    signer: MemorySigner,
    reference: PinnedReference | TaggedReference = TAGGED,
    make_sbom: MakeSbom | None = None,
) -> SignedImage:
    return sign_image(
        registry, signer, reference, clock=FixedClock(), progress=silent, make_sbom=make_sbom
    )


def _push_index(registry: MemoryRegistry, *children: PinnedReference) -> RawManifest:
    raw = index_bytes(
        Index(
            media_type=INDEX,
            manifests=tuple(registry.manifest(child).descriptor for child in children),
        )
    )
    registry.put_manifest(REPOSITORY, INDEX, raw)
    stored = RawManifest(media_type=INDEX, digest=Digest.of(raw), raw=raw)
    registry.tag(TAGGED, stored)
    return stored


def _names(registry: MemoryRegistry, signer: MemorySigner, image: PinnedReference) -> list[str]:
    return [
        subject.name
        for own in own_statements(registry, image, signer)
        if own.statement.predicate_type == COSIGN_SIGN
        for subject in own.statement.subjects
    ]


def test_an_empty_index_is_refused() -> None:
    """There is nothing to sign in it."""
    registry = MemoryRegistry()
    _push_index(registry)

    with pytest.raises(DocumentError, match="0 manifests"):
        _signed(registry, MemorySigner())


def test_an_index_that_cannot_be_signed_whole_is_not_signed_at_all() -> None:
    """An index within an index is refused before the first signature."""
    registry, signer = MemoryRegistry(), MemorySigner()
    image = push_image(registry, REPOSITORY)
    inner = _push_index(registry, image)
    _push_index(registry, image, PinnedReference(REPOSITORY, inner.digest))

    with pytest.raises(DocumentError, match="index within an index"):
        _signed(registry, signer)

    assert signer.signed == 0


def test_an_attachment_is_not_signed_as_an_image() -> None:
    """A digest that names an SBOM by mistake is told apart from an image."""
    registry = MemoryRegistry()
    image = push_image(registry, REPOSITORY)
    manifest = registry.manifest(image).descriptor
    sbom = attach_sbom(registry, image, manifest=manifest, sbom=b"{}").reference

    with pytest.raises(DocumentError, match="no image"):
        _signed(registry, MemorySigner(), sbom)


def test_a_tag_is_signed_for_and_a_digest_for_the_repository() -> None:
    """The identity is what the reference says."""
    registry, signer = MemoryRegistry(), MemorySigner()
    image = push_image(registry, REPOSITORY)
    registry.tag(TAGGED, registry.manifest(image))

    _signed(registry, signer, image)
    _signed(registry, signer, TAGGED)

    assert _names(registry, signer, image) == ["reg.example/apps/solver", TAGGED.identity]


def test_an_index_that_says_another_size_is_refused() -> None:
    """No runtime pulls it, and a signature would not change that; also where it lists one twice."""
    registry = MemoryRegistry()
    child = registry.manifest(push_image(registry, REPOSITORY)).descriptor
    wrong = replace(child, size=child.size + 1)
    raw = index_bytes(Index(media_type=INDEX, manifests=(child, wrong)))
    registry.put_manifest(REPOSITORY, INDEX, raw)
    registry.tag(TAGGED, RawManifest(media_type=INDEX, digest=Digest.of(raw), raw=raw))

    with pytest.raises(IntegrityError, match=f"{child.size + 1} bytes; it has {child.size}"):
        _signed(registry, MemorySigner())


def test_of_an_index_it_and_every_platform_are_signed() -> None:
    """Where cosign looks, at the index, and where Podman does, the tag is found."""
    registry, signer = MemoryRegistry(), MemorySigner()
    children = [push_image(registry, REPOSITORY, content=raw) for raw in (b"1", b"2")]
    index = _push_index(registry, *children)

    done = _signed(registry, signer, make_sbom=_sbom)

    for image in (PinnedReference(REPOSITORY, index.digest), *children):
        assert _names(registry, signer, image) == [TAGGED.identity]
    assert done.reference.digest == index.digest
    assert [
        attached.kind for target, attached in done.attached if target.digest == index.digest
    ] == [
        "signature",
        "legacy signature",
    ]


def test_the_sbom_is_attached_and_attested() -> None:
    """It is a referrer of its own, and a statement that the key signed has it as predicate."""
    registry, signer = MemoryRegistry(), MemorySigner()
    image = push_image(registry, REPOSITORY)
    registry.tag(TAGGED, registry.manifest(image))

    _signed(registry, signer, make_sbom=_sbom)

    assert CYCLONEDX in {referrer.artifact_type for referrer in registry.referrers(image)}
    predicates = [
        own.statement.predicate
        for own in own_statements(registry, image, signer)
        if own.statement.predicate_type == SBOM_TYPE
    ]
    assert predicates == [{"bomFormat": "CycloneDX", "of": str(image.digest)}]


def test_a_second_time_nothing_is_written_and_that_is_said() -> None:
    """The summary tells what was there."""
    registry, signer = MemoryRegistry(), MemorySigner()
    image = push_image(registry, REPOSITORY)
    registry.tag(TAGGED, registry.manifest(image))
    _signed(registry, signer, make_sbom=_sbom)
    events: list[Event] = []

    done = sign_image(
        registry, signer, TAGGED, clock=FixedClock(), progress=events.append, make_sbom=_sbom
    )

    assert not any(what.new for _, what in done.attached)
    assert [event.summary for event in events if isinstance(event, Done)] == [
        f"{image.digest.short}  0 written, 4 there already"
    ]


def _push_attestation(registry: MemoryRegistry, *types: str) -> PinnedReference:
    """Push what BuildKit puts beside an image in an index."""
    config = registry.put_bytes(REPOSITORY, CONFIG, b'{"os": "unknown"}')
    layers = tuple(
        replace(registry.put_bytes(REPOSITORY, kind, b"{}"), media_type=kind) for kind in types
    )
    manifest = Manifest(
        media_type=MANIFEST, config=replace(config, media_type=CONFIG), layers=layers
    )
    return registry.put_manifest(REPOSITORY, MANIFEST, manifest_bytes(manifest))


def test_attestations_in_an_index_get_no_sbom_and_all_images_do() -> None:
    """An index of buildx is signed whole: its attestations too, which have no file system."""
    registry, signer = MemoryRegistry(), MemorySigner()
    one, two = (push_image(registry, REPOSITORY, content=raw) for raw in (b"1", b"2"))
    attestation = _push_attestation(registry, IN_TOTO, IN_TOTO)
    _push_index(registry, one, attestation, two, attestation)
    made: list[PinnedReference] = []

    def make(reader: RegistryReader, image: PinnedReference) -> bytes:
        made.append(image)
        return _sbom(reader, image)

    done = _signed(registry, signer, make_sbom=make)

    assert [image.digest for image in made] == [one.digest, two.digest]
    assert len({target for target, _ in done.attached}) == 4
    assert len(done.attached) == 4 * 2 + 2 * 2
    for image in (one, attestation, two):
        assert _names(registry, signer, image) == [TAGGED.identity]


@pytest.mark.parametrize("types", [(), (LAYER_GZIP, IN_TOTO), ("application/wasm",)])
def test_what_is_not_known_to_be_an_attestation_needs_its_sbom(types: tuple[str, ...]) -> None:
    """A manifest with one layer of a file system, or of an unknown type, is not passed over."""
    registry = MemoryRegistry()
    image = _push_attestation(registry, *types)

    assert is_image(registry, image)


@pytest.mark.parametrize("fails", ["sbom", "signature", "attestation"])
def test_nothing_is_written_where_the_last_of_it_fails(fails: str) -> None:
    """Every SBOM is made and everything is signed before the first signature is attached."""
    registry, signer = MemoryRegistry(), MemorySigner()
    children = [push_image(registry, REPOSITORY, content=raw) for raw in (b"1", b"2")]
    index = _push_index(registry, *children)
    stored = (dict(registry.manifests), dict(registry.blobs))

    def make(reader: RegistryReader, image: PinnedReference) -> bytes:
        if fails == "sbom" and image.digest == children[-1].digest:
            raise DocumentError("no layer of an image", code="UNSUPPORTED_LAYER")
        return _sbom(reader, image)

    if fails != "sbom":
        signer = _Tires(after={"signature": 3, "attestation": 4}[fails])
    with pytest.raises((DocumentError, SigningKeyError)):
        _signed(registry, signer, make_sbom=make)

    assert (registry.manifests, registry.blobs) == stored
    assert registry.referrers(PinnedReference(REPOSITORY, index.digest)) == ()


class _Tires(MemorySigner):
    """A signer whose key refuses after some signatures, as a token does that is pulled out."""

    def __init__(self, *, after: int) -> None:
        super().__init__()
        self._left = after

    def bundle(self, statement: bytes, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise SigningKeyError("the token was pulled out")
        return super().bundle(statement)


def test_a_stated_provenance_is_marked_as_that() -> None:
    """Builder and materials are the signer's words; a second time nothing is signed again."""
    registry, signer = MemoryRegistry(), MemorySigner()
    image = push_image(registry, REPOSITORY)
    registry.tag(TAGGED, registry.manifest(image))
    stated = Stated(
        builder="https://ci.example.org",
        materials=(Material(uri="https://git.example.org/x", digest=Digest.of(b"x")),),
    )

    _, done = (
        sign_image(registry, signer, TAGGED, clock=FixedClock(), progress=silent, stated=stated)
        for _ in range(2)
    )

    (own,) = (
        own
        for own in own_statements(registry, image, signer)
        if own.statement.predicate_type == SLSA_PROVENANCE
    )
    definition = own.statement.predicate["buildDefinition"]
    assert isinstance(definition, dict)
    assert definition["buildType"] == STATED_TYPE
    assert definition["externalParameters"] == {"statedBy": "signer", "observed": False}
    assert [each["uri"] for each in definition["resolvedDependencies"]] == [
        "https://git.example.org/x"
    ]
    assert own.statement.predicate["runDetails"] == {"builder": {"id": "https://ci.example.org"}}
    assert recipe_digest_of(own.statement) is None
    assert not any(what.new for _, what in done.attached)

"""Signing what something else built."""

import json

import pytest

from imagekit.errors import DocumentError
from imagekit.formats.oci import index_bytes
from imagekit.model.digest import Digest
from imagekit.model.event import Done, Event, silent
from imagekit.model.oci import CYCLONEDX, INDEX, Index, RawManifest
from imagekit.model.reference import PinnedReference, Repository, TaggedReference
from imagekit.model.statement import COSIGN_SIGN
from imagekit.model.statement import CYCLONEDX as SBOM_TYPE
from imagekit.pipeline.sign import MakeSbom, SignedImage, sign_image
from imagekit.ports import RegistryReader
from imagekit.sign.attach import attach_sbom
from imagekit.sign.own import own_statements
from tests.fakes import FixedClock, MemoryRegistry, MemorySigner, push_image

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


def test_of_an_index_it_and_every_platform_are_signed() -> None:
    """Where cosign looks, at the index, and where Podman does, the tag is found."""
    registry, signer = MemoryRegistry(), MemorySigner()
    children = [push_image(registry, REPOSITORY, content=raw) for raw in (b"1", b"2")]
    index = _push_index(registry, *children)

    done = _signed(registry, signer, make_sbom=_sbom)

    for image in (PinnedReference(REPOSITORY, index.digest), *children):
        assert _names(registry, signer, image) == [TAGGED.identity]
    assert done.reference.digest == index.digest
    assert [what.what for target, what in done.attached if target.digest == index.digest] == [
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

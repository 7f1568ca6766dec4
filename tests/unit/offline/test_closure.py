"""What belongs to an image: all of it, once, and a bounded amount of what strangers attach."""

import json
from collections.abc import Iterator

import pytest

from imagekit.errors import DocumentError, InputError, NotFoundError
from imagekit.oci.codec import index_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, LocatedRepository
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.types import INDEX, SIMPLE_SIGNING, Descriptor, Index, Platform
from imagekit.offline import closure as module
from imagekit.offline.closure import find_closure, matches
from imagekit.offline.copy import check_blobs, copy
from imagekit.progress import Note, silent
from tests.support.fakes import MemoryRegistry, push_image
from tests.support.signed import World, signed_world

HERE = Repository.parse("r.site/apps/demo")
THERE = Repository.parse("mirror.site/apps/demo")


def _index(registry: MemoryRegistry, *names: str) -> PinnedReference:
    """Put an image for each platform, and an index of them."""
    entries = []
    for name in names:
        image = push_image(registry, HERE, content=name.encode())
        os, _, rest = name.partition("/")
        architecture, _, variant = rest.partition("/")
        platform = Platform(os=os, architecture=architecture, variant=variant)
        descriptor = registry.manifest(image).descriptor
        entries.append(
            type(descriptor)(
                media_type=descriptor.media_type,
                digest=descriptor.digest,
                size=descriptor.size,
                platform=platform,
            )
        )
    raw = index_bytes(Index(media_type=INDEX, manifests=tuple(entries)))
    return registry.put_manifest(HERE, INDEX, raw)


def test_an_image_and_all_that_is_attached_are_found() -> None:
    """Signatures of both forms, SBOM and provenance."""
    world = signed_world()
    world.sign_legacy()

    found = find_closure(world.registry, world.image)

    assert found.top.digest == world.image.digest
    assert len(found.attached) == 3
    assert [tag for tag, _ in found.tags] == [f"sha256-{world.image.digest.hex}.sig"]
    assert found.left_out == ()


def test_an_index_is_taken_with_all_its_platforms() -> None:
    """Whoever gets it may run any."""
    registry = MemoryRegistry()
    image = _index(registry, "linux/amd64", "linux/arm64/v8")

    found = find_closure(registry, image)

    assert len(found.manifests) == 3
    assert found.top.digest == image.digest


@pytest.mark.parametrize("wanted", ["linux/arm64", "linux/arm64/v8"])
def test_only_the_wanted_platforms_are_taken(wanted: str) -> None:
    """The index itself stays whole, since it is what was signed."""
    registry = MemoryRegistry()
    image = _index(registry, "linux/amd64", "linux/arm64/v8")

    found = find_closure(registry, image, platforms=(wanted,))

    assert len(found.manifests) == 2
    assert Digest.of(b"linux/arm64/v8") in {blob.digest for blob in found.blobs}
    assert Digest.of(b"linux/amd64") not in {blob.digest for blob in found.blobs}
    assert found.left_out == ("linux/amd64 is not wanted",)


def test_a_platform_that_is_not_there_is_an_error() -> None:
    """It names those that are."""
    registry = MemoryRegistry()
    image = _index(registry, "linux/amd64")

    with pytest.raises(InputError) as caught:
        find_closure(registry, image, platforms=("linux/riscv64",))

    assert "linux/amd64" in caught.value.hint


def test_a_prefix_of_a_word_is_no_platform() -> None:
    """`linux/arm` is not `linux/arm64`."""
    assert not matches("linux/arm64", "linux/arm")
    assert matches("linux/arm/v7", "linux/arm")


def test_a_missing_platform_is_told() -> None:
    """An image that was copied in part can be copied on."""
    registry = MemoryRegistry()
    image = _index(registry, "linux/amd64", "linux/arm64")
    entries = json.loads(registry.manifest(image).raw)["manifests"]
    del registry.manifests[HERE.name, Digest.parse(entries[1]["digest"])]

    found = find_closure(registry, image)

    assert found.left_out == ("linux/arm64 is listed, but not there",)


def test_what_was_not_judged_is_left_out() -> None:
    """A platform that the registry has now, and had not when the index was judged."""
    registry = MemoryRegistry()
    image = _index(registry, "linux/amd64", "linux/arm64")
    entries = json.loads(registry.manifest(image).raw)["manifests"]

    found = find_closure(registry, image, unread=(Digest.parse(entries[1]["digest"]),))

    assert Digest.of(b"linux/arm64") not in {blob.digest for blob in found.blobs}
    assert len(found.manifests) == 2
    assert found.left_out == ("linux/arm64 could not be read when the image was judged",)


def test_something_attached_is_no_image() -> None:
    """A signature cannot be exported as an image."""
    world = signed_world()
    attached = world.registry.referrers(world.image)[0]

    with pytest.raises(DocumentError, match="attached to"):
        find_closure(world.registry, world.image.with_digest(attached.digest))


def test_what_is_attached_to_attachments_is_taken_too() -> None:
    """Somebody signed the SBOM itself."""
    world = signed_world()
    sbom = world.registry.referrers(world.image)[0]
    world.image = world.image.with_digest(sbom.digest)
    world.sign()
    image = world.registry.resolve(world.reference)

    assert len(find_closure(world.registry, image).attached) == 4


def test_a_flood_of_attachments_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may push there cannot fill our disk."""
    monkeypatch.setattr(module, "MAX_ATTACHED", 2)
    world = signed_world()

    with pytest.raises(InputError, match="more than 2"):
        find_closure(world.registry, world.image)


def test_what_is_too_large_beside_an_image_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """And told."""
    monkeypatch.setattr(module, "MAX_ATTACHED_BYTES", 10)
    world = signed_world()

    found = find_closure(world.registry, world.image)

    assert found.attached == ()
    assert len(found.left_out) == 3


def _copied(world: World, target: MemoryRegistry) -> list[str]:
    notes: list[str] = []
    found = find_closure(world.registry, world.registry.resolve(world.reference))

    def progress(event: object) -> None:
        if isinstance(event, Note):
            notes.append(event.message)

    def put(repository: Repository, descriptor: Descriptor, pieces: Iterator[bytes]) -> None:
        target.put_bytes(repository, descriptor.media_type, b"".join(pieces))

    copy(
        world.registry,
        target,
        found,
        to=LocatedRepository(REGISTRY, THERE),
        put=put,
        progress=progress,
    )
    return notes


def test_the_tag_is_written_last() -> None:
    """Where it is, everything is."""
    world, target = signed_world(), MemoryRegistry()
    world.sign_legacy()
    _copied(world, target)

    assert target.writes[-1] == "tag 1"
    assert target.resolve(TaggedReference(THERE, "1")).digest == world.image.digest


def test_signatures_of_others_are_not_taken_away() -> None:
    """A .sig tag at the destination that holds more stays as it is."""
    world, other, target = signed_world(), signed_world(), MemoryRegistry()
    other.sign_legacy()
    _copied(other, target)
    before = dict(target.tagged)
    world.sign_legacy()

    notes = _copied(world, target)

    assert target.tagged == before
    assert "other signatures" in notes[0]


def test_a_damaged_blob_is_found_before_anything_is_copied() -> None:
    """All are read once."""
    world = signed_world()
    found = find_closure(world.registry, world.image)
    del world.registry.blobs[HERE.name, Digest.of(b"layer")]

    with pytest.raises(NotFoundError):
        check_blobs(world.registry, found, progress=silent)
    assert SIMPLE_SIGNING not in {blob.media_type for blob in found.blobs}

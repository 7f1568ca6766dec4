"""One suite for everything that claims to be a registry: a layout, and registries by both ways."""

import hashlib
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from imagekit.errors import DocumentError, IntegrityError, NotFoundError
from imagekit.oci.codec import index_bytes, manifest_bytes, parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, LayoutLocation, LocatedRepository
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry import connect
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import CatalogReader, RegistryWriter
from imagekit.oci.registry.protocol import fallback_tag
from imagekit.oci.types import (
    BUNDLE,
    CONFIG,
    EMPTY,
    INDEX,
    LAYER,
    MANIFEST,
    Descriptor,
    Index,
    Manifest,
    RawManifest,
)

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Place:
    """A repository and what reaches it."""

    registry: RegistryWriter
    repository: Repository

    def image(self, content: bytes = b"layer") -> PinnedReference:
        """Put a small image and return its digest."""
        config = self.registry.put_bytes(self.repository, CONFIG, b"{}")
        layer = self.registry.put_bytes(self.repository, LAYER, content)
        manifest = Manifest(media_type=MANIFEST, config=config, layers=(layer,))
        return self.registry.put_manifest(self.repository, MANIFEST, manifest_bytes(manifest))

    def attach(self, image: PinnedReference, content: bytes) -> PinnedReference:
        """Put a referrer of the image."""
        return self.registry.put_manifest(
            self.repository, MANIFEST, self.referrer(image, content).raw
        )

    def referrer(self, image: PinnedReference, content: bytes) -> RawManifest:
        """Return a referrer of the image, whose blobs are put."""
        empty = self.registry.put_bytes(self.repository, EMPTY, b"{}")
        layer = self.registry.put_bytes(self.repository, BUNDLE, content)
        manifest = Manifest(
            media_type=MANIFEST,
            config=empty,
            layers=(layer,),
            artifact_type=BUNDLE,
            subject=self.registry.manifest(image).descriptor,
            annotations={"content": content.decode()},
        )
        raw = manifest_bytes(manifest)
        return RawManifest(media_type=MANIFEST, digest=Digest.of(raw), raw=raw)


@pytest.fixture(params=["layout", "light", "oras", "light+api", "oras+api"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Every kind of registry in turn, a new repository for each test."""
    kind: str = request.param
    if kind == "layout":
        layout = connect.light(LayoutLocation(tmp_path / "layout"), RegistryOptions())
        return Place(layout, Repository("localhost", "team/app"))
    host = request.getfixturevalue("with_api" if kind.endswith("+api") else "registry")
    name = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    repository = Repository(host, f"team/{name}")
    if kind.startswith("oras"):
        place = LocatedRepository(REGISTRY, repository)
        return Place(connect.writer(place, RegistryOptions()), repository)
    return Place(connect.light(REGISTRY, RegistryOptions()), repository)


def test_missing_things_are_not_found(place: Place) -> None:
    """What is not there is a NotFoundError, and lists are empty."""
    ghost = Descriptor(media_type=LAYER, digest=Digest.of(b"ghost"), size=5)
    with pytest.raises(NotFoundError):
        place.registry.manifest(TaggedReference(place.repository, "none"))
    with pytest.raises(NotFoundError):
        place.registry.manifest(PinnedReference(place.repository, ghost.digest))
    with pytest.raises(NotFoundError):
        place.registry.blob(place.repository, ghost, limit=10)

    assert not place.registry.has_blob(place.repository, ghost)
    assert place.registry.tags(place.repository) == ()
    assert place.registry.referrers(PinnedReference(place.repository, ghost.digest)) == ()


def test_wrong_sizes_and_digests_are_integrity_errors(place: Place) -> None:
    """A blob is what its descriptor says, to the byte, or nothing."""
    good = place.registry.put_bytes(place.repository, LAYER, b"content")
    for size in (6, 8):
        wrong = Descriptor(media_type=LAYER, digest=good.digest, size=size)
        with pytest.raises(IntegrityError):
            place.registry.blob(place.repository, wrong, limit=10)
    with pytest.raises(IntegrityError):
        place.registry.blob(place.repository, good, limit=6)


def test_file_that_differs_is_not_uploaded(place: Place, tmp_path: Path) -> None:
    """A file that was altered after its digest was taken never becomes a blob."""
    source = tmp_path / "blob"
    source.write_bytes(b"evil")
    wrong = Descriptor(media_type=LAYER, digest=Digest.of(b"good"), size=4)
    with pytest.raises(IntegrityError):
        place.registry.put_blob(place.repository, wrong, source)

    assert not place.registry.has_blob(place.repository, wrong)


def test_blob_round_trip(place: Place, tmp_path: Path) -> None:
    """A file goes in and comes out as it was, an empty one too."""
    for raw in (b"", b"x" * 3_000_000):
        source = tmp_path / "blob"
        source.write_bytes(raw)
        descriptor = Descriptor(media_type=LAYER, digest=Digest.of(raw), size=len(raw))
        place.registry.put_blob(place.repository, descriptor, source)
        place.registry.put_blob(place.repository, descriptor, source)

        assert place.registry.has_blob(place.repository, descriptor)
        assert place.registry.blob(place.repository, descriptor, limit=len(raw)) == raw


def test_an_upload_is_counted(place: Place, tmp_path: Path) -> None:
    """Whoever waits for it sees how far it is: the bytes of a piece, then all."""
    # Several places are one registry, which has what was uploaded at another.
    raw = secrets.token_bytes(3_000_000)
    source = tmp_path / "blob"
    source.write_bytes(raw)
    descriptor = Descriptor(media_type=LAYER, digest=Digest.of(raw), size=len(raw))
    told: list[int] = []

    place.registry.put_blob(place.repository, descriptor, source, count=told.append)

    assert told == sorted(told)
    assert told[-1] == len(raw)


def test_tags_move(place: Place) -> None:
    """A tag points to what was tagged last; what it pointed to stays."""
    first, second = place.image(b"1"), place.image(b"2")
    tag = TaggedReference(place.repository, "latest")
    for image in (first, second):
        place.registry.tag(tag, place.registry.manifest(image))

        assert place.registry.resolve(tag) == tag.pin(image.digest)

    assert place.registry.tags(place.repository) == ("latest",)
    assert place.registry.manifest(first).digest == first.digest


def test_repositories_are_listed(place: Place) -> None:
    """Of a registry, whoever wrote them; of a layout those whose images are named in full."""
    image = place.image(b"listed")
    tag = TaggedReference(place.repository, "1")
    place.registry.tag(tag, place.registry.manifest(image))
    catalog = cast("CatalogReader", place.registry)

    assert place.repository in catalog.repositories(place.repository.host)


def test_manifest_that_is_none_is_refused(place: Place) -> None:
    """Nothing is stored that readers would refuse."""
    with pytest.raises(DocumentError):
        place.registry.put_manifest(place.repository, MANIFEST, b'{"schemaVersion":1}')


def test_referrers_are_listed_with_type_and_annotations(place: Place) -> None:
    """Every referrer is listed, once, however often it is put."""
    image = place.image()
    mine = {place.attach(image, text).digest for text in (b"one", b"two", b"two")}
    found = place.registry.referrers(image)

    assert {entry.digest for entry in found} == mine
    assert len(found) == 2
    assert all(entry.media_type == MANIFEST for entry in found)
    assert place.registry.referrers(image.with_digest(next(iter(mine)))) == ()


def test_referrers_that_are_put_together(place: Place) -> None:
    """All are listed when they are put, beside those of others, and each once."""
    image = place.image()
    other = place.attach(image, b"other").digest
    mine = [place.referrer(image, text) for text in (b"one", b"two", b"three")]

    for _ in range(2):
        read_back = place.registry.put_referrers(image, mine)

        assert {entry.digest for entry in read_back} == {other, *(one.digest for one in mine)}
        assert len(read_back) == 4
        assert {one.digest for one in place.registry.referrers(image)} == {
            one.digest for one in read_back
        }


def test_parallel_referrers_that_are_put_together(place: Place) -> None:
    """Four writers of three each lose none."""
    image = place.image()
    sets = [
        [place.referrer(image, f"{number} {part}".encode()) for part in range(3)]
        for number in range(4)
    ]
    threads = [
        threading.Thread(target=place.registry.put_referrers, args=(image, mine)) for mine in sets
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(place.registry.referrers(image)) == 12


@pytest.mark.parametrize("place", ["light", "oras", "light+api", "oras+api"], indirect=True)
def test_what_the_fallback_tag_lists_counts_also_beside_the_api(place: Place) -> None:
    """A registry that got the API later need not know what was attached before."""
    image, old = place.image(), place.image(b"attached before")
    new = place.attach(image, b"attached later")
    entry = place.registry.manifest(old).descriptor
    tag = TaggedReference(place.repository, fallback_tag(image.digest))
    raw = index_bytes(Index(media_type=INDEX, manifests=(entry, *place.registry.referrers(image))))
    place.registry.tag(tag, RawManifest(media_type=INDEX, digest=Digest.of(raw), raw=raw))

    found = [each.digest for each in place.registry.referrers(image)]

    assert sorted(found, key=str) == sorted([old.digest, new.digest], key=str)


def test_a_referrer_without_a_type_has_that_of_its_configuration(place: Place) -> None:
    """distribution-spec, "Listing Referrers": so a filter finds it everywhere."""
    image = place.image()
    typed = parse_manifest(place.referrer(image, b"content").raw, MANIFEST)
    assert isinstance(typed, Manifest)
    untyped = manifest_bytes(replace(typed, artifact_type=""))

    put = place.registry.put_manifest(place.repository, MANIFEST, untyped)

    (listed,) = place.registry.referrers(image)
    assert (listed.digest, listed.artifact_type) == (put.digest, EMPTY)


def test_parallel_referrers_are_all_visible(place: Place) -> None:
    """Twelve writers of the same list at once lose none."""
    image = place.image()
    threads = [
        threading.Thread(target=place.attach, args=(image, f"n{number}".encode()))
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(place.registry.referrers(image)) == 12

"""One state of a registry: asked once; and content that is kept by its digest for a day."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.errors import NotFoundError
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.location import REGISTRY, LayoutLocation
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry import kept
from imagekit.oci.registry.kept import MAX_AGE, KeptContent, kept_content
from imagekit.oci.registry.snapshot import RegistrySnapshot
from imagekit.oci.types import LAYER, Descriptor
from tests.support.counting import CountingRegistry
from tests.support.fakes import push_image

REPOSITORY = Repository("r.site", "apps/demo")
OTHER = Repository("r.site", "apps/other")
TAG = TaggedReference(REPOSITORY, "1.0")


class Clock:
    """The time that files have, moved by a test."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Return the time."""
        import time

        return time.time() + self.ahead


@pytest.fixture
def registry() -> CountingRegistry:
    """A registry with one image, and no tag."""
    return CountingRegistry()


@pytest.fixture
def image(registry: CountingRegistry) -> PinnedReference:
    """The image in it."""
    return push_image(registry, REPOSITORY)


def _descriptor(raw: bytes) -> Descriptor:
    return Descriptor(media_type=LAYER, digest=Digest.of(raw), size=len(raw))


def test_tags_and_lists_are_asked_for_once(
    registry: CountingRegistry, image: PinnedReference
) -> None:
    """What a snapshot has answered holds, also where there was nothing; a new one asks again."""
    look = RegistrySnapshot(registry)
    for _ in range(2):
        with pytest.raises(NotFoundError):
            look.resolve(TAG)
        assert look.referrers(image) == ()
    assert registry.asked == {"listings": 1, "manifests": 1}

    registry.tag(TAG, registry.manifest(image))

    with pytest.raises(NotFoundError):
        look.resolve(TAG)
    assert RegistrySnapshot(registry).resolve(TAG).digest == image.digest


def test_content_is_kept_from_run_to_run(
    registry: CountingRegistry, image: PinnedReference, tmp_path: Path
) -> None:
    """What an earlier run read by digest is not asked for again; a tag is."""
    raw = b"layer"
    registry.tag(TAG, registry.manifest(image))
    first = RegistrySnapshot(registry, kept=KeptContent(tmp_path / "kept"))
    found = first.manifest(image)
    first.blob(REPOSITORY, _descriptor(raw), limit=10)
    registry.asked.clear()
    registry.blobs.clear()

    second = RegistrySnapshot(registry, kept=KeptContent(tmp_path / "kept"))

    assert second.manifest(image) == found
    assert second.blob(REPOSITORY, _descriptor(raw), limit=10) == raw
    assert registry.asked == {}
    assert second.manifest(TAG) == found
    assert registry.asked == {"manifests": 1}


def test_what_was_just_written_is_read_from_the_registry(
    registry: CountingRegistry, image: PinnedReference, tmp_path: Path
) -> None:
    """Kept content does not hide that the registry has lost it."""
    content = KeptContent(tmp_path / "kept")
    RegistrySnapshot(registry, kept=content).manifest(image)
    RegistrySnapshot(registry, kept=content).blob(REPOSITORY, _descriptor(b"layer"), limit=10)
    registry.manifests.clear()
    registry.blobs.clear()

    look = RegistrySnapshot(registry, kept=content, reread=True)

    with pytest.raises(NotFoundError):
        look.manifest(image)
    with pytest.raises(NotFoundError):
        look.blob(REPOSITORY, _descriptor(b"layer"), limit=10)


def test_another_repository_is_asked_itself(image: PinnedReference, tmp_path: Path) -> None:
    """It may not have the content, or not for this user."""
    content = KeptContent(tmp_path / "kept")
    content.keep(REPOSITORY, Digest.of(b"layer"), b"layer")

    assert content.blob(REPOSITORY, _descriptor(b"layer"), limit=10) == b"layer"
    assert content.blob(OTHER, _descriptor(b"layer"), limit=10) is None
    assert content.manifest(replace(image, repository=OTHER)) is None


def test_altered_content_is_as_none(tmp_path: Path) -> None:
    """A digest names its bytes: others are not taken, whoever wrote them."""
    content = KeptContent(tmp_path / "kept")
    content.keep(REPOSITORY, Digest.of(b"layer"), b"layer")
    (file,) = (tmp_path / "kept").glob("*/blobs/sha256/*")
    file.write_bytes(b"evil!")

    assert content.blob(REPOSITORY, _descriptor(b"layer"), limit=10) is None


def test_content_is_kept_for_a_day(tmp_path: Path) -> None:
    """What a registry lists it may have lost since: after a day it is asked again."""
    clock = Clock()
    content = KeptContent(tmp_path / "kept", now=clock)
    content.keep(REPOSITORY, Digest.of(b"layer"), b"layer")
    clock.ahead = MAX_AGE - 60
    assert content.blob(REPOSITORY, _descriptor(b"layer"), limit=10) is not None

    for clock.ahead in (MAX_AGE + 1, -60):
        assert content.blob(REPOSITORY, _descriptor(b"layer"), limit=10) is None

    clock.ahead = MAX_AGE + 1
    KeptContent(tmp_path / "kept", now=clock)
    assert list((tmp_path / "kept").iterdir()) == []


def test_the_folder_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many bytes or files the oldest go, and one that is too large is never kept."""
    monkeypatch.setattr(kept, "MAX_ONE", 10)
    monkeypatch.setattr(kept, "MAX_KEPT", 12)
    content = KeptContent(tmp_path / "kept")
    for raw in (b"12345", b"54321", b"11111", b"x" * 11):
        content.keep(REPOSITORY, Digest.of(raw), raw)
    assert len(list((tmp_path / "kept").glob("*/blobs/sha256/*"))) == 3

    KeptContent(tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("*/blobs/sha256/*"))) == 2
    monkeypatch.setattr(kept, "_MAX_FILES", 1)
    KeptContent(tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("*/blobs/sha256/*"))) == 1


def test_a_folder_that_cannot_be_made_is_no_fault(
    registry: CountingRegistry, image: PinnedReference, tmp_path: Path
) -> None:
    """The registry is asked instead."""
    (tmp_path / "file").write_text("")

    look = RegistrySnapshot(registry, kept=KeptContent(tmp_path / "file/kept"))

    assert look.manifest(image) == registry.manifest(image)


def test_content_is_the_users_own(tmp_path: Path) -> None:
    """An image's SBOM may say more than other users of this machine may know."""
    KeptContent(tmp_path / "kept").keep(REPOSITORY, Digest.of(b"x"), b"x")

    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0


def test_nothing_is_kept_of_a_layout(
    registry: CountingRegistry,
    image: PinnedReference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a registry has under a name is not what a layout has under it, nor the other way."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    layout = LayoutRegistry(LayoutStore(tmp_path / "layout"))
    RegistrySnapshot(registry, kept=kept_content(REGISTRY)).manifest(image)
    at_home = kept_content(LayoutLocation(tmp_path / "layout"))

    with pytest.raises(NotFoundError):
        RegistrySnapshot(layout, kept=at_home).manifest(image)

    placed = push_image(layout, OTHER)
    RegistrySnapshot(layout, kept=at_home).manifest(placed)
    again = RegistrySnapshot(CountingRegistry(), kept=kept_content(REGISTRY))
    assert again.manifest(image).digest == image.digest
    with pytest.raises(NotFoundError):
        again.manifest(placed)

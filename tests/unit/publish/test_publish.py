"""A publish of an image of one layer: what it asks, and that it judges what is there."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.inputs_digest import Inputs
from imagekit.errors import VerificationError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.types import Descriptor, Platform, RawManifest
from imagekit.publish.published import PublishedImage
from imagekit.recipe.recipe import Recipe, Tags
from imagekit.sign.sign_release import withdrawal
from imagekit.sign.signing import attest
from imagekit.signatures.intoto import SLSA_PROVENANCE
from tests.support.built import built_recipe
from tests.support.counting import CountingRegistry
from tests.support.fakes import FixedClock, MemorySigner
from tests.unit.publish.conftest import PublishTo

REPOSITORY = Repository("r.site", "apps/hello")
Publish = Callable[..., PublishedImage]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publish_to: PublishTo) -> Publish:
    """Publishes a version with one key."""

    def publish_it(
        registry: CountingRegistry, version: str = "1.0", tags: Tags | None = None
    ) -> PublishedImage:
        recipe, built = built_recipe(tmp_path, version)
        recipe = recipe if tags is None else replace(recipe, tags=tags)

        def build_it(*_: object, **__: object) -> object:
            registry.asked["builds"] += 1
            return built

        monkeypatch.setattr("imagekit.publish.publish.build_tested", build_it)
        registry.asked.clear()
        return publish_to(registry, recipe)

    return publish_it


def test_what_is_listed_and_read(run: Publish) -> None:
    """Referrers are listed once before and once after the write, and once behind the tag."""
    registry = CountingRegistry()

    assert run(registry).status == "published"
    assert registry.asked["builds"] == 1
    assert registry.asked["listings"] == 3
    # The image that had the moving tag before is listed as well: its release is followed.
    assert run(registry, "1.1").status == "published"
    assert registry.asked["listings"] == 4


def test_an_unchanged_publish(run: Publish) -> None:
    """It asks for two tags, the tag of signatures and one list, and reads no manifest again.

    Nothing is built: what decides the image is known before.
    """
    registry = CountingRegistry()
    run(registry)
    before = list(registry.writes)

    done = run(registry)

    assert (done.status, done.written) == ("unchanged", ())
    assert registry.asked == {"listings": 1, "manifests": 3}
    assert registry.writes == before


def test_what_another_run_attached_is_seen(run: Publish) -> None:
    """What was lost since the last run is written again: that nothing is missing is not kept."""
    registry = CountingRegistry()
    image = run(registry).reference
    lost = next(
        entry.digest
        for entry in registry.referrers(image)
        if SLSA_PROVENANCE not in entry.annotations.values() and entry.annotations
    )
    del registry.manifests[REPOSITORY.name, lost]

    done = run(registry)

    assert done.status == "completed"
    assert len(done.written) >= 1
    assert run(registry).status == "unchanged"


@dataclass
class _Forgetful(CountingRegistry):
    """A registry that loses what is attached, after it has listed it once."""

    forgets: bool = True

    def put_referrers(
        self, subject: PinnedReference, manifests: Sequence[RawManifest]
    ) -> tuple[Descriptor, ...]:
        """List them, and lose all of them."""
        listed = super().put_referrers(subject, manifests)
        for manifest in manifests:
            del self.manifests[REPOSITORY.name, manifest.digest]
        return listed


def test_what_was_written_is_read_back_before_any_tag(run: Publish) -> None:
    """The verdict rests on what the registry has, and not on what this run has sent."""
    registry = _Forgetful()

    with pytest.raises(VerificationError):
        run(registry)

    assert not set(registry.tags(REPOSITORY)) & {"1.0", "latest"}


@dataclass
class _Withdrawing(CountingRegistry):
    """A registry in which the image is withdrawn while its immutable tag is written."""

    signer: MemorySigner = field(default_factory=MemorySigner)

    def tag_once(self, reference: TaggedReference, manifest: RawManifest) -> PinnedReference:
        """Write the tag, and let the publisher withdraw the image elsewhere meanwhile."""
        held = super().tag_once(reference, manifest)
        image = PinnedReference(reference.repository, manifest.digest)
        attest(
            self,
            self.signer,
            image,
            manifest=manifest.descriptor,
            statement=withdrawal(image, reason="broken", time=FixedClock().now()),
            clock=FixedClock(),
        )
        return held


def test_what_the_tag_points_to_is_listed_anew(run: Publish, signer: MemorySigner) -> None:
    """The list that was read before the tag was written does not count after it."""
    registry = _Withdrawing(signer=signer)

    with pytest.raises(VerificationError, match="WITHDRAWN"):
        run(registry)

    assert "1.0" in registry.tags(REPOSITORY)
    assert "latest" not in registry.tags(REPOSITORY)


def test_a_base_that_moved_is_reported_and_nothing_is_overwritten(
    run: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under an unchanged version: the image stays, and what moved is said with the remedy."""
    registry = CountingRegistry()
    first = run(registry)
    before = list(registry.writes)
    monkeypatch.setattr("imagekit.publish.publish.inputs_of", _on(b"other base"))

    done = run(registry)

    assert (done.status, done.moved) == ("stale", ("the base low",))
    assert done.reference == first.reference
    assert registry.writes == before


def test_an_image_of_the_same_inputs_is_not_stale(
    run: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they are."""
    monkeypatch.setattr("imagekit.publish.publish.inputs_of", _on(b"base"))
    registry = CountingRegistry()
    run(registry)

    assert run(registry).status == "unchanged"


def test_a_tag_by_build_makes_a_release_of_each_base(
    run: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version moves to it, without a version that somebody has to raise."""
    registry = CountingRegistry()
    tags = Tags(immutable=("1.0-{build}",), moving=("1.0",))
    builds = []
    for base in (b"base", b"other base"):
        monkeypatch.setattr("imagekit.publish.publish.inputs_of", _on(base))
        done = run(registry, tags=tags)
        assert done.status == "published"
        builds.append(done.tags[0])

    assert len(set(builds)) == 2
    assert all(re.fullmatch(r"1\.0-[0-9a-f]{8}", tag) for tag in builds)
    assert {*builds, "1.0"} <= set(registry.tags(REPOSITORY))
    assert run(registry, tags=tags).status == "unchanged"


def _on(base: bytes) -> Callable[..., Inputs]:
    """Return what finds the inputs of an image on a base."""

    def find(recipe: Recipe, platform: Platform, **_: object) -> Inputs:
        return Inputs(recipe=recipe.digest, platform=str(platform), bases={"low": Digest.of(base)})

    return find

"""Tags of a release: immutable ones are claimed, moving ones follow, and a killed run completes."""

import pytest

from imagekit.errors import InputError, TagRaceError
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.types import RawManifest
from imagekit.publish.known_release import missing_tags
from imagekit.publish.push import claim_tags
from imagekit.recipe.recipe import Tags
from tests.support.fakes import MemoryRegistry, push_image

_REPOSITORY = Repository("r.site", "apps/demo")
_TAGS = Tags(immutable=("1.0",), moving=("latest",))


class _Slow(MemoryRegistry):
    """A registry that takes too long to tell who was first."""

    def tag_once(self, reference: TaggedReference, manifest: RawManifest) -> PinnedReference:
        """Give up."""
        del manifest
        raise TagRaceError(f"storing {reference} took 9 s", hint="look", code="TAG_RACE")


def _two(registry: MemoryRegistry) -> tuple[PinnedReference, PinnedReference]:
    first, second = (push_image(registry, _REPOSITORY, content=text) for text in (b"1", b"2"))
    return first, second


def test_50_who_lost_is_told_and_has_moved_nothing() -> None:
    """Exit 2, by a message that names both images, and what to do about the one that was pushed."""
    registry = MemoryRegistry()
    winner, loser = _two(registry)
    claim_tags(registry, winner, manifest=registry.manifest(winner), tags=("1.0",))

    with pytest.raises(InputError) as caught:
        claim_tags(registry, loser, manifest=registry.manifest(loser), tags=("1.0", "1"))

    assert (caught.value.exit_code, caught.value.code) == (2, "publish/immutable-tag")
    assert winner.digest.short in caught.value.message
    assert loser.digest.short in caught.value.message
    assert f"imagekit withdraw {loser}" in caught.value.hint
    assert registry.tagged == {(_REPOSITORY.name, "1.0"): winner.digest}


def test_who_cannot_tell_has_lost() -> None:
    """It ends as a lost race does."""
    registry = _Slow()
    image, _ = _two(registry)

    with pytest.raises(InputError) as caught:
        claim_tags(registry, image, manifest=registry.manifest(image), tags=("1.0",))

    assert (caught.value.exit_code, caught.value.code) == (2, "publish/immutable-tag")


@pytest.mark.parametrize(
    ("there", "mine", "moving"),
    [(1, 2, ("latest",)), (2, 1, ()), (2, 2, ()), (0, 2, ())],
    ids=["older", "newer", "equal", "somebody else's"],
)
def test_a_moving_tag_that_a_killed_run_left_behind(
    there: int, mine: int, moving: tuple[str, ...]
) -> None:
    """It is moved from an older release of this signer only: never back, and from nobody else's."""
    registry = MemoryRegistry()
    image, other = _two(registry)
    registry.tag(TaggedReference(_REPOSITORY, "1.0"), registry.manifest(image))
    registry.tag(TaggedReference(_REPOSITORY, "latest"), registry.manifest(other))
    sequences = {other.digest: there, image.digest: mine}

    found = missing_tags(
        registry, image, _TAGS, sequence=lambda asked, tag: sequences[asked.digest] * (tag != "x")
    )

    assert found == Tags(immutable=(), moving=moving)


def test_tags_that_are_not_there() -> None:
    """Whatever was left out is missing; what points to the image is not."""
    registry = MemoryRegistry()
    image, _ = _two(registry)

    assert missing_tags(registry, image, _TAGS, sequence=lambda *_: 0) == _TAGS
    for tag in _TAGS.all:
        registry.tag(TaggedReference(_REPOSITORY, tag), registry.manifest(image))
    assert missing_tags(registry, image, _TAGS, sequence=lambda *_: 0).all == ()

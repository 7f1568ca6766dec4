"""The local store: a name proves nothing, the digest of the stored manifest does."""

import pytest
from msgspec.structs import replace

from imagekit.build.tools.podman_output import LocalImage
from imagekit.hosts.local import verify_local
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Reference
from imagekit.verify.verdict import Verdict
from imagekit.verify.verify import Judged
from tests.support.signed import World, signed_world, sparse_index

NAME = "r.site/apps/demo:1"
LOADED = Digest.of(b"what somebody loaded under the name")


@pytest.fixture
def world() -> World:
    """A registry with one image that is signed as it should be."""
    return signed_world()


def _codes(world: World, *images: LocalImage) -> list[str]:
    def judge(reference: Reference) -> Verdict:
        return world.judge(reference=reference)

    return [_code(one) for one in verify_local(images, judge)]


def _code(judged: Judged) -> str:
    if judged.verdict is None:
        return judged.error.code if judged.error else ""
    errors = [each.code for each in judged.verdict.findings if each.severity == "error"]
    return errors[0] if errors else "allowed"


def _signed(world: World) -> LocalImage:
    return LocalImage(id="a" * 64, names=(NAME,), digests=(world.image.digest,))


def test_what_was_signed_is_allowed(world: World) -> None:
    """By the digest of its manifest, under its name."""
    assert _codes(world, _signed(world)) == ["allowed"]


def test_one_of_an_images_digests_is_enough(world: World) -> None:
    """Podman keeps that of the index, and that of the image that it chose."""
    image = replace(_signed(world), digests=(LOADED, world.image.digest))

    assert _codes(world, image)[-1] == "allowed"


def test_an_image_that_was_loaded_under_the_name_is_not(world: World) -> None:
    """Whatever it is called."""
    assert _codes(world, replace(_signed(world), digests=(LOADED,))) == ["NOT_PUBLISHED"]


def test_an_index_speaks_only_for_what_was_judged_with_it(world: World) -> None:
    """An image that the registry hid from the verifier was chosen from an index that is allowed."""
    child = world.image.digest
    sparse_index(world, LOADED)
    image = replace(_signed(world), digests=(world.image.digest, LOADED))

    assert _codes(world, image) == ["MISSING_MANIFEST"]
    assert _codes(world, replace(image, digests=(world.image.digest, child))) == ["allowed"]


def test_another_name_of_the_same_image_is_judged_by_itself(world: World) -> None:
    """A signature is for a name."""
    image = replace(_signed(world), names=(NAME, "r.site/apps/demo:2", "localhost/x:1"))

    assert _codes(world, image) == ["allowed", "REFERENCE_MISMATCH", "NO_POLICY"]


def test_a_name_is_judged_once(world: World) -> None:
    """Podman lists an image of two names twice, each time with both."""
    image = replace(_signed(world), names=(NAME, "localhost/x:1"))

    assert _codes(world, image, image) == ["allowed", "NO_POLICY"]


def test_an_image_without_a_manifest_is_no_verdict(world: World) -> None:
    """It is told, and does not pass."""
    assert _codes(world, replace(_signed(world), digests=())) == ["NOT_PUBLISHED"]

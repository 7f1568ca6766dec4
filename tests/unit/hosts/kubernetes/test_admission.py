"""Admission: one image that is not clearly allowed refuses the object."""

import pytest

from imagekit.errors import InvalidReferenceError, RegistryError
from imagekit.hosts.kubernetes.admission import admit, as_kubernetes_reads
from imagekit.hosts.kubernetes.review import Admission, Review, WantedImage
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Reference
from imagekit.verify.verdict import Verdict
from tests.support.signed import World, signed_world, sparse_index

TAGGED = "r.site/apps/demo:1"


@pytest.fixture
def world() -> World:
    """A registry with one image that is signed as it should be."""
    return signed_world()


def _admit(world: World, *references: str, allow_tags: bool = False) -> Admission:
    def judge(reference: Reference) -> Verdict:
        return world.judge(reference=reference)

    images = tuple(
        WantedImage(reference=text, place=f"spec.containers[{number}].image")
        for number, text in enumerate(references)
    )
    review = Review(uid="u", operation="CREATE", kind="Pod", name="apps/x", images=images)
    return admit(review, judge, allow_tags=allow_tags, contact="images@r.site")


def test_an_allowed_image_by_its_digest(world: World) -> None:
    """Nothing can move behind it."""
    pinned = f"{TAGGED}@{world.image.digest}"

    found = _admit(world, pinned)

    assert (found.allowed, found.uid, found.message) == (True, "u", "")
    assert found.digests == ((pinned, str(world.image.digest)),)


def test_a_tag_is_refused_with_what_to_write(world: World) -> None:
    """The node would resolve it again."""
    found = _admit(world, TAGGED)

    assert not found.allowed
    assert f"write {TAGGED}@{world.image.digest}" in found.message
    assert "images@r.site" in found.message


def test_a_tag_is_accepted_where_nodes_ask_a_gate(world: World) -> None:
    """Who says so answers for it."""
    assert _admit(world, TAGGED, allow_tags=True).allowed


def test_an_index_that_could_not_be_read_whole_is_refused(world: World) -> None:
    """The node chooses by itself, unless a gate does not let it choose what was not judged."""
    pinned = f"{TAGGED}@{sparse_index(world, Digest.of(b'hidden')).digest}"

    found = _admit(world, pinned)

    assert not found.allowed
    assert "MISSING_MANIFEST" in found.message
    assert _admit(world, pinned, allow_tags=True).allowed


def test_one_bad_image_refuses_the_object(world: World) -> None:
    """Also beside good ones, and it says which."""
    found = _admit(world, f"{TAGGED}@{world.image.digest}", "r.site/other/x:1", allow_tags=True)

    assert not found.allowed
    assert "spec.containers[1].image: r.site/other/x:1" in found.message


@pytest.mark.parametrize("reference", ["", "UPPER/case:1", "r.site/apps/demo:1@sha256:12"])
def test_what_is_no_name_is_refused(world: World, reference: str) -> None:
    """And not passed over."""
    assert not _admit(world, reference).allowed


def test_no_verdict_is_a_no(world: World) -> None:
    """A registry that does not answer allows nothing."""

    def judge(reference: Reference) -> Verdict:
        raise RegistryError(f"{reference} cannot be asked for")

    images = (WantedImage(reference=TAGGED, place="x"),)
    review = Review(uid="u", operation="CREATE", kind="Pod", name="a/x", images=images)

    assert not admit(review, judge, allow_tags=True).allowed


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1", "docker.io/library/nginx:1"),
        ("docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("team/app", "docker.io/team/app:latest"),
        ("r.site:5000/app", "r.site:5000/app:latest"),
        ("localhost/app:1", "localhost/app:1"),
        ("index.docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("LOCALHOST/app:1", "localhost/app:1"),
        ("R.Site.:443/app", "r.site/app:latest"),
        (f"app@sha256:{'a' * 64}", f"docker.io/library/app@sha256:{'a' * 64}"),
    ],
)
def test_names_are_read_as_nodes_read_them(text: str, meant: str) -> None:
    """Else another image would be judged than runs."""
    assert str(as_kubernetes_reads(text)) == meant


@pytest.mark.parametrize(
    "text", ["127.1/app", "0x7f.1/app", "a_b.c/app", "r.site:/app", "r..x/app"]
)
def test_an_odd_host_is_not_taken_for_a_name_of_docker_hub(text: str) -> None:
    """A node may ask there, whatever it is."""
    with pytest.raises(InvalidReferenceError):
        as_kubernetes_reads(text)


@pytest.mark.parametrize(
    "name", ["R.site/apps/demo:1", "r.site./apps/demo:1", "r.site:443/apps/demo:1"]
)
def test_a_tag_under_another_spelling_goes_past_the_gate(world: World, name: str) -> None:
    """A node looks up by the very letters whether a gate stands before the registry."""
    found = _admit(world, name, allow_tags=True)

    assert not found.allowed
    assert TAGGED in found.message
    assert _admit(world, f"{name}@{world.image.digest}").allowed


def test_a_layout_is_no_image_of_a_cluster() -> None:
    """The webhook's own disk is not to be read by whoever writes a pod."""
    with pytest.raises(InvalidReferenceError):
        as_kubernetes_reads("oci:/etc:x:1")

"""What Docker may do without, with, or only with another word for an image."""

import json

import pytest

from imagekit.errors import ImagekitError
from imagekit.model.reference import PinnedReference, TaggedReference, parse_reference
from imagekit.runtime.dockerauthz import Answer, Ask, Tell, decide

DIGEST = "sha256:" + "1" * 64
PULL = "/v1.41/images/create"
CREATE = "/v1.41/containers/create"


def _body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize("path", ["/v1.41/images/json", "/_ping", "/v1.41/build", "/info"])
def test_reading_is_free(path: str) -> None:
    """GET brings no image in."""
    assert decide("GET", path, None) == Answer(allow=True)


@pytest.mark.parametrize(
    "path", ["/v1.41/containers/abc/start", "/v1.41/containers/abc/wait", "/v1.41/volumes/create"]
)
def test_what_concerns_no_image_is_free(path: str) -> None:
    """The plugin guards images only."""
    assert decide("POST", path, b"{}") == Answer(allow=True)


def test_a_pull_by_digest_asks() -> None:
    """By exactly this digest."""
    found = decide("POST", f"{PULL}?fromImage=r.site%2Fapp&tag={DIGEST.replace(':', '%3A')}", None)

    assert found == Ask(image=_pinned(f"r.site/app@{DIGEST}"))


def test_a_pull_by_digest_in_the_name_asks() -> None:
    """The API takes both."""
    found = decide("POST", f"{PULL}?fromImage=r.site/app@{DIGEST}", None)

    assert found == Ask(image=_pinned(f"r.site/app@{DIGEST}"))


def test_a_pull_by_tag_is_told_the_digest() -> None:
    """It may move between the verdict and the daemon's look."""
    found = decide("POST", f"{PULL}?fromImage=r.site/app&tag=1", None)

    assert found == Tell(image=_tagged("r.site/app:1"), verb="docker pull")


def test_docker_completes_names() -> None:
    """A word alone is docker.io/library's."""
    found = decide("POST", f"{PULL}?fromImage=alpine&tag=3", None)

    assert found == Tell(image=_tagged("docker.io/library/alpine:3"), verb="docker pull")


def test_a_container_of_a_digest_asks() -> None:
    """As docker run NAME@DIGEST sends it."""
    found = decide("POST", CREATE, _body(Image=f"r.site/app@{DIGEST}"))

    assert found == Ask(image=_pinned(f"r.site/app@{DIGEST}"))


def test_keys_are_read_as_go_reads_them() -> None:
    """`image` is `Image` to the daemon."""
    found = decide("POST", CREATE, _body(image="r.site/evil:1"))

    assert found == Tell(image=_tagged("r.site/evil:1"), verb="docker run")


@pytest.mark.parametrize(
    "path",
    ["/build", "/session", "/grpc", "/commit", "/images/load", "/plugins/pull", "/plugins/create"],
)
@pytest.mark.parametrize("version", ["", "/v1.24", "/v1.41", "/v1.51"])
def test_images_from_elsewhere_are_refused(path: str, version: str) -> None:
    """With and without the API's version."""
    found = decide("POST", f"{version}{path}?x=1", b"")

    assert isinstance(found, Answer)
    assert not found.allow


def test_importing_is_refused() -> None:
    """It is a pull by its path."""
    found = decide("POST", f"{PULL}?fromSrc=-&repo=x", None)

    assert isinstance(found, Answer)
    assert not found.allow


@pytest.mark.parametrize("body", [None, b""])
@pytest.mark.parametrize("path", [CREATE, "/services/create", "/services/x/update"])
def test_a_body_that_did_not_come_is_refused(body: bytes | None, path: str) -> None:
    """Docker passes on neither empty bodies nor those over 1 MiB."""
    with pytest.raises(ImagekitError, match="did not pass on"):
        decide("POST", path, body)


@pytest.mark.parametrize(
    "body",
    [
        b"junk",
        b"[]",
        b"{}",
        b'{"Image": 1}',
        b'{"Image": ""}',
        b'{"Image": "a", "Image": "b"}',
        b'{"Image": "a", "image": "b"}',
        _body(Image=DIGEST),
        _body(Image="0123456789ab"),
        _body(Image="oci:x:y:1"),
        _body(Image="R.site/UPPER@" + DIGEST),
        _body(Image="r.site/app@sha256:12"),
    ],
)
def test_a_body_that_cannot_be_judged_is_refused(body: bytes) -> None:
    """Ids too: nothing says whose image they are."""
    with pytest.raises(ImagekitError):
        decide("POST", CREATE, body)


@pytest.mark.parametrize(
    "path",
    [
        "/v1.41//containers/create",
        "/v1.41/x/../containers/create",
        "/v1.41/./containers/create",
        "/v1.41/container%73/create",
        "/v1.41/containers\\create",
        "containers/create",
        "//containers/create",
        "//v1.41/containers/create",
        "http://d/v1.41/containers/create",
        "/v1.41/containers/create#x",
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_refused(path: str) -> None:
    """The daemon's router might find its way."""
    with pytest.raises(ImagekitError, match="two ways"):
        decide("POST", path, _body(Image="x"))


def test_a_parameter_twice_is_refused() -> None:
    """Go takes the first, others the last."""
    with pytest.raises(ImagekitError, match="twice"):
        decide("POST", f"{PULL}?fromImage=r.site/good&fromImage=r.site/evil&tag=1", None)


def test_a_flood_of_parameters_is_refused() -> None:
    """It is not an image's."""
    with pytest.raises(ImagekitError, match="cannot be read"):
        decide("POST", f"{PULL}?{'&' * 100}", None)


@pytest.mark.parametrize("query", ["", "fromImage=", "fromImage=r.site/app"])
def test_a_pull_of_everything_is_refused(query: str) -> None:
    """Without a tag it means all of them."""
    with pytest.raises(ImagekitError):
        decide("POST", f"{PULL}?{query}", None)


def test_a_slash_at_the_end_does_not_help() -> None:
    """Nor does another version."""
    found = decide("POST", "/v9.99/build/", b"x")

    assert isinstance(found, Answer)
    assert not found.allow


def _pinned(text: str) -> PinnedReference:
    found = parse_reference(text)
    assert isinstance(found, PinnedReference)
    return found


def _tagged(text: str) -> TaggedReference:
    found = parse_reference(text)
    assert isinstance(found, TaggedReference)
    return found

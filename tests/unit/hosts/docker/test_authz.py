"""What Docker may do without, with, or only with another word for an image."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagekit.errors import ImagekitError
from imagekit.hosts.docker.authz import Ask, Decision, FixedAnswer, Tell, decide
from imagekit.hosts.docker.request import DockerRequest
from imagekit.oci.reference import PinnedReference, TaggedReference, parse_reference

DIGEST = "sha256:" + "1" * 64
PULL = "/v1.41/images/create"
CREATE = "/v1.41/containers/create"
YES = FixedAnswer(allow=True)


def _post(uri: str, body: bytes | None = None, *, length: str | None = None) -> DockerRequest:
    said = length if length is not None else str(len(body or b""))
    return DockerRequest(method="POST", uri=uri, body=body, length=said)


def _body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _refused(decision: Decision) -> bool:
    return isinstance(decision, FixedAnswer) and not decision.allow


def _clients() -> Iterator[tuple[str, DockerRequest]]:
    """Yield what Docker's own clients and both generations of Compose were seen to ask."""
    recorded = (Path(__file__).parent / "docker_requests.jsonl").read_text()
    for number, line in enumerate(recorded.splitlines(), start=1):
        found = json.loads(line)
        body = json.dumps(found["body"]).encode() if "body" in found else None
        request = DockerRequest(
            method=found["method"], uri=found["uri"], body=body, length=found.get("length")
        )
        yield f"{number}-{found['client']}-{found['method']}", request


@pytest.mark.parametrize(
    "request_", [pytest.param(request, id=name) for name, request in _clients()]
)
def test_what_honest_clients_ask_is_allowed(request_: DockerRequest) -> None:
    """For the image that they name by its digest."""
    assert decide(request_) in {YES, Ask(image=_pinned(f"r.site/app@{DIGEST}"))}


@pytest.mark.parametrize("path", ["/v1.41/images/json", "/_ping", "/info", "/v1.51/version"])
def test_reading_is_free(path: str) -> None:
    """GET brings no image in."""
    assert decide(DockerRequest(method="GET", uri=path)) == YES


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize(
    "path",
    [
        "/build",
        "/session",
        "/grpc",
        "/commit",
        "/images/load",
        "/images/r.site/app/push",
        "/plugins/pull",
        "/plugins/create",
        "/plugins/x/upgrade",
        "/plugins/x/enable",
        "/plugins/a/b/set",
        "/swarm/init",
        "/swarm/join",
        "/swarm/unlock",
        "/services/create",
        "/services/x/update",
        "/nodes/x/update",
        "/secrets/create",
        "/configs/create",
        "/auth",
        "/containers/x/checkpoints",
        "/containers/x/copy",
        "/debug/pprof",
        "/something/new",
    ],
)
@pytest.mark.parametrize("version", ["", "/v1.41"])
def test_what_is_not_listed_is_refused(method: str, path: str, version: str) -> None:
    """Whatever it does, by any method, with and without the API's version."""
    uri = f"{version}{path}"

    assert _refused(decide(DockerRequest(method=method, uri=uri, body=b"{}", length="2")))


@pytest.mark.parametrize(
    ("method", "uri"),
    [
        ("PUT", "/containers/x/archive?path=/"),
        ("post", PULL),
        ("PATCH", CREATE),
        ("POST", "/info"),
        ("OPTIONS", "/info"),
        ("DELETE", "/swarm"),
        ("HEAD", "/containers/x/json"),
    ],
)
def test_a_path_is_listed_for_its_method_only(method: str, uri: str) -> None:
    """Copying out of a container is allowed, and into it is not."""
    assert _refused(decide(DockerRequest(method=method, uri=uri, body=b"{}", length="2")))


@pytest.mark.parametrize("version", ["v1.23", "v1.0", "v1", "v", "v2.0", "v1.41.1", "v.", "v1..41"])
def test_other_versions_of_the_api_are_refused(version: str) -> None:
    """Before 1.24 the start of a container takes another configuration of it."""
    with pytest.raises(ImagekitError, match="version"):
        decide(_post(f"/{version}/containers/x/start"))


def test_a_pull_by_digest_asks() -> None:
    """By exactly this digest."""
    found = decide(_post(f"{PULL}?fromImage=r.site%2Fapp&tag={DIGEST.replace(':', '%3A')}"))

    assert found == Ask(image=_pinned(f"r.site/app@{DIGEST}"))


def test_a_pull_by_digest_in_the_name_asks() -> None:
    """The API takes both."""
    found = decide(_post(f"{PULL}?fromImage=r.site/app@{DIGEST}"))

    assert found == Ask(image=_pinned(f"r.site/app@{DIGEST}"))


def test_a_pull_by_tag_is_told_the_digest() -> None:
    """It may move between the verdict and the daemon's look."""
    found = decide(_post(f"{PULL}?fromImage=r.site/app&tag=1"))

    assert found == Tell(image=_tagged("r.site/app:1"), verb="docker pull")


@pytest.mark.parametrize("name", ["alpine", "library/alpine", "docker.io/alpine"])
def test_docker_completes_names(name: str) -> None:
    """A word alone is docker.io/library's."""
    found = decide(_post(f"{PULL}?fromImage={name}&tag=3"))

    assert found == Tell(image=_tagged("docker.io/library/alpine:3"), verb="docker pull")


def test_a_container_of_a_digest_asks() -> None:
    """As docker run NAME@DIGEST sends it."""
    found = decide(_post(CREATE, _body(Image=f"r.site/app@{DIGEST}")))

    assert found == Ask(image=_pinned(f"r.site/app@{DIGEST}"))


@pytest.mark.parametrize("key", ["image", "IMAGE", "Im\u0430ge", "hostconfig", "Ho\u017ftConfig"])
def test_members_are_known_by_their_exact_names(key: str) -> None:
    """Go folds case, and U+017F to s."""
    with pytest.raises(ImagekitError, match=r"not known|which programs read"):
        decide(_post(CREATE, _body(**{"Image": f"r.site/app@{DIGEST}", key: {"Privileged": True}})))


@pytest.mark.parametrize("uri", [f"{PULL}?fromSrc=-&repo=x", f"{PULL}?fromImage=a&fromSrc=x"])
def test_importing_is_refused(uri: str) -> None:
    """It is a pull by its path."""
    with pytest.raises(ImagekitError, match="not allowed"):
        decide(_post(uri))


@pytest.mark.parametrize("length", [None, "1", "70", "00", "0x0", ""])
@pytest.mark.parametrize(
    "uri", [f"{PULL}?fromImage=r.site/app@{DIGEST}", "/v1.41/containers/x/start"]
)
def test_a_body_that_must_not_be_is_refused(uri: str, length: str | None) -> None:
    """A form in it overrides the query; in chunks it has no length, and is not passed on."""
    with pytest.raises(ImagekitError, match="must have none"):
        decide(DockerRequest(method="POST", uri=uri, length=length))


@pytest.mark.parametrize("body", [None, b""])
@pytest.mark.parametrize(
    "path",
    [
        CREATE,
        "/volumes/create",
        "/networks/create",
        "/containers/x/exec",
        "/containers/x/update",
        "/exec/x/start",
        "/networks/x/connect",
    ],
)
def test_a_body_that_did_not_come_is_refused(body: bytes | None, path: str) -> None:
    """Docker passes on neither empty bodies nor those over 1 MiB, nor other types than JSON."""
    with pytest.raises(ImagekitError, match="did not pass on"):
        decide(_post(path, body))


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
        b'{"Image": "r.site/app@' + DIGEST.encode() + b'"}{"Image": "evil"}',
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
        decide(_post(CREATE, body))


@pytest.mark.parametrize(
    "path",
    [
        "/v1.41//containers/create",
        "/v1.41/x/../containers/create",
        "/v1.41/./containers/create",
        "/v1.41/containers%2F/create",
        "/v1.41/containers/%2e%2E/create",
        "/v1.41/container%2573/create",
        "/v1.41/container%zz/create",
        "/v1.41/container%C5%BF/create",
        "/v1.41/containers/create/",
        "/v1.41/containers/create%00",
        "/v1.41/containers/create;x",
        "/v1.41/containers\\create",
        "containers/create",
        "*",
        "",
        "/",
        "//containers/create",
        "//v1.41/containers/create",
        "http://d/v1.41/containers/create",
        "/v1.41/containers/create#x",
        "/v1.41/containers/\u017ftart",
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_refused(path: str) -> None:
    """The daemon's router might find its way."""
    with pytest.raises(ImagekitError, match="two ways"):
        decide(_post(path, _body(Image="x")))


@pytest.mark.parametrize("path", ["/v1.41/%63ommit", "/v1.41%2Fcommit", "/%76%31.41/commit"])
def test_a_path_is_what_the_router_decodes(path: str) -> None:
    """Once, of slashes and of the version too."""
    assert _refused(decide(_post(path)))
    with pytest.raises(ImagekitError, match="did not pass on"):
        decide(_post(path.replace("%63ommit", "commit").replace("commit", "containers/create")))


def test_docker_py_encodes_the_names_of_images() -> None:
    """As Compose of the first generation does."""
    assert decide(DockerRequest(method="GET", uri=f"/v1.41/images/x/y%40{DIGEST}/json")) == YES


def test_a_parameter_twice_is_refused() -> None:
    """Go takes the first, others the last."""
    with pytest.raises(ImagekitError, match="twice"):
        decide(_post(f"{PULL}?fromImage=r.site/good&fromImage=r.site/evil&tag=1"))


@pytest.mark.parametrize(
    "query",
    [
        f"fromImage=r.site/good@{DIGEST};fromImage=evil",
        f"fromImage=r.site/good@{DIGEST}#x",
        f"fromImage=r.site/good@{DIGEST} x",
        f"fromImage=r.site/g\u00f6\u00f6d@{DIGEST}",
    ],
)
def test_parameters_that_could_be_read_in_two_ways_are_refused(query: str) -> None:
    """Older versions of Go part them at semicolons as well."""
    with pytest.raises(ImagekitError, match="two ways"):
        decide(_post(f"{PULL}?{query}"))


@pytest.mark.parametrize(
    "uri",
    [
        "/containers/x/start?checkpoint=c&checkpoint-dir=/home/me",
        f"{CREATE}?name=x&other=1",
        "/volumes/create?Driver=x",
        f"{PULL}?fromImage=r.site/app@{DIGEST}&changes=CMD+evil",
    ],
)
def test_parameters_that_are_not_listed_are_refused(uri: str) -> None:
    """A checkpoint is code from elsewhere."""
    body = _body(Name="x") if "create" in uri and PULL not in uri else None

    with pytest.raises(ImagekitError, match="parameter"):
        decide(_post(uri, body))


def test_a_flood_of_parameters_is_refused() -> None:
    """It is not an image's."""
    with pytest.raises(ImagekitError, match="cannot be read"):
        decide(_post(f"{PULL}?{'&' * 100}"))


@pytest.mark.parametrize("query", ["", "fromImage=", "fromImage=r.site/app", "fromImage=%FF&tag=1"])
def test_a_pull_of_everything_is_refused(query: str) -> None:
    """Without a tag it means all of them."""
    with pytest.raises(ImagekitError):
        decide(_post(f"{PULL}?{query}"))


def _pinned(text: str) -> PinnedReference:
    found = parse_reference(text)
    assert isinstance(found, PinnedReference)
    return found


def _tagged(text: str) -> TaggedReference:
    found = parse_reference(text)
    assert isinstance(found, TaggedReference)
    return found

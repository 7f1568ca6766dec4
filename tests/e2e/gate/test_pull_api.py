"""The pull half of the distribution-spec on the wire, by Python's http.client.

In front of a registry without the referrers API, one with it, and a layout: one behaviour.
"""

import hashlib
import http.client
import json
from pathlib import Path

import pytest

from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutStore
from imagekit.oci.reference import PinnedReference
from imagekit.oci.types import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    EMPTY,
    EMPTY_JSON,
    INDEX,
    MANIFEST,
)
from tests.e2e.gate.kit import GateProcess, Site

pytestmark = pytest.mark.real

OCTETS = "application/octet-stream"


@pytest.fixture(scope="module")
def image(site: Site) -> PinnedReference:
    """A signed image."""
    return site.push("apps/solver", "1", content=bytes(range(256)) * 1000)


@pytest.fixture(scope="module")
def unsigned(site: Site) -> PinnedReference:
    """An image that nobody signed."""
    return site.push("apps/unsigned", "1", content=b"unsigned", signed=False)


def layer(gate: GateProcess, image: PinnedReference, path: str = "apps/solver") -> tuple[str, int]:
    """Return digest and size of the layer of an allowed image."""
    found = gate.get(f"/v2/{path}/manifests/{image.digest}").json["layers"][0]
    return found["digest"], found["size"]


def test_ping(gate: GateProcess) -> None:
    """end-1: there is a registry."""
    answer = gate.get("/v2/")

    assert answer.status == 200
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_manifest(gate: GateProcess, image: PinnedReference, by: str) -> None:
    """end-3: the very bytes, with their own digest and media type."""
    name = "1" if by == "tag" else str(image.digest)

    answer = gate.get(f"/v2/apps/solver/manifests/{name}")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == MANIFEST
    assert answer.headers["Docker-Content-Digest"] == str(image.digest)
    assert f"sha256:{hashlib.sha256(answer.body).hexdigest()}" == str(image.digest)


def test_head_manifest(gate: GateProcess, image: PinnedReference) -> None:
    """HEAD says what GET says, without the body."""
    whole = gate.get("/v2/apps/solver/manifests/1")
    head = gate.get("/v2/apps/solver/manifests/1", method="HEAD")

    assert head.status == 200
    assert head.body == b""
    names = ("Content-Type", "Content-Length", "Docker-Content-Digest")
    assert [head.headers[name] for name in names] == [whole.headers[name] for name in names]
    assert head.headers["Docker-Content-Digest"] == str(image.digest)


def test_a_second_answer_is_as_the_first(gate: GateProcess, image: PinnedReference) -> None:
    """What is kept in memory is what came from the judgement."""
    answers = [gate.get(f"/v2/apps/solver/manifests/{image.digest}") for _ in range(3)]

    assert len({answer.body for answer in answers}) == 1
    kept = [{k: v for k, v in answer.headers.items() if k != "Date"} for answer in answers]
    assert kept[0] == kept[1] == kept[2]


def test_unknown_tag(gate: GateProcess, image: PinnedReference) -> None:
    """What the upstream does not have is 404, with the specification's code."""
    answer = gate.get("/v2/apps/solver/manifests/nothing")

    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")


def test_unknown_digest(gate: GateProcess, image: PinnedReference) -> None:
    """So is a digest that is not there."""
    answer = gate.get(f"/v2/apps/solver/manifests/{Digest.of(b'nothing')}")

    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")


def test_unknown_repository(gate: GateProcess) -> None:
    """So is a repository."""
    answer = gate.get("/v2/apps/nothing/manifests/1")

    assert answer.status == 404
    assert answer.code in {"MANIFEST_UNKNOWN", "NAME_UNKNOWN"}


def test_refusal_is_denied(gate: GateProcess, unsigned: PinnedReference) -> None:
    """An image without a signature is 403 DENIED, and the message names check and policy."""
    answer = gate.get("/v2/apps/unsigned/manifests/1")

    assert (answer.status, answer.code) == (403, "DENIED")
    assert "NO_SIGNATURE" in answer.message
    assert "policy site version" in answer.message
    assert answer.json["errors"][0]["detail"]["digest"] == str(unsigned.digest)


def test_refusal_by_head_has_no_body(gate: GateProcess, unsigned: PinnedReference) -> None:
    """HEAD is refused, too, without a body."""
    answer = gate.get("/v2/apps/unsigned/manifests/1", method="HEAD")

    assert (answer.status, answer.body) == (403, b"")


def test_refusal_by_digest(gate: GateProcess, unsigned: PinnedReference) -> None:
    """By digest it is no better."""
    answer = gate.get(f"/v2/apps/unsigned/manifests/{unsigned.digest}")

    assert (answer.status, answer.code) == (403, "DENIED")


def test_what_no_rule_speaks_of(site: Site, gate: GateProcess) -> None:
    """A repository outside of every rule is refused, signed or not."""
    site.push("other/solver", "1")

    answer = gate.get("/v2/other/solver/manifests/1")

    assert (answer.status, answer.code) == (403, "DENIED")
    assert "NO_POLICY" in answer.message


@pytest.mark.parametrize(
    "accept",
    [
        None,
        MANIFEST,
        "*/*",
        f"{DOCKER_MANIFEST},{MANIFEST},{DOCKER_INDEX},{INDEX}",
        DOCKER_INDEX,
    ],
    ids=["none", "its-own", "any", "joined", "another"],
)
def test_accept(gate: GateProcess, image: PinnedReference, accept: str | None) -> None:
    """Whatever is accepted, nothing is converted."""
    headers = {} if accept is None else {"Accept": accept}

    answer = gate.get("/v2/apps/solver/manifests/1", headers=headers)

    assert (answer.status, answer.headers["Content-Type"]) == (200, MANIFEST)
    assert answer.headers["Docker-Content-Digest"] == str(image.digest)


def test_accept_on_several_lines(gate: GateProcess, image: PinnedReference) -> None:
    """As podman and docker send them."""
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=10)
    connection.putrequest("GET", "/v2/apps/solver/manifests/1")
    for kind in (DOCKER_MANIFEST, DOCKER_INDEX, MANIFEST, INDEX):
        connection.putheader("Accept", kind)
    connection.endheaders()
    answer = connection.getresponse()

    assert answer.status == 200
    assert Digest.of(answer.read()) == image.digest
    connection.close()


def test_index_and_its_children(site: Site, gate: GateProcess) -> None:
    """The children of a signed index are served by digest, though nobody signed them."""
    index, children = site.push_index("apps/many", "1", "amd64", "arm64")

    top = gate.get("/v2/apps/many/manifests/1")
    answers = [gate.get(f"/v2/apps/many/manifests/{child.digest}") for child in children]

    assert top.headers["Content-Type"] == INDEX
    assert Digest.of(top.body) == index.digest
    assert [answer.status for answer in answers] == [200, 200]
    assert [Digest.of(answer.body) for answer in answers] == [one.digest for one in children]
    for answer in answers:
        blob = gate.get(f"/v2/apps/many/blobs/{answer.json['config']['digest']}")
        assert blob.status == 200


def test_blob(gate: GateProcess, image: PinnedReference) -> None:
    """end-2: the blob, always as octets."""
    digest, size = layer(gate, image)

    answer = gate.get(f"/v2/apps/solver/blobs/{digest}")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == OCTETS
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.headers["Content-Length"] == str(size)
    assert str(Digest.of(answer.body)) == digest


def test_head_blob(gate: GateProcess, image: PinnedReference) -> None:
    """HEAD tells the size."""
    digest, size = layer(gate, image)

    answer = gate.get(f"/v2/apps/solver/blobs/{digest}", method="HEAD")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(size)
    assert answer.headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [("bytes=0-9", 0, 10), ("bytes=100-", 100, None), ("bytes=-7", -7, None)],
    ids=["first", "from", "last"],
)
def test_range(
    gate: GateProcess, image: PinnedReference, asked: str, begin: int, end: int | None
) -> None:
    """RFC 9110: a part, and where it lies."""
    digest, size = layer(gate, image)
    whole = gate.get(f"/v2/apps/solver/blobs/{digest}").body

    answer = gate.get(f"/v2/apps/solver/blobs/{digest}", headers={"Range": asked})

    assert answer.status == 206
    assert answer.body == whole[begin:end]
    first = begin % size
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.body) - 1}/{size}"


@pytest.mark.parametrize("asked", ["bytes=0-9", "bytes=99999999-"])
def test_a_range_is_one_of_get_only(gate: GateProcess, image: PinnedReference, asked: str) -> None:
    """RFC 9110: with HEAD it is passed over, also one that lies outside."""
    digest, size = layer(gate, image)

    answer = gate.get(f"/v2/apps/solver/blobs/{digest}", method="HEAD", headers={"Range": asked})

    assert answer.status == 200
    assert answer.headers["Content-Length"] == str(size)
    assert "Content-Range" not in answer.headers


def test_range_outside(gate: GateProcess, image: PinnedReference) -> None:
    """A range behind the end is 416, and says how long the blob is."""
    digest, size = layer(gate, image)

    answer = gate.get(f"/v2/apps/solver/blobs/{digest}", headers={"Range": f"bytes={size}-"})

    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{size}"


def test_blob_of_a_refused_image(site: Site, gate: GateProcess, unsigned: PinnedReference) -> None:
    """A blob that only a refused image consists of is unknown, though the origin has it."""
    raw = site.writer().manifest(unsigned).raw
    digests = [each["digest"] for each in (json.loads(raw)["config"], *json.loads(raw)["layers"])]
    gate.get("/v2/apps/unsigned/manifests/1")

    answers = [gate.get(f"/v2/apps/unsigned/blobs/{digest}") for digest in digests]

    assert [(each.status, each.code) for each in answers] == [(404, "BLOB_UNKNOWN")] * 2


def test_blob_of_another_repository(site: Site, gate: GateProcess, image: PinnedReference) -> None:
    """What an allowed image consists of is served in its own repository only."""
    site.push("apps/neighbour", "1", content=b"neighbour")
    gate.get("/v2/apps/neighbour/manifests/1")
    digest, _ = layer(gate, image)

    answer = gate.get(f"/v2/apps/neighbour/blobs/{digest}")

    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")


def test_tags(site: Site, gate: GateProcess, image: PinnedReference) -> None:
    """end-8: all tags, or a page of them and the way to the next."""
    for tag in ("2", "3"):
        site.tag(image, tag, signed=False)

    whole = gate.get("/v2/apps/solver/tags/list")
    first = gate.get("/v2/apps/solver/tags/list?n=2")
    link = first.headers["Link"]
    rest = gate.get(link[1 : link.index(">")])

    tags = whole.json["tags"]
    assert whole.json["name"] == "apps/solver"
    assert {"1", "2", "3"} <= set(tags)
    assert tags == sorted(tags)
    assert first.json["tags"] == tags[:2]
    assert 'rel="next"' in link
    assert rest.json["tags"] == tags[2:4]
    assert gate.get("/v2/apps/solver/tags/list?n=0").json["tags"] == []
    assert gate.get(f"/v2/apps/solver/tags/list?last={tags[-1]}").json["tags"] == []


def test_tags_of_nothing(gate: GateProcess) -> None:
    """A repository that is not there has no tags."""
    answer = gate.get("/v2/apps/nothing/tags/list")

    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_tags_of_what_no_rule_speaks_of(site: Site, gate: GateProcess) -> None:
    """Of a repository that no rule speaks of nothing is told."""
    site.push("secret/solver", "1", signed=False)

    assert gate.get("/v2/secret/solver/tags/list").status == 403


def test_referrers(site: Site, gate: GateProcess, image: PinnedReference) -> None:
    """end-12: what is attached, also where the registry has only the fallback tag."""
    answer = gate.get(f"/v2/apps/solver/referrers/{image.digest}")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == INDEX
    listed = answer.json["manifests"]
    assert len(listed) == 1
    assert answer.json["schemaVersion"] == 2


def test_referrers_filtered(site: Site, gate: GateProcess, image: PinnedReference) -> None:
    """end-12b: the filter is applied, and that is said."""
    kind = gate.get(f"/v2/apps/solver/referrers/{image.digest}").json["manifests"][0][
        "artifactType"
    ]

    mine = gate.get(f"/v2/apps/solver/referrers/{image.digest}?artifactType={kind}")
    other = gate.get(f"/v2/apps/solver/referrers/{image.digest}?artifactType=application/x-no")

    assert mine.headers["OCI-Filters-Applied"] == "artifactType"
    assert len(mine.json["manifests"]) == 1
    assert other.json["manifests"] == []


def test_referrers_of_nothing(gate: GateProcess, image: PinnedReference) -> None:
    """What is not there has an empty list of referrers, and no 404."""
    answer = gate.get(f"/v2/apps/solver/referrers/{Digest.of(b'nothing')}")

    assert (answer.status, answer.json["manifests"]) == (200, [])


def test_signature_is_served(gate: GateProcess, image: PinnedReference) -> None:
    """Who wants to look for themselves gets the artifact and its blob."""
    listed = gate.get(f"/v2/apps/solver/referrers/{image.digest}").json["manifests"][0]

    artifact = gate.get(f"/v2/apps/solver/manifests/{listed['digest']}")
    blob = gate.get(f"/v2/apps/solver/blobs/{artifact.json['layers'][0]['digest']}")

    assert artifact.status == 200
    assert artifact.json["subject"]["digest"] == str(image.digest)
    assert blob.status == 200
    assert b"dsseEnvelope" in blob.body


def test_signature_of_a_refused_image(
    site: Site, gate: GateProcess, unsigned: PinnedReference
) -> None:
    """What is attached to a refused image is refused."""
    writer, repository = site.writer(), unsigned.repository
    config = writer.put_bytes(repository, EMPTY, EMPTY_JSON)
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/x-note",
        "config": {"mediaType": EMPTY, "digest": str(config.digest), "size": config.size},
        "layers": [{"mediaType": EMPTY, "digest": str(config.digest), "size": config.size}],
        "subject": {
            "mediaType": MANIFEST,
            "digest": str(unsigned.digest),
            "size": len(writer.manifest(unsigned).raw),
        },
    }
    artifact = writer.put_manifest(repository, MANIFEST, json.dumps(document).encode())

    answer = gate.get(f"/v2/apps/unsigned/manifests/{artifact.digest}")

    assert (answer.status, answer.code) == (403, "DENIED")


def test_catalog_is_off(gate: GateProcess) -> None:
    """The list of repositories is given only where the configuration says so."""
    assert gate.get("/v2/_catalog").status == 404


def test_digest_of_another_algorithm(site: Site, gate: GateProcess) -> None:
    """SHA-512 is an algorithm of the specification: what is not there is 404 and not 400."""
    answer = gate.get(f"/v2/apps/solver/blobs/sha512:{'a' * 128}")

    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize(
    "digest",
    ["sha256:abc", f"sha256:{'A' * 64}", f"md5:{'a' * 32}", f"sha512:{'a' * 64}", "sha256:"],
    ids=["short", "upper", "unknown", "wrong-length", "empty"],
)
def test_bad_digest(gate: GateProcess, digest: str) -> None:
    """A digest that is none is 400 DIGEST_INVALID."""
    for kind in ("blobs", "manifests", "referrers"):
        answer = gate.get(f"/v2/apps/solver/{kind}/{digest}")
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/v2/", "/v2/apps/solver/manifests/1", "/v2/x/blobs/uploads/"])
def test_other_methods(gate: GateProcess, method: str, path: str) -> None:
    """Everything but GET and HEAD is 405, and says what is allowed."""
    answer = gate.get(path, method=method)

    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_an_index_that_lists_what_is_not_there(tmp_path: Path) -> None:
    """A sparse copy is served, and what it lacks is 404. Only layouts take one."""
    LayoutStore.create(tmp_path / "layout")
    site = Site("registry.site.example", tmp_path, tmp_path / "layout")
    index, children = site.push_index("apps/sparse", "full", "amd64")
    writer = site.writer()
    entries = json.loads(writer.manifest(index).raw)["manifests"]
    lost = {
        **entries[0],
        "digest": str(Digest.of(b"lost")),
        "platform": {"os": "linux", "architecture": "s390x"},
    }
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*entries, lost]}
    sparse = writer.put_manifest(index.repository, INDEX, json.dumps(document).encode())
    site.tag(sparse, "1")

    with GateProcess(site) as gate:
        assert gate.get("/v2/apps/sparse/manifests/1").status == 200
        assert gate.get(f"/v2/apps/sparse/manifests/{children[0].digest}").status == 200
        assert gate.get(f"/v2/apps/sparse/manifests/{lost['digest']}").status == 404

"""Attacks on what the gate remembers: other references, other policies, other times."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.gate.decisions.decide import Lifetimes
from imagekit.gate.decisions.service import Times
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.types import EMPTY, EMPTY_JSON, INDEX, LAYER_GZIP, MANIFEST
from imagekit.policy.ruleset import Deny, Level, Platforms, PolicyException, SignedIdentity
from imagekit.signatures.intoto import CYCLONEDX
from tests.e2e.gate.local import Clock, LocalGate, Making
from tests.e2e.gate.origin import Origin, index_of
from tests.support.fakes import MemorySigner, push_image
from tests.support.hostile import Answer
from tests.support.replay import truth
from tests.support.signed import SBOM

pytestmark = pytest.mark.real

NOW = datetime(2026, 11, 23, tzinfo=UTC)
TWO = "/v2/apps/demo/manifests/2"


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A registry with one signed image."""
    with Origin(b"layer") as running:
        yield running


def making(origin: Origin, folder: Path, **times: timedelta) -> Making:
    """Return what the gate is made of."""
    lifetimes = {k: v for k, v in times.items() if k in {"allowed", "denied", "stale"}}
    rest = {k: v for k, v in times.items() if k not in lifetimes}
    return Making(
        folder=folder,
        policy=origin.world.policy(),
        upstreams=(origin.upstream(),),
        clock=Clock(NOW),
        times=Times(lifetimes=Lifetimes(**lifetimes), **rest),  # type: ignore[arg-type]  # no number
    )


def test_01_unsigned(origin: Origin, tmp_path: Path) -> None:
    """Attack 1: an unsigned image; nothing of it is asked for but what a verdict needs."""
    other = push_image(origin.world.registry, origin.world.repository, content=b"evil")
    origin.world.tag("2", other)
    with LocalGate(making(origin, tmp_path)) as gate:
        answer = gate.get(TWO)

    assert (answer.status, answer.code) == (403, "DENIED")
    assert "NO_SIGNATURE" in answer.message
    assert not [one for one in origin.asked if str(Digest.of(b"evil")) in one.path]


def test_02_key_that_is_not_listed(origin: Origin, tmp_path: Path) -> None:
    """Attack 2: signed by a stranger."""
    made = making(origin, tmp_path)
    made.policy = origin.world.policy(signers=(MemorySigner(),))
    with LocalGate(made) as gate:
        assert "UNTRUSTED_KEY" in gate.get(origin.manifest).message


def test_08_signature_of_another_tag(origin: Origin, tmp_path: Path) -> None:
    """Attack 8: the digest is signed as 1 and asked for as 2, before and after 1 was allowed."""
    origin.world.tag("2", origin.image)
    with LocalGate(making(origin, tmp_path)) as gate:
        before = gate.get(TWO)
        first = gate.get(origin.manifest)
        after = gate.get(TWO)

    assert (before.status, first.status, after.status) == (403, 200, 403)
    assert "REFERENCE_MISMATCH" in before.message
    assert "REFERENCE_MISMATCH" in after.message


def test_08_image_in_another_repository(origin: Origin, tmp_path: Path) -> None:
    """Attack 8: what is allowed in one repository is judged anew in another, blobs included."""
    world = origin.world
    neighbour = Repository(origin.host, "apps/other")
    pushed = push_image(world.registry, neighbour, content=origin.content)
    assert pushed.digest == origin.image.digest

    def lie(asked: object, answer: Answer) -> Answer | None:
        path = asked.path.partition("?")[0]  # type: ignore[attr-defined]
        if not path.startswith("/v2/apps/other/"):
            return None
        return truth(world, path.replace("apps/other", "apps/demo"))

    origin.lie = lie
    with LocalGate(making(origin, tmp_path)) as gate:
        assert gate.get(origin.manifest).status == 200
        by_digest = gate.get(f"/v2/apps/other/manifests/{pushed.digest}")
        blob = gate.get(f"/v2/apps/other/blobs/{origin.digest}")

    assert "REFERENCE_MISMATCH" in by_digest.message
    assert (blob.status, blob.code) == (404, "BLOB_UNKNOWN")


def test_09_sbom_for_a_signature(origin: Origin, tmp_path: Path) -> None:
    """Attack 9: an SBOM by the right key is no signature of the image."""
    world = origin.world
    image = push_image(world.registry, world.repository, content=b"attested")
    world.tag("2", image)
    world.image = image
    world.attach(CYCLONEDX, SBOM, name=f"{world.repository.name}:2")
    with LocalGate(making(origin, tmp_path)) as gate:
        assert "WRONG_PREDICATE_TYPE" in gate.get(TWO).message


def test_17_denied_digest(origin: Origin, tmp_path: Path) -> None:
    """Attack 17: on the deny list, though it is signed; at once, though it was allowed before."""
    with LocalGate(making(origin, tmp_path)) as gate:
        assert gate.get(origin.manifest).status == 200
        assert gate.get(origin.blob).status == 200
        denied = Deny(digests=frozenset({origin.image.digest}))
        gate.policy = replace(origin.world.policy(deny=denied), version=4)
        by_tag = gate.get(origin.manifest)
        by_digest = gate.get(f"/v2/apps/demo/manifests/{origin.image.digest}")
        blob = gate.get(origin.blob)

    assert "REVOKED" in by_tag.message
    assert "REVOKED" in by_digest.message
    assert (blob.status, blob.code) == (404, "BLOB_UNKNOWN")


def test_28_child_alone(origin: Origin, tmp_path: Path) -> None:
    """Attack 28: an unsigned child is served only because of an index that is allowed."""
    index, child = index_of(origin)
    with LocalGate(making(origin, tmp_path)) as gate:
        before = gate.get(f"/v2/apps/demo/manifests/{child.digest}")
        top = gate.get(TWO)
        after = gate.get(f"/v2/apps/demo/manifests/{child.digest}")

    assert (before.status, top.status, after.status) == (403, 200, 200)
    assert Digest.of(top.body) == index.digest
    assert Digest.of(after.body) == child.digest


def test_17_denied_child(origin: Origin, tmp_path: Path) -> None:
    """Attack 17: an index with a denied child is refused, and a denied layer not given."""
    _, child = index_of(origin)
    made = making(origin, tmp_path)
    layer = Digest.of(b"layer")
    made.policy = origin.world.policy(deny=Deny(digests=frozenset({child.digest, layer})))
    with LocalGate(made) as gate:
        top = gate.get(TWO)
        alone = gate.get(f"/v2/apps/demo/manifests/{child.digest}")
        inside = gate.get(f"/v2/apps/demo/blobs/{Digest.of(b'child')}")
        image = gate.get(origin.manifest)
        denied = gate.get(f"/v2/apps/demo/blobs/{layer}")

    assert (top.status, image.status) == (403, 200)
    assert "REVOKED" in top.message
    assert "REVOKED" in alone.message
    assert (inside.status, denied.status) == (404, 404)


def hidden(origin: Origin, image: PinnedReference) -> None:
    """Have a manifest for clients, and not for whoever verifies."""
    path = f"/v2/apps/demo/manifests/{image.digest}"
    origin.lie = lambda asked, _answer: Answer(404) if asked.path == path else None


def test_46_denied_child_hidden(origin: Origin, tmp_path: Path) -> None:
    """Attack 46: a denied child counts though the registry has it for clients only."""
    _, child = index_of(origin)
    hidden(origin, child)
    made = making(origin, tmp_path)
    made.policy = origin.world.policy(deny=Deny(digests=frozenset({child.digest})))
    with LocalGate(made) as gate:
        top = gate.get(TWO)

    assert top.status == 403
    assert "REVOKED" in top.message


def test_46_child_that_was_not_judged(origin: Origin, tmp_path: Path) -> None:
    """Attack 46: a child that appears after its index was judged is no part of it."""
    _, child = index_of(origin)
    hidden(origin, child)
    with LocalGate(making(origin, tmp_path)) as gate:
        top = gate.get(TWO)
        origin.lie = lambda _asked, _answer: None
        alone = gate.get(f"/v2/apps/demo/manifests/{child.digest}")
        blob = gate.get(f"/v2/apps/demo/blobs/{Digest.of(b'child')}")

    assert (top.status, alone.status, blob.status) == (200, 403, 404)


def test_46_unsigned_child_of_no_platform(origin: Origin, tmp_path: Path) -> None:
    """Attack 46: what an unsigned index lists for nobody is not judged, and not served either."""
    world = origin.world
    evil = push_image(world.registry, world.repository, content=b"evil")
    raw = json.loads(world.registry.manifest(evil).raw)
    raw["config"] |= {"mediaType": "application/json"}
    evil = world.registry.put_manifest(world.repository, MANIFEST, json.dumps(raw).encode())
    entries = []
    for image, architecture in ((origin.image, "amd64"), (evil, "unknown")):
        found = world.registry.manifest(image).descriptor
        system = "linux" if image is origin.image else "unknown"
        entries.append(
            {
                "mediaType": MANIFEST,
                "digest": str(found.digest),
                "size": found.size,
                "platform": {"os": system, "architecture": architecture},
            }
        )
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    index = world.registry.put_manifest(world.repository, INDEX, json.dumps(document).encode())
    world.tag("1", index)
    made = making(origin, tmp_path)
    made.policy = world.policy(platforms=Platforms(verify=Level.MANIFESTS))
    with LocalGate(made) as gate:
        answers = [
            gate.get(origin.manifest),
            gate.get(f"/v2/apps/demo/manifests/{origin.image.digest}"),
            gate.get(f"/v2/apps/demo/manifests/{evil.digest}"),
            gate.get(f"/v2/apps/demo/blobs/{Digest.of(b'evil')}"),
        ]

    assert [answer.status for answer in answers] == [200, 200, 403, 404]


def test_29_level(origin: Origin, tmp_path: Path) -> None:
    """Attack 29: where the policy wants the manifests signed, a signed index is not enough."""
    index_of(origin)
    made = making(origin, tmp_path)
    made.policy = origin.world.policy(platforms=Platforms(verify=Level.ALL))
    with LocalGate(made) as gate:
        answer = gate.get(TWO)

    assert answer.status == 403
    assert "linux/amd64" in answer.message


def test_image_attached_as_a_referrer(origin: Origin, tmp_path: Path) -> None:
    """An image that names a signed one as its subject is an image still, and refused."""
    world = origin.world
    evil = push_image(world.registry, world.repository, content=b"evil")
    document = json.loads(world.registry.manifest(evil).raw)
    top = world.registry.manifest(origin.image).descriptor
    subject = {"mediaType": MANIFEST, "digest": str(top.digest), "size": top.size}
    config = world.registry.put_bytes(world.repository, EMPTY, EMPTY_JSON)
    empty = {"mediaType": EMPTY, "digest": str(config.digest), "size": config.size}
    plain = {**document, "subject": subject, "artifactType": "application/x-note"}
    without = {**plain, "config": empty}
    note = {**plain, "config": empty, "layers": [{**empty, "mediaType": "text/plain"}]}
    pushed = [
        world.registry.put_manifest(world.repository, MANIFEST, json.dumps(one).encode())
        for one in (plain, without, note)
    ]
    with LocalGate(making(origin, tmp_path)) as gate:
        gate.get(origin.manifest)
        answers = [gate.get(f"/v2/apps/demo/manifests/{one.digest}") for one in pushed]

    assert document["layers"][0]["mediaType"] == LAYER_GZIP
    assert [answer.status for answer in answers] == [403, 403, 403]


def test_43_another_policy(origin: Origin, tmp_path: Path) -> None:
    """Attack 43: what one policy allowed is judged anew by the next, at once and for blobs too."""
    with LocalGate(making(origin, tmp_path)) as gate:
        assert gate.get(origin.manifest).status == 200
        gate.policy = origin.world.policy(signers=(MemorySigner(),))
        answers = [gate.get(path) for path in (origin.manifest, origin.blob)]
        gate.policy = origin.world.policy()
        again = gate.get(origin.manifest)

    assert [answer.status for answer in answers] == [403, 404]
    assert again.status == 200


def test_43_after_a_restart(origin: Origin, tmp_path: Path) -> None:
    """Attack 43: what is on disk counts under the same policy only."""
    with LocalGate(making(origin, tmp_path)) as gate:
        assert gate.get(origin.manifest).status == 200
    made = making(origin, tmp_path)
    made.policy = origin.world.policy(signers=(MemorySigner(),))
    with LocalGate(made) as gate:
        assert gate.get(origin.blob).status == 404
        assert gate.get(f"/v2/apps/demo/manifests/{origin.image.digest}").status == 403


@pytest.mark.parametrize(
    "change",
    [
        {"expires": NOW + timedelta(seconds=90)},
        {"exceptions": True},
        {"warn": True},
    ],
    ids=["policy", "exception", "warning"],
)
def test_43_expiry(origin: Origin, tmp_path: Path, change: dict[str, object]) -> None:
    """Attack 43: a decision ends with the first thing that it rests on."""
    end = NOW + timedelta(seconds=90)
    unsigned = push_image(origin.world.registry, origin.world.repository, content=b"unsigned")
    origin.world.tag("2", unsigned)
    policy = origin.world.policy()
    target = TWO
    if "expires" in change:
        policy, target = replace(policy, expires=end), origin.manifest
    elif "exceptions" in change:
        exception = PolicyException(
            repository=origin.world.repository,
            digest=unsigned.digest,
            reason="trial",
            owner="me",
            expires=end,
        )
        policy = replace(policy, exceptions=(exception,))
    else:
        policy = origin.world.policy(warn_until=end)
    made = making(origin, tmp_path, pin=timedelta(hours=2), allowed=timedelta(hours=1))
    made.policy = policy
    with LocalGate(made) as gate:
        first = gate.get(target).status
        made.clock.time = end - timedelta(seconds=2)
        before = gate.get(target).status
        made.clock.time = end + timedelta(seconds=1)
        # What is hot goes by the machine's clock; another spelling is looked up anew.
        after = gate.get(f"{target}?x=1").status

    assert (first, before, after) == (200, 200, 403)


def test_35_upstream_is_down(origin: Origin, tmp_path: Path) -> None:
    """Attack 35: what was allowed is served within maxStale, and nothing else ever is."""
    made = making(
        origin,
        tmp_path,
        pin=timedelta(seconds=1),
        allowed=timedelta(seconds=10),
        stale=timedelta(minutes=30),
    )
    unsigned = push_image(origin.world.registry, origin.world.repository, content=b"unsigned")
    origin.world.tag("2", unsigned)
    with LocalGate(made) as gate:
        assert gate.get(origin.manifest).status == 200
        assert gate.get(origin.blob).status == 200
        origin.lie = lambda _asked, _answer: Answer(503)
        made.clock.time = NOW + timedelta(minutes=5)
        paths = (
            f"{origin.manifest}?x=1",
            origin.blob,
            f"/v2/apps/demo/manifests/{origin.image.digest}?x",
        )
        stale = [gate.get(path).status for path in paths]
        other = gate.get(TWO)
        made.clock.time = NOW + timedelta(minutes=31)
        late = [gate.get(f"{path}?y=2") for path in (origin.manifest, origin.blob)]

    assert stale == [200, 200, 200]
    assert other.status == 503
    assert int(other.headers["Retry-After"]) > 0
    assert [answer.status for answer in late] == [503, 503]
    assert any(line["event"] == "stale" for line in gate.audit)


def test_35_stale_under_another_policy(origin: Origin, tmp_path: Path) -> None:
    """Attack 35: with the upstream down, what the present policy has not judged is not served."""
    with LocalGate(making(origin, tmp_path, pin=timedelta(0))) as gate:
        assert gate.get(origin.manifest).status == 200
        origin.lie = lambda _asked, _answer: Answer(503)
        gate.policy = replace(origin.world.policy(), digest=Digest.of(b"another"))
        answers = [gate.get(path).status for path in (origin.manifest, origin.blob)]

    assert answers == [503, 503]


def test_35_stale_after_a_restart(origin: Origin, tmp_path: Path) -> None:
    """What was allowed is served by a gate that began while the upstream was down."""
    with LocalGate(making(origin, tmp_path)) as gate:
        assert gate.get(origin.manifest).status == 200
        assert gate.get(origin.blob).status == 200
    origin.lie = lambda _asked, _answer: Answer(503)
    with LocalGate(making(origin, tmp_path)) as gate:
        assert gate.get(origin.manifest).status == 200
        assert gate.get(origin.blob).status == 200


def test_19_tag_moved_back(origin: Origin, tmp_path: Path) -> None:
    """A tag that moved away and back is judged again, though its old decision is still fresh."""
    unsigned = push_image(origin.world.registry, origin.world.repository, content=b"unsigned")
    with LocalGate(making(origin, tmp_path, pin=timedelta(0))) as gate:
        first = gate.get(origin.manifest).status
        origin.world.tag("1", unsigned)
        second = gate.get(origin.manifest).status
        origin.world.tag("1", origin.image)
        third = gate.get(origin.manifest).status

    assert (first, second, third) == (200, 403, 200)
    assert [line["event"] for line in gate.audit].count("judged") == 3


def test_exact_reference_allows_its_own_pull(origin: Origin, tmp_path: Path) -> None:
    """HEAD by tag, then GET by digest is one pull, also where the policy binds the tag."""
    made = making(origin, tmp_path)
    made.policy = origin.world.policy(signed_identity=SignedIdentity.MATCH_EXACT)
    digest = f"/v2/apps/demo/manifests/{origin.image.digest}"
    with LocalGate(made) as gate:
        before = gate.get(digest).status
        head = gate.get(origin.manifest, method="HEAD").status
        after = gate.get(digest).status

    assert (before, head, after) == (403, 200, 200)

"""Attacks through an index: what a runtime would choose from it is judged, or nothing passes."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference
from imagekit.oci.types import INDEX, MANIFEST, Descriptor
from imagekit.policy.ruleset import Deny, Level, OpenedPolicy, Platforms
from imagekit.sign.keyed import KeySigner
from imagekit.sign.sign_release import withdrawal
from imagekit.sign.signing import attach_bundle, attest
from imagekit.signatures.intoto import SLSA_PROVENANCE
from imagekit.signatures.release import WITHDRAWAL
from imagekit.verify import collect
from tests.support.attacks_kit import Liar, errors
from tests.support.fakes import FixedClock, push_image
from tests.support.signed import NOW, World

pytestmark = pytest.mark.real

Start = Callable[..., Liar]
_AMD64 = {"os": "linux", "architecture": "amd64"}


def _entry(world: World, image: PinnedReference, **changes: object) -> dict[str, object]:
    found: Descriptor = world.registry.manifest(image).descriptor
    plain = {
        "mediaType": found.media_type,
        "digest": str(found.digest),
        "size": found.size,
        "platform": _AMD64,
    }
    return {key: value for key, value in (plain | changes).items() if value is not None}


def _index(world: World, *entries: dict[str, object]) -> PinnedReference:
    """Let the tag name an index."""
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    index = world.registry.put_manifest(world.repository, INDEX, json.dumps(document).encode())
    world.tag("1", index)
    return index


def _policy(world: World, level: Level) -> OpenedPolicy:
    return world.policy(platforms=Platforms(verify=level))


def _nameless(world: World) -> PinnedReference:
    """Push an image whose configuration names no platform that anybody has."""
    raw = b'{"os":"unknown","architecture":"unknown","rootfs":{"type":"layers","diff_ids":[]}}'
    config = world.registry.put_bytes(world.repository, "x", raw)
    manifest = json.loads(world.registry.manifest(world.image).raw)
    manifest["config"] |= {"digest": str(config.digest), "size": config.size}
    return world.registry.put_manifest(world.repository, MANIFEST, json.dumps(manifest).encode())


def test_29_manifests_signed(liar: Start) -> None:
    """Attack 29, without an attack: by the manifests alone the index needs no signature."""
    world = liar().world
    _index(world, _entry(world, world.image))

    assert world.judge(_policy(world, Level.MANIFESTS)).allowed
    assert errors(world.judge(_policy(world, Level.ALL))) == {"signature": "NO_SIGNATURE"}
    assert errors(world.judge(_policy(world, Level.TOP))) == {"signature": "NO_SIGNATURE"}


def test_29_unsigned_manifest_beside_a_signed_one(liar: Start) -> None:
    """Attack 29: the attacker adds a platform to an index of signed manifests."""
    server = liar()
    world = server.world
    evil = push_image(world.registry, world.repository, content=b"evil")
    _index(world, _entry(world, world.image), _entry(world, evil))

    verdict = server.judge(_policy(world, Level.MANIFESTS))

    assert errors(verdict) == {"signature": "NO_SIGNATURE"}


def test_29_index_of_nothing(liar: Start) -> None:
    """Attack 29: an index that lists nothing has nothing that is signed."""
    server = liar()
    _index(server.world)

    verdict = server.judge(_policy(server.world, Level.MANIFESTS))

    assert errors(verdict) == {"signature": "MISSING_MANIFEST"}


@pytest.mark.parametrize("level", [Level.MANIFESTS, Level.ALL])
def test_29_manifest_hidden_from_the_verifier(liar: Start, level: Level) -> None:
    """Attack 29: the registry has a manifest for runtimes, and none for whoever verifies."""
    server = liar()
    world = server.world
    evil = push_image(world.registry, world.repository, content=b"evil")
    _index(world, _entry(world, world.image), _entry(world, evil, platform={**_AMD64, "os": "x"}))
    server.lie = lambda asked, _times: (404, {}, b"{}") if str(evil.digest) in asked else None

    found = errors(server.judge(_policy(world, level)))

    assert set(found) == {"signature"}
    assert "MISSING_MANIFEST" in {
        each.code for each in server.judge(_policy(world, level)).findings
    }


def test_29_manifest_under_another_media_type(liar: Start) -> None:
    """Attack 29: containers/image chooses by platform, whatever the entry's media type."""
    server = liar()
    world = server.world
    evil = push_image(world.registry, world.repository, content=b"evil")
    _index(world, _entry(world, evil, mediaType="application/json"))

    verdict = server.judge(_policy(world, Level.MANIFESTS))

    assert errors(verdict) == {"signature": "MISSING_MANIFEST"}


def test_29_manifest_without_a_platform(liar: Start) -> None:
    """Attack 29: an entry that names no platform is chosen where none fits, and so it is judged."""
    server = liar()
    world = server.world
    evil = _nameless(world)
    _index(world, _entry(world, world.image), _entry(world, evil, platform=None))

    verdict = server.judge(_policy(world, Level.MANIFESTS))

    assert errors(verdict) == {"signature": "NO_SIGNATURE"}


def test_29_what_buildkit_attaches(liar: Start) -> None:
    """Attack 29, no attack: what no runtime ever chooses needs no signature."""
    server = liar()
    world = server.world
    nobody = {"os": "unknown", "architecture": "unknown"}
    _index(world, _entry(world, world.image), _entry(world, _nameless(world), platform=nobody))

    assert server.judge(_policy(world, Level.MANIFESTS)).allowed


def test_17_denied_manifest_in_an_index(liar: Start) -> None:
    """Attack 17: the image was denied by its digest, and comes back inside an index."""
    server = liar()
    world = server.world
    _index(world, _entry(world, world.image))
    denied = replace(
        _policy(world, Level.MANIFESTS), deny=Deny(digests=frozenset({world.image.digest}))
    )

    assert errors(server.judge(denied)) == {"deny": "REVOKED"}


@pytest.mark.parametrize("warns", [False, True])
def test_17_withdrawn_manifest_in_an_index(liar: Start, *, warns: bool) -> None:
    """Attack 17: the image was withdrawn, and comes back inside an index of the attacker's."""
    server = liar()
    world = server.world
    world.attach(WITHDRAWAL, {"reason": "wrong results", "time": NOW.isoformat()})
    policy = world.policy(
        platforms=Platforms(verify=Level.MANIFESTS),
        warn_until=NOW + timedelta(days=1) if warns else None,
    )
    assert errors(server.judge(policy)) == {"withdrawal": "WITHDRAWN"}

    _index(world, _entry(world, world.image))

    assert errors(server.judge(policy)) == {"withdrawal": "WITHDRAWN"}


def test_25_ambiguous_index(liar: Start) -> None:
    """Attack 25: an index with two lists of manifests, of which programs read either."""
    server = liar()
    world = server.world
    entry = json.dumps(_entry(world, world.image))
    raw = (
        f'{{"schemaVersion":2,"mediaType":"{INDEX}",'
        f'"manifests":[{entry}],"Manifests":[{entry.replace(world.image.digest.hex, "0" * 64)}]}}'
    )
    index = world.registry.put_manifest(world.repository, INDEX, raw.encode())
    world.tag("1", index)

    assert index.digest == Digest.of(raw.encode())
    assert errors(server.judge(_policy(world, Level.MANIFESTS))) == {"image": "AMBIGUOUS_JSON"}


def _hide(server: Liar, image: PinnedReference) -> None:
    """Have the manifest for runtimes, and not for whoever verifies."""
    hidden = f"/manifests/{image.digest}"
    server.lie = lambda asked, _times: (404, {}, b"{}") if asked.endswith(hidden) else None


def _signed_index(world: World, *entries: dict[str, object]) -> None:
    """Let the tag name an index that is signed, as a policy looks at by default."""
    world.image = _index(world, *entries)
    world.sign()


def _withdraw(world: World, image: PinnedReference) -> None:
    kept, world.image = world.image, image
    world.attach(WITHDRAWAL, {"reason": "wrong results", "time": NOW.isoformat()})
    world.image = kept


@pytest.mark.parametrize(
    ("hidden", "changes"),
    [
        pytest.param(False, {}, id="there"),
        pytest.param(True, {}, id="hidden"),
        pytest.param(True, {"platform": None}, id="without-a-platform"),
        pytest.param(True, {"platform": {"os": "unknown", "architecture": "unknown"}}, id="nobody"),
        pytest.param(False, {"mediaType": "application/json"}, id="another-type"),
    ],
)
@pytest.mark.parametrize("by", ["deny", "withdrawal"])
@pytest.mark.parametrize("warns", [False, True])
def test_46_child_that_must_not_run(
    liar: Start, *, hidden: bool, changes: dict[str, object], by: str, warns: bool
) -> None:
    """Attack 46: deny list and withdrawals look at what the signed index lists, there or not."""
    server = liar()
    world = server.world
    child = push_image(world.registry, world.repository, content=b"known to be bad")
    _signed_index(world, _entry(world, world.image), _entry(world, child, **changes))
    policy = world.policy(warn_until=NOW + timedelta(days=1) if warns else None)
    if hidden:
        _hide(server, child)
    assert server.judge(policy).allowed

    if by == "deny":
        policy = replace(policy, deny=Deny(digests=frozenset({child.digest})))
    else:
        _withdraw(world, child)

    found = errors(server.judge(policy))
    assert found == {by: "REVOKED" if by == "deny" else "WITHDRAWN"}


@pytest.mark.parametrize("hidden", [False, True])
def test_46_index_in_an_index(liar: Start, *, hidden: bool) -> None:
    """Attack 46: what an index in the index lists nobody can tell, least of all where it hides."""
    server = liar()
    world = server.world
    inner = world.registry.put_manifest(
        world.repository,
        INDEX,
        json.dumps(
            {"schemaVersion": 2, "mediaType": INDEX, "manifests": [_entry(world, world.image)]}
        ).encode(),
    )
    _signed_index(world, _entry(world, world.image), _entry(world, inner, platform=None))
    if hidden:
        _hide(server, inner)

    assert errors(server.judge()) == {"image": "BAD_DOCUMENT"}


def test_46_verdict_speaks_for_what_was_judged(liar: Start) -> None:
    """Attack 46: what could not be read is no part of what may be chosen."""
    server = liar()
    world = server.world
    image, child = world.image, push_image(world.registry, world.repository, content=b"other")
    _signed_index(world, _entry(world, image), _entry(world, child))
    whole = server.judge()
    _hide(server, child)

    verdict = server.judge()

    assert (whole.judged, whole.unread) == ((image.digest, child.digest), ())
    assert (verdict.judged, verdict.unread) == ((image.digest,), (child.digest,))
    assert verdict.allowed


def test_46_unsigned_manifest_twice(liar: Start) -> None:
    """Attack 46: one entry that no runtime chooses does not excuse another of the same digest."""
    server = liar()
    world = server.world
    evil = _nameless(world)
    nobody = {"os": "unknown", "architecture": "unknown"}
    _index(
        world,
        _entry(world, world.image, platform={**_AMD64, "architecture": "amd64"}),
        _entry(world, evil, platform=nobody),
        _entry(world, evil, mediaType="application/json", platform={**_AMD64, "os": "x"}),
    )

    assert errors(server.judge(_policy(world, Level.MANIFESTS))) == {
        "signature": "MISSING_MANIFEST"
    }


@pytest.mark.parametrize("bound", ["MAX_CANDIDATES", "MAX_TOTAL"])
def test_46_withdrawal_behind_a_flood(
    liar: Start, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """Attack 46: strangers attach so much that a withdrawal lies beyond what is read."""
    server = liar()
    world = server.world
    for number in range(6):
        world.attach_raw(b"junk %d" % number * 100)
    _withdraw(world, world.image)
    assert errors(server.judge()) == {"withdrawal": "WITHDRAWN"}
    listed = world.registry.referrers(world.image)
    raws = [world.registry.manifest(world.image.with_digest(one.digest)).raw for one in listed]
    bundles = [json.loads(raw)["layers"][0]["size"] for raw in raws]
    total = sum(len(raw) for raw in raws) + sum(bundles[:-1])
    monkeypatch.setattr(collect, bound, 5 if bound == "MAX_CANDIDATES" else total)

    assert errors(server.judge()) == {"withdrawal": "TOO_MANY"}


def test_46_flood_of_what_is_no_withdrawal(liar: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """No attack: what says that it is something else may lie beyond, and withdrawals come first."""
    server = liar()
    world = server.world
    top = world.registry.manifest(world.image).descriptor
    clock = FixedClock(NOW)
    for number in range(6):
        attach_bundle(
            world.registry,
            world.image,
            manifest=top,
            bundle=b"report %d" % number,
            predicate_type=SLSA_PROVENANCE,
            clock=clock,
        )
    monkeypatch.setattr(collect, "MAX_CANDIDATES", 4)
    assert server.judge().allowed

    attest(
        world.registry,
        KeySigner(world.signer),
        world.image,
        manifest=top,
        statement=withdrawal(world.image, reason="wrong results", time=NOW),
        clock=clock,
    )

    assert errors(server.judge()) == {"withdrawal": "WITHDRAWN"}

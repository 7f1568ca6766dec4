"""An image that is denied or withdrawn comes back under its digest by another algorithm."""

import hashlib
import json
from datetime import timedelta

import pytest

from imagekit.oci.codec import index_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.protocol import fallback_tag
from imagekit.oci.types import INDEX, MANIFEST, Index, RawManifest
from imagekit.policy.ruleset import Deny
from imagekit.signatures.release import WITHDRAWAL, Withdrawal, withdrawal_predicate
from tests.support.signed import NOW, World


def _by_sha512(world: World) -> PinnedReference:
    """Let the registry know the image by its SHA-512 digest, too, as zot does."""
    raw = world.registry.manifest(world.image).raw
    digest = Digest("sha512", hashlib.sha512(raw).hexdigest())
    stored = RawManifest(media_type=MANIFEST, digest=digest, raw=raw)
    world.registry.manifests[world.repository.name, digest] = stored
    return PinnedReference(world.repository, digest)


def _withdraw(world: World) -> None:
    said = Withdrawal(reason="broken", time=NOW - timedelta(days=1))
    world.attach(WITHDRAWAL, withdrawal_predicate(said))


def _index(world: World, child: PinnedReference) -> None:
    """Let the tag name a signed index that lists the image by this digest."""
    size = len(world.registry.manifest(child).raw)
    entry = {"mediaType": MANIFEST, "digest": str(child.digest), "size": size}
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    world.image = world.registry.put_manifest(world.repository, INDEX, raw)
    world.tag("1", world.image)
    world.sign()


@pytest.mark.parametrize("in_index", [False, True])
@pytest.mark.parametrize("how", ["denied", "withdrawn"])
def test_17_by_another_algorithm(how: str, *, in_index: bool) -> None:
    """The deny list and withdrawals speak of bytes, by whichever digest somebody asks for them."""
    world = World()
    denied = world.image.digest
    if how == "withdrawn":
        _withdraw(world)
    other = _by_sha512(world)
    if in_index:
        _index(world, other)
    else:
        world.image = other
        world.sign()
    reference = None if in_index else other
    deny = Deny(digests=frozenset({denied})) if how == "denied" else None

    assert how == "withdrawn" or world.judge(reference=reference).allowed
    verdict = world.judge(world.policy(deny=deny), reference=reference)

    code = {"denied": "REVOKED", "withdrawn": "WITHDRAWN"}[how]
    assert [one.code for one in verdict.findings if one.severity == "error"] == [code]


def test_17_denied_by_the_longer_digest() -> None:
    """The list may have the other one of the two."""
    world = World()
    world.sign()
    deny = Deny(digests=frozenset({_by_sha512(world).digest}))

    verdict = world.judge(world.policy(deny=deny))

    assert "REVOKED" in {one.code for one in verdict.findings if one.severity == "error"}


def test_32_emptied_tag_of_a_longer_digest() -> None:
    """Of a longer digest the tag of its referrers has 64 characters ("Referrers Tag Schema")."""
    world = World()
    world.image = _by_sha512(world)
    raw = index_bytes(Index(media_type=INDEX, manifests=()))
    put = world.registry.put_manifest(world.repository, INDEX, raw)
    world.tag(fallback_tag(world.image.digest), put)

    verdict = world.judge(reference=world.image)

    assert "REFERRERS_LOST" in {one.code for one in verdict.findings if one.severity == "error"}

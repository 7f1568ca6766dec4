"""Whose decision is whose."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.gate.answers import RequestRefusedError
from imagekit.gate.decisions.decide import ActivePolicy, VerifierDeps
from imagekit.gate.decisions.decision import Decision, DecisionClosure, fingerprint
from imagekit.gate.decisions.decision_cache import DecisionCache
from imagekit.gate.decisions.decision_store import DecisionStore
from imagekit.gate.decisions.service import DecisionService, Times
from imagekit.gate.upstreams import Upstream
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.location import REGISTRY, LayoutLocation, LocatedReference, Location
from imagekit.oci.reference import PinnedReference, Reference, TaggedReference
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.verify.rollback import NoRollbackStore
from tests.support.signed import World

_BLOB = Digest.of(b"blob")


class _Room:
    """A gate's decisions on images of one name in several places."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signed = self.world("signed")
        self.signed.sign()
        self.policy = self.signed.policy()
        self.store = DecisionStore(folder / "state")
        self.cache = DecisionCache(self.store)
        active = ActivePolicy(policy=self.policy, fingerprint=fingerprint(self.policy))
        self.service = DecisionService(
            decision_cache=self.cache,
            deps=VerifierDeps(memory=NoRollbackStore(), certificates=SigstoreVerifier()),
            times=Times(),
            active=lambda: active,
            heard=lambda *_: None,
            took=lambda _: None,
        )

    def world(self, name: str) -> World:
        """Push the image into a layout of its own, always under the same name."""
        registry = LayoutRegistry(LayoutStore(self.folder / name))
        return World.in_layout(registry)

    def upstream(self, name: str) -> Upstream:
        """Return the upstream of a layout."""
        return Upstream(name=name, location=LayoutLocation(self.folder / name))

    def served(self, upstream: Upstream, reference: Reference) -> bool:
        """Return whether a manifest is served."""
        try:
            asyncio.run(self.service.manifest(upstream, reference))
        except RequestRefusedError:
            return False
        return True

    def sent(self, upstream: Upstream, digest: Digest) -> bool:
        """Return whether a blob is sent."""
        repository = self.signed.repository
        try:
            asyncio.run(self.service.blob(upstream, repository, digest))
        except RequestRefusedError:
            return False
        return True

    def allow(self, location: Location) -> None:
        """Keep, in memory and on disk, that the image is allowed in a place."""
        world, now = self.signed, datetime.now(UTC)
        pinned = PinnedReference(world.repository, world.image.digest)
        decision = Decision(
            reference=LocatedReference(location, pinned),
            digest=pinned.digest,
            allowed=True,
            policy=fingerprint(self.policy),
            made=now,
            fresh=now + timedelta(hours=1),
            until=now + timedelta(hours=1),
            manifest=world.registry.manifest(pinned),
            closure=DecisionClosure(blobs={_BLOB: 4}),
        )
        tagged = TaggedReference(world.repository, "1")
        for each in (decision, replace(decision, reference=LocatedReference(location, tagged))):
            self.cache.learn(each)
            self.cache.write(each)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[_Room]:
    """The same bytes, signed in one layout and not in another."""
    made = _Room(tmp_path)
    made.world("bare")
    yield made
    made.service.close()
    made.store.close()


@pytest.mark.parametrize("by_digest", [True, False], ids=["digest", "tag"])
def test_what_one_layout_allows_no_other_allows(room: _Room, by_digest: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The name, the tag and the digest are the same; the signatures are in one of both."""
    reference = room.signed.image if by_digest else room.signed.reference

    assert room.served(room.upstream("signed"), reference)
    assert not room.served(room.upstream("bare"), reference)
    assert room.served(room.upstream("signed"), reference)


def test_what_a_registry_allowed_no_layout_allows(room: _Room) -> None:
    """Neither the image nor a blob of it, though all that is kept of it has the same name."""
    room.allow(REGISTRY)
    registry = Upstream(name="registry", host=room.signed.repository.host)

    assert room.served(registry, room.signed.image)
    assert room.sent(registry, _BLOB)
    for reference in (room.signed.image, room.signed.reference):
        assert not room.served(room.upstream("bare"), reference)
    assert not room.sent(room.upstream("bare"), _BLOB)


def test_what_a_layout_allowed_no_registry_allows(room: _Room) -> None:
    """A blob is served because of an image of its own place."""
    room.allow(LayoutLocation(room.folder / "signed"))

    assert room.sent(room.upstream("signed"), _BLOB)
    assert not room.sent(Upstream(name="registry", host=room.signed.repository.host), _BLOB)

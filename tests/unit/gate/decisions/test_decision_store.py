"""What was decided, on disk."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.errors import InputError, PolicyError
from imagekit.gate.decisions.decision import Decision, DecisionClosure, DecisionSubject
from imagekit.gate.decisions.decision_store import DecisionStore
from imagekit.oci.digest import Digest
from imagekit.oci.location import (
    REGISTRY,
    LayoutLocation,
    LocatedReference,
    LocatedRepository,
)
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.types import MANIFEST, RawManifest
from tests.support.signed import World

NOW = datetime(2026, 11, 23, tzinfo=UTC)
REPOSITORY = Repository.parse("r.site/apps/demo")
PLACE = LocatedRepository(REGISTRY, REPOSITORY)
BLOB, CHILD = Digest.of(b"blob"), b"child"


def raw(content: bytes) -> RawManifest:
    """Return some bytes as a manifest."""
    return RawManifest(media_type=MANIFEST, digest=Digest.of(content), raw=content)


def decision(content: bytes = b"top", *, made: datetime = NOW, allowed: bool = True) -> Decision:
    """Return a decision on an index with one child and one blob."""
    top = raw(content)
    child = raw(CHILD)
    return Decision(
        reference=LocatedReference(REGISTRY, TaggedReference(REPOSITORY, "1")),
        digest=top.digest,
        allowed=allowed,
        policy="f",
        policy_name="site version 1",
        made=made,
        fresh=made + timedelta(minutes=1),
        until=made + timedelta(minutes=2),
        manifest=top if allowed else None,
        closure=DecisionClosure(manifests={child.digest: child}, blobs={BLOB: 4}),
    )


def subject(content: bytes = b"top") -> DecisionSubject:
    """Return what it is about."""
    return DecisionSubject(PLACE, Digest.of(content), "1")


_OPEN: list[DecisionStore] = []


def _opened(folder: Path) -> DecisionStore:
    _OPEN.append(DecisionStore(folder))
    return _OPEN[-1]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DecisionStore]:
    """An empty store; whatever was opened in its place is closed in the end."""
    yield _opened(tmp_path / "state")
    while _OPEN:
        _OPEN.pop().close()


def again(store: DecisionStore) -> DecisionStore:
    """Return the same store as the next process opens it."""
    _OPEN.remove(store)
    store.close()
    return _opened(store.folder)


def test_round_trip(store: DecisionStore) -> None:
    """What was kept is what comes back, in the next process too."""
    store.keep(subject(), decision())

    assert again(store).decision(subject()) == decision()


def test_roots_and_latest(store: DecisionStore) -> None:
    """What is part of what, those judged last first."""
    store.keep(subject(), decision())
    store.keep(subject(b"new"), decision(b"new", made=NOW + timedelta(hours=1)))

    assert store.roots(PLACE, BLOB) == (subject(b"new"), subject())
    assert store.roots(PLACE, Digest.of(CHILD)) == (subject(b"new"), subject())
    assert store.roots(PLACE, Digest.of(b"new")) == (subject(b"new"),)
    assert store.latest(PLACE, "1") == subject(b"new")
    assert store.roots(replace(PLACE, repository=Repository.parse("r.site/apps/other")), BLOB) == ()
    assert store.repositories() == (PLACE.key,)


def test_denied_takes_its_place_away(store: DecisionStore) -> None:
    """What is denied now leads to no blob any more."""
    store.keep(subject(), decision())
    store.keep(subject(), decision(allowed=False))

    assert store.decision(subject()) is None
    assert store.roots(PLACE, BLOB) == ()


def test_altered_manifest_is_not_believed(store: DecisionStore) -> None:
    """Bytes are only what their digest says."""
    store.keep(subject(), decision())
    with sqlite3.connect(store.folder / "gate.db") as database:
        database.execute("UPDATE manifest SET raw = ?", (b"evil",))
    database.close()

    assert again(store).decision(subject()) is None


def test_lost_manifest(store: DecisionStore) -> None:
    """A decision without its bytes is none."""
    store.keep(subject(), decision())
    with sqlite3.connect(store.folder / "gate.db") as database:
        database.execute("DELETE FROM manifest")
    database.close()

    assert store.decision(subject()) is None


def test_prune(store: DecisionStore) -> None:
    """What is old goes, with all that belongs to it and to nothing else."""
    store.keep(subject(), decision())
    store.keep(subject(b"new"), decision(b"new", made=NOW + timedelta(days=20)))

    store.prune(NOW + timedelta(days=31), timedelta(days=30))

    assert store.roots(PLACE, BLOB) == (subject(b"new"),)
    assert store.decision(subject(b"new")) is not None
    with sqlite3.connect(store.folder / "gate.db") as database:
        count = database.execute("SELECT count(*) FROM manifest").fetchone()[0]
    database.close()
    assert count == 2


def test_pinned_reference(store: DecisionStore) -> None:
    """A decision by digest comes back as one by digest."""
    top = decision()
    assert top.digest is not None
    pinned = replace(
        top, reference=LocatedReference(REGISTRY, PinnedReference(REPOSITORY, top.digest))
    )
    key = DecisionSubject(PLACE, top.digest)
    store.keep(key, pinned)

    assert store.decision(key) == pinned


def test_one_place_s_decision_is_no_other_s(store: DecisionStore) -> None:
    """A layout may have under a name and tag what a registry has, but not what speaks for it."""
    names = [REPOSITORY, Repository.parse("localhost/r.site/apps/demo")]
    locations = (REGISTRY, LayoutLocation(Path("/srv/a")), LayoutLocation(Path("/srv/b")))
    places = [LocatedRepository(location, name) for location in locations for name in names]
    for kept in places:
        reference = LocatedReference(kept.location, TaggedReference(kept.repository, "1"))
        key = replace(subject(), place=kept)
        store.keep(key, replace(decision(), reference=reference))

        found = store.decision(key)
        assert found is not None
        assert found.reference == reference
        assert store.latest(kept, "1") == key
        assert store.roots(kept, BLOB) == (key,)
        for other in (each for each in places if each != kept):
            assert store.decision(replace(key, place=other)) is None
            assert store.latest(other, "1") is None
            assert store.roots(other, BLOB) == ()
        store.keep(key, decision(allowed=False))


def test_accept(store: DecisionStore) -> None:
    """A policy's version never goes back; the same version with another text is said."""
    policy = World().policy()

    assert store.accept(policy) == ""
    assert store.accept(policy) == ""
    assert "raise metadata.version" in store.accept(replace(policy, digest=Digest.of(b"other")))
    assert store.accept(replace(policy, version=9)) == ""
    with pytest.raises(PolicyError, match="version 9 was in force"):
        again(store).accept(policy)


def test_two_processes(store: DecisionStore) -> None:
    """A folder is one gate's."""
    with pytest.raises(InputError, match="another gate"):
        DecisionStore(store.folder)


def test_another_version(store: DecisionStore) -> None:
    """A database of a later gate is not touched."""
    _OPEN.remove(store)
    store.close()
    with sqlite3.connect(store.folder / "gate.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()

    with pytest.raises(InputError, match="version 99"):
        DecisionStore(store.folder)


def test_broken_database(tmp_path: Path) -> None:
    """What is no database is an error with a hint."""
    (tmp_path / "gate.db").write_bytes(b"nonsense" * 1000)

    with pytest.raises(InputError, match="cannot be used"):
        DecisionStore(tmp_path)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """So is a folder that cannot be."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(InputError, match="cannot be used"):
        DecisionStore(tmp_path / "file" / "state")

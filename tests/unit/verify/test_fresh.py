"""Releases, withdrawals and age: each test breaks one thing of an image that is fresh."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from imagekit.errors import DocumentError, RollbackStoreError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference
from imagekit.oci.types import Descriptor
from imagekit.policy.ruleset import Freshness, Level, Platforms
from imagekit.signatures.authority import Need
from imagekit.signatures.release import RELEASE, WITHDRAWAL
from imagekit.verify.ports import HighWaterMark
from imagekit.verify.verdict import Verdict
from tests.support.fakes import MemoryRegistry, MemorySigner
from tests.support.signed import NOW, World, finding, sparse_index

_NAME = "r.site/apps/demo"
_MONOTONIC = Freshness(monotonic=True)
_DAY = timedelta(days=1)
_WITHDRAWN = {"reason": "wrong results", "time": NOW.isoformat()}


@dataclass
class Remembered:
    """A verifier's memory in a dictionary."""

    seen: dict[str, HighWaterMark] = field(default_factory=dict)
    broken: bool = False

    def highest(self, name: str) -> HighWaterMark | None:
        """Return what was seen."""
        if self.broken:
            raise RollbackStoreError("read-only")
        return self.seen.get(name)

    def remember(self, name: str, seen: HighWaterMark) -> None:
        """Keep the higher."""
        if name not in self.seen or self.seen[name].sequence < seen.sequence:
            self.seen[name] = seen


def _release(world: World, *, signer: MemorySigner | None = None, **changes: Any) -> None:
    predicate = {
        "repository": _NAME,
        "sequence": 7,
        "tags": ["1", "latest"],
        "time": (NOW - _DAY).isoformat(),
    }
    world.attach(RELEASE, {**predicate, **changes}, signer=signer)


@pytest.fixture
def world() -> World:
    """An image that is signed."""
    made = World()
    made.sign()
    return made


@pytest.fixture
def memory() -> Remembered:
    """An empty memory."""
    return Remembered()


def _judge(world: World, memory: Remembered, freshness: Freshness = _MONOTONIC) -> Verdict:
    return world.judge(world.policy(freshness=freshness), memory=memory)


def _code(verdict: Verdict) -> str:
    assert not verdict.allowed
    return next(each.code for each in verdict.findings if each.severity == "error")


class TestMonotonic:
    """A tag never goes back."""

    def test_first_sight(self, world: World, memory: Remembered) -> None:
        """The first release that is seen is allowed, said to be the first, and remembered."""
        _release(world)

        verdict = _judge(world, memory)

        assert verdict.allowed
        assert "first" in finding(verdict, "freshness").message
        assert memory.seen[f"{_NAME}:1"] == HighWaterMark(sequence=7, digest=world.image.digest)

    @pytest.mark.parametrize("highest", [7, 8])
    def test_rollback(self, world: World, memory: Remembered, highest: int) -> None:
        """A release below the highest that was seen is refused, and the same of another image."""
        _release(world)
        memory.seen[f"{_NAME}:1"] = HighWaterMark(sequence=highest, digest=Digest.of(b"other"))

        assert _code(_judge(world, memory)) == "ROLLBACK"

    def test_again(self, world: World, memory: Remembered) -> None:
        """The same release again is allowed."""
        _release(world)

        assert _judge(world, memory).allowed
        assert _judge(world, memory).allowed

    def test_republished(self, world: World, memory: Remembered) -> None:
        """An older image that was released anew is allowed: its highest release counts."""
        _release(world)
        _release(world, sequence=9)
        memory.seen[f"{_NAME}:1"] = HighWaterMark(sequence=8, digest=Digest.of(b"between"))

        assert _judge(world, memory).allowed
        assert memory.seen[f"{_NAME}:1"].sequence == 9

    @pytest.mark.parametrize(
        "changes",
        [
            {"repository": "r.site/apps/other"},
            {"tags": ["2"]},
            {"tags": []},
            {"sequence": 0},
            {"sequence": True},
            {"sequence": "7"},
            {"sequence": 2**53},
            {"time": "yesterday"},
            {"time": "2026-11-22T00:00:00"},
        ],
    )
    def test_no_release_of_the_tag(
        self, world: World, memory: Remembered, changes: dict[str, Any]
    ) -> None:
        """A release of something else, or that is none, does not count."""
        _release(world, **changes)

        assert _code(_judge(world, memory)) == "NO_RELEASE"

    def test_strangers_release(self, world: World, memory: Remembered) -> None:
        """A stranger's release neither allows nor raises the memory."""
        _release(world, signer=MemorySigner(), sequence=99)

        assert _code(_judge(world, memory)) == "NO_RELEASE"
        assert not memory.seen

    def test_by_digest(self, world: World, memory: Remembered) -> None:
        """Asked for by digest there is no tag that could go back."""
        policy = world.policy(freshness=_MONOTONIC)

        assert world.judge(policy, reference=world.image, memory=memory).allowed

    def test_denied_is_not_remembered(self, memory: Remembered) -> None:
        """What is refused for another reason leaves no trace: nobody can raise the bar by it."""
        unsigned = World()
        _release(unsigned)

        assert not _judge(unsigned, memory).allowed
        assert not memory.seen

    def test_no_memory(self, world: World, memory: Remembered) -> None:
        """A verifier that cannot remember says so, and refuses where the policy demands it."""
        _release(world)
        memory.broken = True
        strict = Freshness(monotonic=True, remember=Need.REQUIRED)

        assert finding(_judge(world, memory), "freshness").code == "NOT_REMEMBERED"
        assert _judge(world, memory).allowed
        assert _code(_judge(world, memory, strict)) == "NOT_REMEMBERED"

    def test_clock_set_back(self, world: World, memory: Remembered) -> None:
        """A clock behind what was verified before is told."""
        _release(world)
        later = int((NOW + _DAY).timestamp())
        memory.seen["@clock"] = HighWaterMark(sequence=later, digest=Digest.of(b""))

        assert _code(_judge(world, memory)) == "CLOCK"


class TestAge:
    """How old an image may be."""

    @pytest.mark.parametrize(
        ("limit", "changes", "code"),
        [
            (2 * _DAY, {}, "OK"),
            (timedelta(hours=1), {}, "STALE_SIGNATURE"),
            (_DAY * 9, {"time": (NOW + _DAY).isoformat()}, "CLOCK"),
            (_DAY * 9, {"sequence": 0}, "NO_TRUSTED_TIME"),
        ],
    )
    def test_age(
        self,
        world: World,
        memory: Remembered,
        *,
        limit: timedelta,
        changes: dict[str, Any],
        code: str,
    ) -> None:
        """A release is not older than the limit, not of the future, and there."""
        _release(world, **changes)

        verdict = _judge(world, memory, Freshness(max_age=limit))

        assert finding(verdict, "freshness").code == code
        assert verdict.allowed is (code == "OK")


class TestWithdrawal:
    """Whoever may sign an image may withdraw it."""

    def test_withdrawn(self, world: World) -> None:
        """A withdrawal refuses whatever else is signed, and its reason is told."""
        world.attach(WITHDRAWAL, _WITHDRAWN)

        verdict = world.judge()

        assert _code(verdict) == "WITHDRAWN"
        assert "wrong results" in finding(verdict, "withdrawal").message

    def test_also_where_the_rule_only_warns(self, world: World) -> None:
        """A rule that only warns refuses what was withdrawn."""
        world.attach(WITHDRAWAL, _WITHDRAWN)
        policy = world.policy(warn_until=datetime(2027, 1, 1, tzinfo=UTC))

        assert _code(world.judge(policy)) == "WITHDRAWN"

    @pytest.mark.parametrize("level", list(Level))
    def test_hidden_where_the_rule_only_warns(self, world: World, level: Level) -> None:
        """A child whose list of referrers was overwritten may be withdrawn: that is never eased."""
        child = world.image
        sparse_index(world, Digest.of(b"gone"))
        known = world.registry

        class Overwritten(MemoryRegistry):
            def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
                if reference.digest == child.digest:
                    raise DocumentError("the fallback tag is an image", code="BAD_DOCUMENT")
                return super().referrers(reference)

        registry = Overwritten(known.manifests, known.blobs, known.tagged)
        policy = world.policy(warn_until=NOW + _DAY, platforms=Platforms(verify=level))

        verdict = world.judge(policy, registry=registry)

        assert not verdict.allowed
        assert "REFERRERS_LOST" in {one.code for one in verdict.findings}

    @pytest.mark.parametrize("part", ["manifest", "blob"])
    @pytest.mark.parametrize("level", list(Level))
    def test_listed_and_not_there(self, world: World, level: Level, part: str) -> None:
        """What is listed, may be a withdrawal and is gone refuses the image, and an index of it."""
        known, child = world.registry, world.image
        before = set(known.blobs)
        world.attach(WITHDRAWAL, _WITHDRAWN)
        listed = known.referrers(child)
        if part == "manifest":
            del known.manifests[world.repository.name, listed[-1].digest]
        for name in set(known.blobs) - before:
            del known.blobs[name]

        class Incomplete(MemoryRegistry):
            def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
                return listed if reference.digest == child.digest else super().referrers(reference)

        registry = Incomplete(known.manifests, known.blobs, known.tagged)

        assert _code(world.judge(registry=registry)) == "REFERRERS_LOST"

        sparse_index(world, Digest.of(b"gone"))
        policy = world.policy(warn_until=NOW + _DAY, platforms=Platforms(verify=level))
        verdict = world.judge(policy, registry=registry)

        assert not verdict.allowed
        assert "REFERRERS_LOST" in {one.code for one in verdict.findings}

    def test_unreadable(self, world: World) -> None:
        """A trusted withdrawal that cannot be read is still one."""
        world.attach(WITHDRAWAL, {"reason": 5})

        assert _code(world.judge()) == "WITHDRAWN"

    def test_by_a_stranger(self, world: World) -> None:
        """Strangers withdraw nothing."""
        world.attach(WITHDRAWAL, _WITHDRAWN, signer=MemorySigner())

        assert world.judge().allowed

    def test_of_another_image(self, world: World) -> None:
        """The withdrawal of another image says nothing about this one."""
        world.attach(WITHDRAWAL, _WITHDRAWN, digest=Digest.of(b"other"))

        assert world.judge().allowed


def test_warning_ends(world: World) -> None:
    """A rule that only warns allows what it would refuse until its day, and says so."""
    policy = world.policy(warn_until=NOW + _DAY, signers=(MemorySigner(),))

    assert world.judge(policy).allowed
    assert finding(world.judge(policy), "mode").code == "WOULD_DENY"
    assert not world.judge(policy, now=NOW + _DAY).allowed

"""Attacks by time: old signatures, tags that go back, and clocks that are set back."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.oci.reference import PinnedReference
from imagekit.policy.ruleset import Freshness, OpenedPolicy
from imagekit.signatures.release import RELEASE
from imagekit.verify.rollback import SqliteRollbackStore
from imagekit.verify.verdict import Verdict
from imagekit.verify.verify import verify
from tests.support.attacks_kit import QUICK, Liar, errors
from tests.support.fakes import FixedClock, MemorySigner, push_image
from tests.support.signed import NOW, World

pytestmark = pytest.mark.real

Start = Callable[..., Liar]
_DAY = timedelta(days=1)
_RISING = Freshness(monotonic=True)


def _release(
    world: World,
    sequence: int,
    *,
    time: datetime = NOW,
    signer: MemorySigner | None = None,
    **changes: object,
) -> None:
    predicate = {
        "repository": world.repository.name,
        "sequence": sequence,
        "tags": ["1"],
        "time": time.isoformat(),
    }
    world.attach(RELEASE, predicate | changes, signer=signer)


def _judge(world: World, memory: Path, policy: OpenedPolicy, *, now: datetime = NOW) -> Verdict:
    return verify(
        world.reference,
        policy=policy,
        options=QUICK,
        clock=FixedClock(now),
        memory=SqliteRollbackStore(memory),
    )


def _newer(world: World, sequence: int) -> PinnedReference:
    """Publish another image under the tag; return the one that it replaces."""
    old = world.image
    world.image = push_image(world.registry, world.repository, content=b"newer")
    world.tag("1", world.image)
    world.sign()
    _release(world, sequence)
    return old


def test_18_older_than_the_policy_allows(liar: Start, tmp_path: Path) -> None:
    """Attack 18: an old image, well signed, that a mirror never replaced."""
    world = liar().world
    _release(world, 1, time=NOW - 31 * _DAY)
    policy = world.policy(freshness=Freshness(max_age=30 * _DAY))

    assert errors(_judge(world, tmp_path / "seen.db", policy)) == {"freshness": "STALE_SIGNATURE"}
    assert _judge(world, tmp_path / "seen.db", policy, now=NOW - _DAY).allowed


def test_18_stranger_makes_it_young(liar: Start, tmp_path: Path) -> None:
    """Attack 18: a release by somebody whom nobody trusts makes no image younger."""
    world = liar().world
    _release(world, 1, time=NOW - 31 * _DAY)
    _release(world, 2, time=NOW, signer=MemorySigner())
    policy = world.policy(freshness=Freshness(max_age=30 * _DAY))

    assert errors(_judge(world, tmp_path / "seen.db", policy)) == {"freshness": "STALE_SIGNATURE"}


def test_19_tag_moved_back(liar: Start, tmp_path: Path) -> None:
    """Attack 19: the tag goes back to an older image that is validly signed for it."""
    world = liar().world
    policy = world.policy(freshness=_RISING)
    memory = tmp_path / "seen.db"
    _release(world, 1)
    old = _newer(world, 2)
    assert _judge(world, memory, policy).allowed

    world.tag("1", old)

    assert errors(_judge(world, memory, policy)) == {"freshness": "ROLLBACK"}


def test_19_release_of_another_tag_or_repository(liar: Start, tmp_path: Path) -> None:
    """Attack 19: the older image has a high release, of another tag or another repository."""
    world = liar().world
    policy = world.policy(freshness=_RISING)
    memory = tmp_path / "seen.db"
    _release(world, 1)
    _release(world, 9, tags=["nightly"])
    _release(world, 9, repository=f"{world.repository.host}/apps/other")
    _release(world, 9, signer=MemorySigner())
    old = _newer(world, 2)
    assert _judge(world, memory, policy).allowed

    world.tag("1", old)

    assert errors(_judge(world, memory, policy)) == {"freshness": "ROLLBACK"}


def test_19_two_images_of_one_release(liar: Start, tmp_path: Path) -> None:
    """Attack 19: another image under the very number that was seen."""
    world = liar().world
    policy = world.policy(freshness=_RISING)
    memory = tmp_path / "seen.db"
    _release(world, 2)
    old = _newer(world, 2)
    assert _judge(world, memory, policy).allowed

    world.tag("1", old)

    assert errors(_judge(world, memory, policy)) == {"freshness": "ROLLBACK"}


def test_19_releases_hidden(liar: Start, tmp_path: Path) -> None:
    """Attack 19: the registry lists the signature alone, so that no release says anything."""
    world = liar().world
    policy = world.policy(freshness=_RISING)

    assert errors(_judge(world, tmp_path / "seen.db", policy)) == {"freshness": "NO_RELEASE"}


@pytest.mark.parametrize("rule", [_RISING, Freshness(monotonic=True, max_age=30 * _DAY)])
def test_20_clock_set_back_behind_what_was_seen(
    liar: Start, tmp_path: Path, rule: Freshness
) -> None:
    """Attack 20: the clock is behind what this verifier saw before."""
    world = liar().world
    policy = world.policy(freshness=rule)
    memory = tmp_path / "seen.db"
    _release(world, 1, time=NOW - 20 * _DAY)
    assert _judge(world, memory, policy).allowed

    assert errors(_judge(world, memory, policy, now=NOW - 10 * _DAY)) == {"freshness": "CLOCK"}
    assert _judge(world, memory, policy, now=NOW - timedelta(minutes=4)).allowed


def test_20_clock_set_back_behind_the_release(liar: Start, tmp_path: Path) -> None:
    """Attack 20: the clock is behind what was signed, on the first sight too."""
    world = liar().world
    policy = world.policy(freshness=Freshness(max_age=30 * _DAY))
    _release(world, 1, time=NOW)

    verdict = _judge(world, tmp_path / "seen.db", policy, now=NOW - _DAY)

    assert errors(verdict) == {"freshness": "CLOCK"}


def test_20_clock_set_back_behind_the_policy(liar: Start, tmp_path: Path) -> None:
    """Attack 20: the clock is behind the day on which the policy was issued; nothing is asked."""
    server = liar()
    policy = replace(server.world.policy(), issued=NOW + _DAY)

    assert errors(_judge(server.world, tmp_path / "seen.db", policy)) == {"policy": "CLOCK"}
    assert server.asked == []

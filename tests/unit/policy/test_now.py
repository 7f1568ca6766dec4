"""Until when a verdict holds: each check says it, and at that time the verdict is another one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from imagekit.policy.authorities import CLOCK_SKEW
from imagekit.policy.condition import VulnerabilityCondition
from imagekit.policy.now import Now
from imagekit.policy.ruleset import (
    Expression,
    Freshness,
    OpenedPolicy,
    PolicyException,
    RequiredAttestation,
)
from imagekit.signatures.release import (
    RELEASE,
    Release,
    release_predicate,
)
from tests.support.signed import NOW, World

_SECOND = timedelta(seconds=1)
_LATER = NOW + timedelta(minutes=9)
_HORIZON = NOW + timedelta(hours=1)
_DAY = timedelta(days=1)
_VULN = "https://cosign.sigstore.dev/attestation/vuln/v1"


def test_a_limit_to_come_ends_what_was_found() -> None:
    """One that is past never turns again; of several the first counts."""
    now = Now(NOW)

    assert not now.is_before(NOW)
    assert now.until is None
    assert now.is_before(_HORIZON)
    assert now.is_before(_LATER)
    assert now.until == _LATER


def test_ages() -> None:
    """What is young enough grows old at a time that is known; what is old stays old."""
    now = Now(NOW)

    assert now.is_older(NOW - _DAY - _SECOND, _DAY)
    assert now.until is None
    assert not now.is_older(NOW - _DAY, _DAY)
    assert now.until == NOW
    assert not Now(NOW).is_older(NOW, timedelta.max)


def test_what_is_from_the_future() -> None:
    """It is so until the clock comes close enough, also at the edge of the calendar."""
    now = Now(NOW)

    assert not now.is_behind(NOW + CLOCK_SKEW)
    assert now.until is None
    assert now.is_behind(_HORIZON)
    assert now.until == _HORIZON - CLOCK_SKEW
    assert not now.is_behind(datetime.min.replace(tzinfo=UTC))
    assert now.is_behind(datetime.max.replace(tzinfo=UTC))


def _expires(world: World) -> OpenedPolicy:
    world.sign()
    return replace(world.policy(), expires=_LATER)


def _warned(world: World) -> OpenedPolicy:
    return world.policy(warn_until=_LATER)


def _excepted(world: World) -> OpenedPolicy:
    exception = PolicyException(
        repository=world.repository,
        digest=world.image.digest,
        reason="r",
        owner="o",
        expires=_LATER,
    )
    return replace(world.policy(), exceptions=(exception,))


def _key(world: World) -> OpenedPolicy:
    world.sign()
    (rule,) = world.policy().images
    authorities = tuple(replace(one, not_after=_LATER) for one in rule.authorities)
    return replace(world.policy(), images=(replace(rule, authorities=authorities),))


def _release(world: World, time: datetime) -> None:
    release = Release(repository=world.repository.name, tags=("1",), sequence=1, time=time)
    world.attach(RELEASE, release_predicate(release))


def _age(world: World) -> OpenedPolicy:
    world.sign()
    _release(world, _LATER - _DAY)
    return world.policy(freshness=Freshness(max_age=_DAY))


def _scan(world: World) -> OpenedPolicy:
    world.sign()
    made = (_LATER - _DAY).isoformat()
    predicate = {
        "scanner": {"result": {"matches": []}},
        "metadata": {"scanFinishedOn": made},
    }
    world.attach(_VULN, predicate)
    (rule,) = world.policy().images
    required = RequiredAttestation(
        type="vuln",
        predicate_type=_VULN,
        authorities=rule.authorities,
        condition=VulnerabilityCondition(max_age=_DAY),
    )
    return replace(world.policy(), images=(replace(rule, attestations=(required,)),))


def _expression(world: World) -> OpenedPolicy:
    world.sign()
    text = f"now < timestamp('{_LATER.isoformat()}')"
    return world.policy(expressions=(Expression(cel=text),))


@pytest.mark.parametrize(
    "make",
    [_expires, _warned, _excepted, _key, _age, _scan, _expression],
)
def test_a_verdict_ends_where_it_says(make: Callable[[World], OpenedPolicy]) -> None:
    """A moment before that time the image is allowed; a moment after it, it is refused."""
    world = World()
    policy = make(world)

    verdict = world.judge(policy, horizon=_HORIZON)

    assert verdict.allowed
    assert verdict.until is not None
    assert abs(verdict.until - _LATER) <= _SECOND
    assert world.judge(policy, now=verdict.until - _SECOND).allowed
    assert not world.judge(policy, now=verdict.until + 2 * _SECOND).allowed


def test_a_verdict_that_only_its_policy_ends() -> None:
    """A rule that only warns ends nothing where it has nothing to warn of."""
    world = World()
    world.sign()
    policy = world.policy(warn_until=_LATER)

    assert world.judge(policy, horizon=_HORIZON).until == policy.expires


def test_an_expression_of_the_time_holds_for_a_moment_without_a_horizon() -> None:
    """Nobody has looked whether it will be true later."""
    world = World()

    assert world.judge(_expression(world)).until == NOW


def test_an_expression_that_stays_true_holds_to_the_horizon() -> None:
    """Beyond it nobody has looked."""
    world = World()
    world.sign()
    policy = world.policy(expressions=(Expression(cel="now > timestamp('2020-01-01T00:00:00Z')"),))

    assert world.judge(policy, horizon=_HORIZON).until == _HORIZON

"""Whether a policy is in force, and which of its rules decides on a name."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from imagekit.policy.force import not_in_force, rule_in_force
from imagekit.policy.now import Now
from imagekit.policy.ruleset import Policy
from tests.support.signed import World

DAY = datetime(2026, 11, 23, tzinfo=UTC)
POLICY = replace(World().policy(), issued=DAY, expires=DAY + timedelta(days=1))
NAME = World().repository.name


@pytest.mark.parametrize(
    ("after", "code"),
    [
        (timedelta(0), None),
        (timedelta(minutes=-4), None),
        (timedelta(minutes=-6), "CLOCK"),
        (timedelta(days=1, microseconds=-1), None),
        (timedelta(days=1), "POLICY_EXPIRED"),
    ],
)
def test_a_policy_is_in_force_between_two_times(after: timedelta, code: str | None) -> None:
    """From its issue to its expiry, give or take what clocks differ at its beginning."""
    fault = not_in_force(POLICY, Now(DAY + after))

    assert (fault and fault.code) == code


def test_the_rule_that_matches_decides() -> None:
    """And is named."""
    finding, rule = rule_in_force(POLICY, NAME, Now(DAY))

    assert rule == POLICY.images[0]
    assert finding.severity == "ok"


@pytest.mark.parametrize(
    ("policy", "name", "code"),
    [
        (POLICY, "other.site/a", "NO_POLICY"),
        (replace(POLICY, images=POLICY.images * 2), NAME, "AMBIGUOUS_POLICY"),
        (replace(POLICY, expires=DAY), NAME, "POLICY_EXPIRED"),
    ],
)
def test_otherwise_no_rule_decides(policy: Policy, name: str, code: str) -> None:
    """Neither the first of two that tie, nor one of a policy that is over."""
    finding, rule = rule_in_force(policy, name, Now(DAY))

    assert rule is None
    assert (finding.code, finding.severity) == (code, "error")

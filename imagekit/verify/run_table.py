"""Testing policies: each case of a table is judged, and compared with what is expected of it."""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from imagekit.clock import SystemClock
from imagekit.errors import ImagekitError
from imagekit.oci.registry.options import RegistryOptions
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.verify.expected import Expected, Table
from imagekit.verify.policies import load_unsigned
from imagekit.verify.rollback import ScratchRollbackStore
from imagekit.verify.sources import saved_reader
from imagekit.verify.verdict import Verdict
from imagekit.verify.verify import verify


class Tested(Struct, frozen=True, kw_only=True):
    """What came of one case."""

    case: Expected
    why_not: str
    """How it differs from what was expected; empty where it does not."""
    verdict: Verdict | None = None
    error: ImagekitError | None = None
    """Why there is no verdict."""

    @property
    def passed(self) -> bool:
        """Whether it came as expected."""
        return not self.why_not


class _FixedClock(Struct, frozen=True):
    """A clock that always gives one time."""

    time: datetime

    def now(self) -> datetime:
        return self.time


def policy_of(table: Table) -> OpenedPolicy:
    """Read the policy of a table.

    Raises:
        PolicyError: it cannot be accepted.
    """
    return load_unsigned(table.policy)


def run_table(table: Table, policy: OpenedPolicy, options: RegistryOptions) -> Iterator[Tested]:
    """Judge every case, and yield what came of it.

    Each case has a verifier of its own, who has seen what the case says and remembers nothing. The
    user's own memory is neither asked nor written.

    Args:
        table: the cases.
        policy: what is tested.
        options: how registries are reached, for cases without evidence.
    """
    present = SystemClock().now()
    for case in table.cases:
        yield _run(case, policy, options, now=case.now or table.now or present)


def _run(
    case: Expected, policy: OpenedPolicy, options: RegistryOptions, *, now: datetime
) -> Tested:
    reader = None if case.evidence is None else saved_reader(case.evidence)
    try:
        verdict = verify(
            case.reference,
            policy=policy,
            reader=reader,
            options=options,
            clock=_FixedClock(now),
            memory=ScratchRollbackStore(case.seen),
        )
    except ImagekitError as error:
        return Tested(
            case=case, error=error, why_not=f"expected {case.expect}, came no verdict at all"
        )
    return Tested(case=case, verdict=verdict, why_not=case.why_not(verdict))

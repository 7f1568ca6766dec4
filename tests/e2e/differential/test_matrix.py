"""Every case of the table judged by everybody: the verdicts are exactly those of the table."""

import pytest

from tests.e2e.differential.case import Case, letters
from tests.e2e.differential.matrix import Matrix
from tests.e2e.differential.table import CASES

pytestmark = [
    pytest.mark.real,
    # sigstore-python says of itself that Rekor v2 is young.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.mark.parametrize(
    ("case", "referrers"),
    [(case, referrers) for case in CASES for referrers in case.referrers],
    ids=lambda value: value.name if isinstance(value, Case) else ("api" if value else "tag"),
)
def test_verdicts(matrix: Matrix, case: Case, *, referrers: bool) -> None:
    """Who changes a verdict, be it us or a peer, is found here, and the table is to be mended."""
    row = matrix.row(case, referrers=referrers)

    said = f"{row.ours} | {letters(row.verdicts)}"
    assert said == f"{case.ours} | {case.peers}", row.details()
    assert row.command in {"", case.ours}


def test_names_are_unique() -> None:
    """No row hides another."""
    names = [case.name for case in CASES]

    assert len(names) == len(set(names))
    assert len(names) >= 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_never_laxer(case: Case) -> None:
    """What a peer refuses for the sake of security we refuse too; the rest has its reason."""
    assert bool(case.harmless) == bool(case.laxer)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stricter_has_a_reason(case: Case) -> None:
    """What we refuse and a peer accepts has its reason, and nothing else has one."""
    assert bool(case.why) == bool(case.stricter)

"""docs/check.md: every number has a row, and its remedy is the one that is shown."""

import re
from pathlib import Path

from imagekit.check.static.portability_finding import KINDS


def test_every_number_has_a_row(project: Path) -> None:
    """With its title and its remedy, and no row is of a number that there is not."""
    page = (project / "docs/check.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(IK\d{3})` \| (.*?) \| .*? \| (.*?) \|$", page, re.MULTILINE)

    assert rows == [(code, kind.title, kind.remedy) for code, kind in KINDS.items()]

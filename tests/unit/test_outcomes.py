"""The table of outcomes shows what tests noted, and fails where one of its rows was not seen."""

from pathlib import Path

import pytest

from tests.support import outcomes
from tests.support.outcomes import FOLDER, OPTIONAL, ROWS, main, noted


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where is noted what is seen, by a test that is no real one."""
    monkeypatch.setenv(FOLDER, str(tmp_path / "outcomes"))
    return tmp_path / "outcomes"


def test_a_table_with_every_row_is_good(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line each, whatever was said; what has a script of its own may be missing."""
    for name, who in ROWS:
        noted(name, who, "runs,\n| as root of its own")

    assert main() == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 + len(ROWS) + len(OPTIONAL)
    assert printed[2] == "| imagekit run, Podman | root | runs, / as root of its own |"
    assert "not run here: scripts/kubernetes" in "".join(printed)


def test_a_row_that_no_test_saw_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of each kind of user apart."""
    for name, who in ROWS[:-1]:
        noted(name, who, "runs")

    assert main() == 1
    assert capsys.readouterr().err == f"no test saw:\n{', '.join(ROWS[-1])}\n"


def test_what_is_no_row_is_not_noted(folder: Path) -> None:
    """A misspelt name would be missing elsewhere."""
    with pytest.raises(AssertionError, match="is no row"):
        noted("imagekit run, Podmann", outcomes.ROOT, "runs")


def test_without_a_folder_nothing_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when pytest is started by hand."""
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)

    noted(*ROWS[0], "runs")

    assert list(tmp_path.iterdir()) == []

"""The log of a build."""

from pathlib import Path

import pytest

from imagekit.adapters.journal import journal
from imagekit.errors import BuildError
from imagekit.model.event import Command, Event, Output


def test_everything_is_written_and_passed_on(tmp_path: Path) -> None:
    """Whoever shows progress sees what the log has."""
    told: list[Event] = []
    events: list[Event] = [Command(argv=("buildah", "run")), Output(stage="steps", line="hello")]

    with journal(tmp_path / "logs", "apps/solver", told.append) as tell:
        for event in events:
            tell(event)

    (log,) = (tmp_path / "logs").iterdir()
    assert told == events
    assert log.name.endswith("-apps-solver.log")
    assert log.read_text() == "$ buildah run\nhello\n"


def test_a_failed_build_names_its_log(tmp_path: Path) -> None:
    """The last lines in the error are not all that there is."""
    with pytest.raises(BuildError) as caught, journal(tmp_path, "x", lambda _: None):
        raise BuildError("it failed", hint="mend it")

    (log,) = tmp_path.iterdir()
    assert caught.value.hint == f"mend it\n   = the whole log: {log}"


def test_old_logs_go(tmp_path: Path) -> None:
    """The folder does not grow for ever."""
    for number in range(80):
        (tmp_path / f"2020-01-01T00-00-{number:02}-x.log").touch()

    with journal(tmp_path, "x", lambda _: None):
        pass

    assert len(list(tmp_path.iterdir())) == 50

"""The log of a build."""

import os
from pathlib import Path

import pytest

from imagekit.build.tools.journal import journal
from imagekit.errors import BuildError, ToolError
from imagekit.progress import Command, Event, Note, OutputLine


def test_everything_is_written_and_passed_on(tmp_path: Path) -> None:
    """Whoever shows progress sees what the log has."""
    told: list[Event] = []
    events: list[Event] = [
        Command(argv=("buildah", "run")),
        OutputLine(stage="steps", line="hello"),
    ]

    with journal(tmp_path / "logs", "apps/solver", told.append) as tell:
        for event in events:
            tell(event)

    (log,) = (tmp_path / "logs").iterdir()
    assert told == [Note(message=f"the whole log: {log}"), *events]
    assert log.name.endswith("-apps+solver.log")
    assert log.read_text() == "$ buildah run\nhello\n"


@pytest.mark.parametrize("kind", [BuildError, ToolError])
def test_a_failed_build_names_its_log(tmp_path: Path, kind: type[ToolError]) -> None:
    """The last lines in the error are not all that there is, whatever failed."""
    with pytest.raises(kind) as caught, journal(tmp_path, "x", lambda _: None):
        raise kind("it failed", hint="mend it")

    (log,) = tmp_path.iterdir()
    assert caught.value.hint == f"mend it\n   = the whole log: {log}"


def test_old_logs_go(tmp_path: Path) -> None:
    """The folder does not grow for ever."""
    for number in range(80):
        (tmp_path / f"2020-01-01T00-00-{number:02}-x.log").touch()

    with journal(tmp_path, "x", lambda _: None):
        pass

    assert len(list(tmp_path.iterdir())) == 50


def test_a_full_disk_is_said_where_it_happens(tmp_path: Path) -> None:
    """The log that cannot be written ends the build with the file and the remedy."""
    stamped: list[str] = []

    def link(event: Event) -> None:
        if not isinstance(event, Note):
            stamped.append(str(event))

    (tmp_path / "logs").mkdir()
    log = journal(tmp_path / "logs", "x", link)
    tell = log.__enter__()
    _exchange(next((tmp_path / "logs").iterdir()))

    with pytest.raises(ToolError, match="No space left") as caught:
        tell(OutputLine(stage="steps", line="x"))

    assert "make room" in caught.value.hint
    assert stamped == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A file in the place of the folder is no internal fault."""
    (tmp_path / "logs").touch()

    log = journal(tmp_path / "logs", "x", lambda _: None)

    with pytest.raises(ToolError, match="the log"):
        log.__enter__()


def _exchange(log: Path) -> None:
    """Let the open file of the log be the device that is always full."""
    inode = log.stat().st_ino
    (handle,) = (
        int(entry.name) for entry in Path("/proc/self/fd").iterdir() if _inode(entry) == inode
    )
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, handle)
    os.close(full)


def _inode(entry: Path) -> int:
    try:
        return entry.stat().st_ino
    except OSError:
        return 0

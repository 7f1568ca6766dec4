"""Finding the logs of builds."""

import os
from pathlib import Path

import pytest

from imagekit.build.logs import find_logs, last_log, logs_folder
from imagekit.build.tools.journal import journal
from imagekit.build.tools.storage import Folders
from imagekit.errors import NotFoundError
from imagekit.progress import silent


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Folders of a test."""
    return Folders(tmp_path / "data", tmp_path / "cache", tmp_path / "state")


def write(folders: Folders, name: str, seconds: int) -> None:
    """Write the log of a build that ended then."""
    before = {log.path for log in find_logs(folders)}
    with journal(logs_folder(folders), name, silent):
        pass
    (path,) = {log.path for log in find_logs(folders)} - before
    os.utime(path, (seconds, seconds))


def test_the_last_log_is_the_one_written_last(folders: Folders) -> None:
    """Names of files have the local time, which goes back once a year."""
    for name, seconds in (("b", 3000), ("a", 2000), ("a", 1000)):
        write(folders, name, seconds)

    assert [(log.name, log.written) for log in find_logs(folders)] == [
        ("b", 3000.0),
        ("a", 2000.0),
        ("a", 1000.0),
    ]
    assert last_log(folders, "a").written == 2000.0


def test_recipes_do_not_share_a_log(folders: Folders) -> None:
    """``a/b`` and ``a-b`` are two recipes."""
    write(folders, "a/b", 1000)

    assert last_log(folders, "a/b").written == 1000.0
    with pytest.raises(NotFoundError, match="no log of a build of a-b"):
        last_log(folders, "a-b")


def test_what_is_no_log_is_not_shown(folders: Folders, tmp_path: Path) -> None:
    """A link leads elsewhere; another file was put there by somebody."""
    write(folders, "a", 1000)
    stamp = "2026-01-01T00-00-00-abcdef"
    (logs_folder(folders) / f"{stamp}-a.log").symlink_to("/etc/shadow")
    (logs_folder(folders) / f"{stamp}-b.log").mkdir()
    (logs_folder(folders) / "notes.log").touch()

    assert [log.written for log in find_logs(folders)] == [1000.0]


def test_without_a_build_there_is_none(folders: Folders) -> None:
    """The error says where logs are."""
    with pytest.raises(NotFoundError) as missing:
        last_log(folders)

    assert str(logs_folder(folders)) in missing.value.hint

"""What a verifier remembers: it only rises, and a fault is told."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imagekit.errors import RollbackStoreError
from imagekit.oci.digest import Digest
from imagekit.verify.ports import HighWaterMark, RollbackStore
from imagekit.verify.rollback import (
    ReadOnlyRollbackStore,
    ScratchRollbackStore,
    SqliteRollbackStore,
    default_path,
)


def _seen(sequence: int) -> HighWaterMark:
    return HighWaterMark(sequence=sequence, digest=Digest.of(str(sequence).encode()))


@pytest.fixture
def memory(tmp_path: Path) -> SqliteRollbackStore:
    """A memory in a folder that does not exist yet."""
    return SqliteRollbackStore(tmp_path / "state" / "seen.db")


@pytest.mark.parametrize("scratch", [False, True])
def test_only_rises(memory: RollbackStore, *, scratch: bool) -> None:
    """The highest is kept, in whatever order they come; a new name was never seen."""
    memory = ScratchRollbackStore() if scratch else memory
    assert memory.highest("a:1") is None

    for sequence in (3, 7, 5):
        memory.remember("a:1", _seen(sequence))
    memory.remember("a:1", HighWaterMark(sequence=7, digest=Digest.of(b"other")))

    assert memory.highest("a:1") == _seen(7)
    assert memory.highest("a:2") is None


@pytest.mark.parametrize(
    ("sequence", "digest", "back"),
    [(6, "a", True), (7, "a", False), (7, "b", True), (8, "b", False)],
    ids=["lower", "the same", "another one of the same number", "higher"],
)
def test_what_goes_back(sequence: int, digest: str, *, back: bool) -> None:
    """One number is one thing for ever; that is the rule for images and for policies."""
    highest = HighWaterMark(sequence=7, digest=Digest.of(b"a"))
    mark = HighWaterMark(sequence=sequence, digest=Digest.of(digest.encode()))

    assert mark.goes_back_from(highest) is back


def test_many_at_once(memory: SqliteRollbackStore) -> None:
    """Writers at the same time lose nothing."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: memory.remember("a:1", _seen(n)), range(1, 41)))

    assert memory.highest("a:1") == _seen(40)


def test_no_database(tmp_path: Path) -> None:
    """A file that is none is a fault, and not an empty memory."""
    path = tmp_path / "seen.db"
    path.write_text("no database at all, but long enough to be looked at" * 40)

    with pytest.raises(RollbackStoreError, match="cannot be used"):
        SqliteRollbackStore(path).highest("a:1")


def test_of_the_future(tmp_path: Path) -> None:
    """A database of a later version is not guessed at."""
    path = tmp_path / "seen.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 9")
    database.close()

    with pytest.raises(RollbackStoreError, match="version 9"):
        SqliteRollbackStore(path).highest("a:1")


def test_folder_in_the_way(tmp_path: Path) -> None:
    """What cannot be made is a fault with its path."""
    (tmp_path / "file").write_text("")

    with pytest.raises(RollbackStoreError, match="file"):
        SqliteRollbackStore(tmp_path / "file" / "seen.db").remember("a", _seen(1))


def test_a_device_is_no_memory(tmp_path: Path) -> None:
    """A journal beside it would be left: in /dev, where root does it."""
    (tmp_path / "seen.db").symlink_to("/dev/null")

    with pytest.raises(RollbackStoreError, match="no plain file"):
        SqliteRollbackStore(tmp_path / "seen.db").remember("a:1", _seen(1))
    assert [each.name for each in tmp_path.iterdir()] == ["seen.db"]
    assert not Path("/dev/null-journal").exists()


def test_default_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It follows XDG, and takes no relative path."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "imagekit" / "seen.db"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert default_path().is_absolute()


def test_default_path_of_a_user_whom_nobody_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is never in the present folder: there everybody could say what had been seen."""
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 54321)
    monkeypatch.chdir(tmp_path)

    assert default_path() == Path("/.local/state/imagekit/seen.db")


def test_read_only(memory: SqliteRollbackStore) -> None:
    """What was seen is told, and nothing is added to it."""
    memory.remember("a:1", _seen(3))
    reading = ReadOnlyRollbackStore(memory)

    reading.remember("a:1", _seen(4))

    assert reading.highest("a:1") == memory.highest("a:1") == _seen(3)


def test_many_threads_share_one_memory(memory: SqliteRollbackStore) -> None:
    """Sixteen that write as fast as they can all come to their turn, and the highest is kept."""

    def write(number: int) -> None:
        for step in range(10):
            memory.remember("@clock", _seen(number + step))

    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(write, range(64)))

    assert memory.highest("@clock") == _seen(63 + 9)


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    """A second look at an image does not wait for the disk: the file stays as it is."""
    path = tmp_path / "seen.db"
    memory = SqliteRollbackStore(path)
    memory.remember("a:1", _seen(2))
    before = path.stat().st_mtime_ns
    path.chmod(0o400)
    memory.remember("a:1", _seen(2))
    memory.remember("a:1", _seen(1))

    assert path.stat().st_mtime_ns == before

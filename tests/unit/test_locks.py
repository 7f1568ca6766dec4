"""Locks of jobs: who holds one is left alone, whoever looks."""

import errno
import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest

from imagekit.errors import RegistryError, ToolError
from imagekit.locks import age, claimed, folder_held, held


def test_what_is_held_cannot_be_claimed(tmp_path: Path) -> None:
    """The holder may be on another host or in another PID namespace: only the lock counts."""
    lock = tmp_path / "locks/job.lock"

    with held(lock), claimed(lock) as free:
        assert not free
        assert lock.exists()


def test_what_its_holder_left_can_be_claimed(tmp_path: Path) -> None:
    """As after a kill: the file is there, and nobody holds it."""
    lock = tmp_path / "job.lock"
    lock.touch()

    with claimed(lock) as free:
        assert free

    assert not lock.exists()


def test_shared_holders_keep_a_sweeper_away_until_the_last(tmp_path: Path) -> None:
    """Two jobs read one chain of layers."""
    lock = tmp_path / "chain.lock"

    with held(lock, shared=True, keep=True):
        with held(lock, shared=True, keep=True):
            pass
        with claimed(lock) as free:
            assert not free

    with claimed(lock) as free:
        assert free


def test_a_lock_on_a_removed_file_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waited for it takes the new file, which others see too."""
    lock = tmp_path / "job.lock"
    real = fcntl.flock
    taken: list[int] = []

    def flock(handle: int, how: int) -> None:
        if not taken:
            lock.unlink()
        taken.append(how)
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)

    with held(lock), claimed(lock) as free:
        assert not free


def test_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one, another build would take this one for dead."""

    def flock(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)

    with pytest.raises(ToolError, match="supports no locks"), held(tmp_path / "job.lock"):
        pass


def test_a_lock_that_another_host_removed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On NFS whoever waited for it learns so by ESTALE, and takes the new file."""
    real = fcntl.flock
    stale = [OSError(errno.ESTALE, os.strerror(errno.ESTALE))]

    def flock(handle: int, how: int) -> None:
        if stale:
            raise stale.pop()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)

    with held(tmp_path / "job.lock"), claimed(tmp_path / "job.lock") as free:
        assert not free


def test_a_folder_is_held_by_a_file_that_nfs_can_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is open for writing; a lock on the folder itself would be this host's alone."""
    real = fcntl.flock
    locked: list[bool] = []

    def flock(handle: int, how: int) -> None:
        writable = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
        locked.append(stat.S_ISREG(os.fstat(handle).st_mode) and writable)
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)

    with folder_held(tmp_path), claimed(tmp_path / ".lock") as free:
        assert not free

    assert locked == [True, True]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_not_held() -> None:
    """And it is said which."""
    with (
        pytest.raises(RegistryError, match="the folder /proc/self"),
        folder_held(Path("/proc/self")),
    ):
        pass


def test_age_counts_from_the_last_use(tmp_path: Path) -> None:
    """And what was never used is not old."""
    lock = tmp_path / "chain.lock"
    unknown = age(lock, 1000.0)
    lock.touch()
    os.utime(lock, (100, 100))

    assert unknown == 0
    assert age(lock, 1000.0) == 900


def test_who_waits_is_told_before_it_waits(tmp_path: Path) -> None:
    """Whoever watches sees why nothing happens; who need not wait is not told."""
    lock, told = tmp_path / "layer.lock", threading.Event()
    with held(lock, waiting=told.set):
        assert not told.is_set()
        got = threading.Event()

        def wait() -> None:
            with held(lock, waiting=told.set):
                got.set()

        other = threading.Thread(target=wait)
        other.start()
        assert told.wait(20)
        assert not got.is_set()

    assert got.wait(20)
    other.join()

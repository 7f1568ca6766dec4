"""What a step changed comes back as it was: all of it, and nothing else."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.build import layer, tree_snapshot
from imagekit.build.marks import Marks
from imagekit.build.restore import restore
from imagekit.errors import ToolError

_TIME = 1_700_000_000_123_456_789


def _tree(root: Path) -> Path:
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/tool").write_text("tool")
    (root / "usr/bin/same").hardlink_to(root / "usr/bin/tool")
    (root / "etc/deep/er").mkdir(parents=True)
    (root / "etc/deep/er/file").write_text("x")
    (root / "etc/name").write_text("x")
    (root / "link").symlink_to("etc")
    for path in root.rglob("*"):
        os.utime(path, (5, 5), follow_symlinks=False)
    return root


def _folder_to_link(root: Path) -> None:
    (root / "etc").rename(root / "old")
    (root / "etc").symlink_to("old")


def _link_to_folder(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").mkdir()
    (root / "link/in").write_text("y")


def _file_to_folder(root: Path) -> None:
    (root / "etc/name").unlink()
    (root / "etc/name/below").mkdir(parents=True)


def _folder_to_file(root: Path) -> None:
    (root / "etc/deep/er/file").unlink()
    (root / "etc/deep/er").rmdir()
    (root / "etc/deep/er").write_text("y")


def _times(root: Path) -> None:
    (root / "new").write_text("y" * 3_000_000)
    os.utime(root / "new", ns=(_TIME, _TIME))
    (root / "before").symlink_to("\udcff")
    os.utime(root / "before", ns=(-_TIME, -_TIME), follow_symlinks=False)
    os.utime(root / "etc/deep", ns=(_TIME, _TIME))
    (root / "etc/deep").chmod(0o700)


def _attributes(root: Path) -> None:
    os.setxattr(root / "usr/bin/tool", "user.a", b"\xff\0b")
    os.setxattr(root / "etc", "user.b", b"")
    (root / "usr/bin/su").write_text("x")
    (root / "usr/bin/su").chmod(0o4755)
    os.mkfifo(root / "fifo", 0o622)


def _links(root: Path) -> None:
    (root / "usr/bin/third").hardlink_to(root / "usr/bin/tool")
    (root / "a").write_text("a")
    (root / "z").hardlink_to(root / "a")


def _gone(root: Path) -> None:
    (root / "usr/bin/tool").unlink()
    (root / "etc/deep/er/file").unlink()
    (root / "link").unlink()


def _nothing(root: Path) -> None:
    """Change nothing."""


_STEPS = (
    *(_folder_to_link, _link_to_folder, _file_to_folder, _folder_to_file),
    *(_times, _attributes, _links, _gone, _nothing),
)


def _states(root: Path) -> dict[str, object]:
    """Return all of a tree that shows in it, without what only the kernel counts."""
    first: dict[int, str] = {}
    states: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        name = str(path.relative_to(root))
        kind = stat.S_IFMT(status.st_mode)
        content: object = b""
        if kind == stat.S_IFREG:
            content = path.read_bytes(), first.setdefault(status.st_ino, name)
        elif kind == stat.S_IFLNK:
            content = path.readlink()
        owner = status.st_uid, status.st_gid
        known = [
            (key, os.getxattr(path, key, follow_symlinks=False))
            for key in sorted(os.listxattr(path, follow_symlinks=False))
        ]
        # The time of a folder in which something came and went is no change of it.
        time = 0 if kind == stat.S_IFDIR and name != "etc/deep" else status.st_mtime_ns
        states[name] = (status.st_mode, owner, content, known, time)
    return states


def _saved(root: Path, step: Callable[[Path], None], archive: Path) -> None:
    before = tree_snapshot.take(root)
    step(root)
    changes = tree_snapshot.changes(before, tree_snapshot.take(root))
    with archive.open("wb") as file:
        layer.save(root, changes, file, marks=Marks())


@pytest.mark.parametrize("step", _STEPS)
def test_a_step_comes_back(tmp_path: Path, step: Callable[[Path], None]) -> None:
    """Content, owners, modes, attributes, links, times to the nanosecond, and what is gone."""
    done, again = _tree(tmp_path / "done"), _tree(tmp_path / "again")
    _saved(done, step, tmp_path / "archive")

    with (tmp_path / "archive").open("rb") as file:
        restore(again, file)

    assert _states(again) == _states(done)


@pytest.mark.root
def test_owners_come_back(tmp_path: Path) -> None:
    """Also that of a link, and set-user-ID with another owner."""

    def step(root: Path) -> None:
        os.chown(root / "usr/bin/tool", 7, 8)
        (root / "usr/bin/tool").chmod(0o4755)
        os.chown(root / "link", 9, 10, follow_symlinks=False)
        os.chown(root / "etc", 11, 12)

    done, again = _tree(tmp_path / "done"), _tree(tmp_path / "again")
    _saved(done, step, tmp_path / "archive")
    with (tmp_path / "archive").open("rb") as file:
        restore(again, file)

    assert _states(again) == _states(done)
    assert (again / "usr/bin/tool").stat().st_mode & stat.S_ISUID


@pytest.mark.parametrize("length", [0, 20, -1, -12])
def test_a_damaged_archive_is_an_error(tmp_path: Path, length: int) -> None:
    """Wherever it ends too early, also in the last bytes, which hold the checksum."""
    _saved(_tree(tmp_path / "done"), _times, tmp_path / "archive")
    raw = (tmp_path / "archive").read_bytes()
    (tmp_path / "archive").write_bytes(raw[:length])

    with (tmp_path / "archive").open("rb") as file, pytest.raises(ToolError, match="cannot be put"):
        restore(_tree(tmp_path / "again"), file)


def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    """Whoever put it there: nothing is written outside of the tree."""
    _saved(_tree(tmp_path / "done"), _times, tmp_path / "archive")
    again = _tree(tmp_path / "again")
    (tmp_path / "host/deep").mkdir(parents=True)
    (again / "etc").rename(again / "old")
    (again / "etc").symlink_to(tmp_path / "host")
    before = (tmp_path / "host/deep").stat()

    # The link is replaced by the folder that the archive has.
    with (tmp_path / "archive").open("rb") as file:
        restore(again, file)

    assert (tmp_path / "host/deep").stat() == before
    assert not (again / "etc").is_symlink()

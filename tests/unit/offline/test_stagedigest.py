"""One digest binds everything in a staged folder, and nothing is followed out of it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.errors import IntegrityError, RegistryError
from imagekit.oci.digest import Digest
from imagekit.offline.stagedigest import file_digest, tree_digest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a file, a folder and a link."""
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/tool").write_bytes(b"tool")
    (root / "bin/tool").chmod(0o755)
    (root / "link").symlink_to("bin/tool")
    return root


def _digest(root: Path) -> Digest:
    return tree_digest([("", root)])


def test_times_and_place_do_not_matter(tree: Path) -> None:
    """The same files elsewhere, later, have the same digest."""
    before = _digest(tree)
    os.utime(tree / "bin/tool", (1, 1))

    assert _digest(tree.rename(tree.with_name("moved"))) == before


def _changed_content(tree: Path) -> None:
    (tree / "bin/tool").write_bytes(b"evil")


def _changed_mode(tree: Path) -> None:
    (tree / "bin/tool").chmod(0o4755)


def _changed_target(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").symlink_to("/bin/sh")


def _link_for_file(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").write_bytes(b"bin/tool")


def _added(tree: Path) -> None:
    (tree / "empty").mkdir()


def _removed(tree: Path) -> None:
    (tree / "link").unlink()


def _renamed(tree: Path) -> None:
    (tree / "bin/tool").rename(tree / "bin/tools")


def _moved(tree: Path) -> None:
    (tree / "bin/tool").rename(tree / "tool")


def _fifo(tree: Path) -> None:
    os.mkfifo(tree / "fifo")


@pytest.mark.parametrize(
    "change",
    [
        _changed_content,
        _changed_mode,
        _changed_target,
        _link_for_file,
        _added,
        _removed,
        _renamed,
        _moved,
        _fifo,
    ],
)
def test_every_change_is_seen(tree: Path, change: Callable[[Path], None]) -> None:
    """Contents, permissions, kinds, names and targets."""
    before = _digest(tree)
    change(tree)

    assert _digest(tree) != before


def test_a_file_cannot_pretend_to_be_two(tmp_path: Path) -> None:
    """A newline in a name is no end of a line in the list."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (one / "a\nb").touch()
    (two / "a").touch()
    (two / "b").touch()

    assert _digest(one) != _digest(two)


def test_roots_are_told_apart(tree: Path, tmp_path: Path) -> None:
    """What belongs to one layer does not count for another."""
    empty = tmp_path / "empty"
    empty.mkdir()

    assert tree_digest([("a", tree), ("b", empty)]) != tree_digest([("a", empty), ("b", tree)])


def test_a_file_has_its_own_digest(tmp_path: Path) -> None:
    """As sha256sum prints it."""
    (tmp_path / "f").write_bytes(b"x")

    assert file_digest(tmp_path / "f") == Digest.of(b"x")


def test_a_link_is_no_file(tmp_path: Path) -> None:
    """It would be exchanged after the check."""
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "l").symlink_to("f")

    with pytest.raises(RegistryError):
        file_digest(tmp_path / "l")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """It is no file either."""
    os.mkfifo(tmp_path / "f")

    with pytest.raises(IntegrityError):
        file_digest(tmp_path / "f")


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """And not an empty one."""
    with pytest.raises(RegistryError):
        _digest(tmp_path / "none")

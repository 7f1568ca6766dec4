"""Files of a host or of a tree: written whole, and never outside of the root."""

import os
import stat
from pathlib import Path, PurePosixPath

import pytest

from imagekit.errors import InputError, ToolError
from imagekit.hosts.hostfiles import HostFiles

FILE = PurePosixPath("/etc/containers/policy.json")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree for nodes to boot."""
    folder = tmp_path / "tree"
    (folder / "etc/containers").mkdir(parents=True)
    return folder


def test_a_link_in_the_place_of_a_file_is_kept(tree: Path) -> None:
    """What it means in the tree is what is read, replaced and removed."""
    (tree / "site").mkdir()
    (tree / "site/policy").write_text("old")
    (tree / "etc/containers/policy.json").symlink_to("/site/policy")
    files = HostFiles(tree)

    assert files.read(FILE) == b"old"
    files.write(FILE, b"new")

    assert (tree / "site/policy").read_text() == "new"
    assert (tree / "etc/containers/policy.json").is_symlink()
    files.remove(FILE)
    assert not (tree / "site/policy").exists()


def test_a_link_to_nowhere_is_told(tree: Path) -> None:
    """With what is to be made."""
    (tree / "etc/containers/policy.json").symlink_to("/site/policy")

    assert HostFiles(tree).read(FILE) is None
    with pytest.raises(ToolError, match="No such file") as caught:
        HostFiles(tree).write(FILE, b"new")
    assert "leads to nothing" in caught.value.hint


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_only_a_file_is_replaced(tree: Path, kind: str) -> None:
    """And a FIFO is not waited for."""
    odd = tree / "etc/containers/policy.json"
    os.mkfifo(odd) if kind == "fifo" else odd.mkdir()

    with pytest.raises(InputError, match="regular file"):
        HostFiles(tree).read(FILE)
    with pytest.raises(ToolError, match="something else"):
        HostFiles(tree).write(FILE, b"new")


def test_modes_are_kept_and_copies_are_roots(tree: Path) -> None:
    """A daemon.json may hold what only root may read, and so may the copy that is kept of it."""
    (tree / "etc/containers/policy.json").write_text("old")
    (tree / "etc/containers/policy.json").chmod(0o600)
    files = HostFiles(tree)

    digest = files.keep(files.read(FILE) or b"")
    files.write(FILE, b"new")
    files.write(FILE.with_name("other"), b"new")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tree.rglob("*")}
    assert modes["policy.json"] == 0o600
    assert modes[digest.hex] == 0o600
    assert modes["other"] == 0o644
    assert files.kept(digest) == b"old"


@pytest.mark.parametrize("path", ["etc/x", "/etc/../x", ""])
def test_only_paths_from_the_root_are_taken(tree: Path, path: str) -> None:
    """A record may come from a stranger's tree."""
    with pytest.raises(InputError, match="not a path from the root"):
        HostFiles(tree).read(PurePosixPath(path))


def test_two_slashes_are_one(tree: Path) -> None:
    """POSIX leaves it open what a path with two at its beginning is."""
    (tree / "etc/x").write_text("x")

    assert HostFiles(tree).read(PurePosixPath("//etc/x")) == b"x"


def test_empty_folders_go_with_a_file_and_the_root_stays(tmp_path: Path) -> None:
    """Whatever was made for it."""
    (tmp_path / "tree").mkdir()
    files = HostFiles(tmp_path / "tree")
    files.write(FILE, b"new")

    files.remove(FILE)
    files.remove(FILE)

    assert list((tmp_path / "tree").iterdir()) == []

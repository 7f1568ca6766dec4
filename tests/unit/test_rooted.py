"""A path inside a root is resolved inside it, whatever its links say."""

import os
from pathlib import Path

import pytest

from imagekit import rooted


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root file system, and outside of it a file that must never be reached."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("host")
    folder = tmp_path / "root"
    (folder / "etc/sub").mkdir(parents=True)
    (folder / "opt").mkdir()
    (folder / "opt/file").write_text("image")
    return folder


@pytest.mark.parametrize(
    "target",
    [
        "/opt/file",
        "../opt/file",
        "../../../opt/file",
        "/../../opt/file",
        "//opt/./file",
        "sub/../../opt/file",
        "/etc/sub/../../opt/file",
    ],
)
def test_a_link_means_what_it_means_in_the_tree(root: Path, target: str) -> None:
    """Absolute, or with more ``..`` than there are folders: as after chroot(2)."""
    (root / "etc/link").symlink_to(target)

    assert rooted.read(root, "/etc/link", limit=100) == b"image"


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("where", ["etc/link", "etc/link/file"])
def test_no_link_leads_out(root: Path, tmp_path: Path, absolute: bool, where: str) -> None:  # noqa: FBT001 - a parameter
    """To a file or to a folder, at the end of the path or on its way."""
    target = f"{tmp_path if absolute else '../..'}/outside"
    (root / "etc/link").symlink_to(f"{target}/file" if where == "etc/link" else target)

    with pytest.raises(OSError, match="No such file"):
        rooted.read(root, where, limit=100)


def test_dots_of_the_path_stay_below_the_root(root: Path) -> None:
    """The parent of the root is the root."""
    assert rooted.read(root, "../../opt/file", limit=100) == b"image"


def test_a_missing_folder_is_not_skipped_by_dots(root: Path) -> None:
    """As the kernel has it: ``missing/..`` is nowhere."""
    with pytest.raises(FileNotFoundError):
        rooted.read(root, "missing/../opt/file", limit=100)


def test_links_that_lead_to_each_other_end(root: Path) -> None:
    """And so does a chain that grows as it is read."""
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    (root / "c").symlink_to("etc/../" * 500 + "c")

    for name in ("a", "c"):
        with pytest.raises(OSError, match="symbolic links"):
            rooted.read(root, name, limit=1)


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_only_a_regular_file_is_read(root: Path, kind: str) -> None:
    """A FIFO would block for ever; a link is one where it is not to be followed."""
    if kind == "fifo":
        os.mkfifo(root / "odd")
    elif kind == "folder":
        (root / "odd").mkdir()
    else:
        (root / "odd").symlink_to("opt/file")

    with pytest.raises(OSError, match=r"regular file|symbolic links"):
        rooted.read(root, "odd", limit=1, follow=False)


def test_folders_are_made_inside_only(root: Path, tmp_path: Path) -> None:
    """What a link leads to is used where it is there, and not made where it is not."""
    (root / "etc/real").symlink_to("/opt")
    (root / "etc/dangling").symlink_to(tmp_path / "made")

    rooted.make_folder(root, "etc/real/below/it")
    with pytest.raises(OSError, match="No such file"):
        rooted.make_folder(root, "etc/dangling/below")

    assert (root / "opt/below/it").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "root"]


def test_no_handle_stays_open(root: Path) -> None:
    """Neither after a success nor after a failure."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    rooted.read(root, "opt/file", limit=1)
    for path in ("no/file", "opt/no", "opt", "..", "opt/file/x"):
        with pytest.raises(OSError, match=r"No such|Not a|Is a|regular"):
            rooted.read(root, path, limit=1)

    assert len(list(Path("/proc/self/fd").iterdir())) == before

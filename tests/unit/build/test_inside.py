"""Files of a mounted image are reached without ever leaving it."""

import os
import stat
from pathlib import Path

import pytest

from imagekit.build import inside
from imagekit.build.snapshot import EMPTY
from imagekit.build.tidy import tidy_bootstrap, tidy_mount_points
from imagekit.errors import BuildError


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder of the host that no image may reach."""
    folder = tmp_path / "host"
    (folder / "apt").mkdir(parents=True)
    (folder / "hosts").write_text("")
    (folder / "passwd").write_text("root")
    return folder


@pytest.fixture
def root(tmp_path: Path, host: Path) -> Path:
    """An image whose /etc is a link to the host's."""
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "etc").symlink_to(host)
    return folder


def test_nothing_is_written_through_a_linked_folder(root: Path, host: Path) -> None:
    """Whatever the depth at which the link stands."""
    for name in ("etc/hosts", "etc/apt/sources.list", "etc/new/file"):
        with pytest.raises(BuildError, match="cannot be written in the image"):
            inside.place(root, name, "evil")

    assert sorted(path.name for path in host.rglob("*")) == ["apt", "hosts", "passwd"]
    assert not (host / "hosts").read_text()


def test_nothing_is_removed_through_a_linked_folder(root: Path, host: Path) -> None:
    """A file of the host stays."""
    inside.remove(root, "etc/hosts")
    tidy_mount_points(root, EMPTY)

    assert (host / "hosts").exists()
    assert (root / "etc").is_symlink()


def test_nothing_is_read_through_a_linked_folder(root: Path) -> None:
    """The host's files are not there, as far as the image goes."""
    assert inside.read(root, "etc/passwd", limit=100) is None
    assert inside.files(root, "etc") == ()
    assert not inside.is_file(root, "etc/passwd")


def test_a_linked_file_is_replaced_and_its_target_stays(root: Path, host: Path) -> None:
    """The last name may be a link too; it is the link that goes."""
    (root / "conf").symlink_to(host / "passwd")

    inside.place(root, "conf", "ours")

    assert (host / "passwd").read_text() == "root"
    assert not (root / "conf").is_symlink()
    assert (root / "conf").read_text() == "ours"


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_only_regular_files_are_read(root: Path, host: Path, kind: str) -> None:
    """A FIFO would block for ever."""
    path = root / "odd"
    if kind == "link":
        path.symlink_to(host / "passwd")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()

    assert inside.read(root, "odd", limit=100) is None


def test_a_folder_in_the_place_of_a_file_is_an_error(root: Path) -> None:
    """It is told as the image's fault, not as ours."""
    (root / "conf").mkdir()

    with pytest.raises(BuildError, match="/conf cannot be written"):
        inside.place(root, "conf", "x")


def test_reading_is_bounded(root: Path) -> None:
    """No more than asked for."""
    (root / "large").write_text("x" * 100)

    assert inside.read(root, "large", limit=10) == b"x" * 10


def test_missing_folders_are_made_and_modes_set(root: Path) -> None:
    """Whatever the umask says."""
    previous = os.umask(0o077)
    try:
        inside.place(root, "usr/sbin/policy-rc.d", "#!/bin/sh\n", mode=0o755)
    finally:
        os.umask(previous)

    assert stat.S_IMODE((root / "usr/sbin/policy-rc.d").stat().st_mode) == 0o755


def test_names_of_a_folder_are_sorted(root: Path) -> None:
    """So that what is made of them is the same everywhere."""
    (root / "lists").mkdir()
    for name in ("b", "a", "c"):
        (root / "lists" / name).touch()

    assert inside.files(root, "lists") == ("a", "b", "c")


def test_mount_points_that_the_image_lacked_are_removed(tmp_path: Path) -> None:
    """Buildah leaves empty files; what holds something is the image's own."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").touch()
    (tmp_path / "etc/hostname").write_text("mine\n")

    tidy_mount_points(tmp_path, EMPTY)

    assert [path.name for path in (tmp_path / "etc").iterdir()] == ["hostname"]


def test_an_etc_of_mount_points_only_goes_too(tmp_path: Path) -> None:
    """An image from scratch has no /etc unless it made one."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").touch()

    tidy_mount_points(tmp_path, EMPTY)

    assert list(tmp_path.iterdir()) == []


def test_a_new_system_has_no_identity_and_no_host_files(tmp_path: Path) -> None:
    """The same on every host."""
    (tmp_path / "etc/apt").mkdir(parents=True)
    (tmp_path / "etc/machine-id").write_text("0123\n")
    (tmp_path / "etc/hostname").write_text("builder7\n")
    (tmp_path / "etc/apt/sources.list").write_text("deb http://site.example/debian x main\n")

    tidy_bootstrap(tmp_path)

    assert not (tmp_path / "etc/machine-id").read_text()
    assert (tmp_path / "etc/hostname").read_text() == "localhost\n"
    assert "site.example" not in (tmp_path / "etc/apt/sources.list").read_text()
    assert not (tmp_path / "var").exists()

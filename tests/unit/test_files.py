"""Files that options name: devices are written through, links stay, plain files are replaced."""

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagekit.errors import ToolError
from imagekit.files import is_stdout, output, write_output


@pytest.fixture(autouse=True)
def _mask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def _left(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    """As a shell makes it; nothing else is left."""
    write_output(tmp_path / "a", b"x")

    assert (tmp_path / "a").read_bytes() == b"x"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert _left(tmp_path) == ["a"]


def test_a_plain_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    """Whoever reads the old one goes on reading it."""
    file = tmp_path / "a"
    file.write_bytes(b"old")
    file.chmod(0o604)
    with file.open("rb") as reader:
        write_output(file, b"new")

        assert reader.read() == b"old"
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o604


def test_a_file_stays_where_writing_fails(tmp_path: Path) -> None:
    """And nothing of the new one is left."""
    (tmp_path / "a").write_bytes(b"old")

    def written_half() -> None:
        with output(tmp_path / "a") as made:
            made.write(b"new")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        written_half()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert _left(tmp_path) == ["a"]


def test_the_same_bytes_change_nothing(tmp_path: Path) -> None:
    """The file is the one that was there."""
    file = tmp_path / "a"
    file.write_bytes(b"same")
    before = file.stat()

    with output(file) as made:
        made.write(b"same")

    assert not made.changed
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_leads_to_the_new_file(
    tmp_path: Path,
    there: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """Over several links, also where the file is still to be made."""
    (tmp_path / "far").mkdir()
    if there:
        (tmp_path / "far/file").write_bytes(b"old")
    (tmp_path / "two").symlink_to("far/file")
    (tmp_path / "one").symlink_to(tmp_path / "two")

    write_output(tmp_path / "one", b"new")

    assert (tmp_path / "one").is_symlink()
    assert (tmp_path / "two").is_symlink()
    assert (tmp_path / "far/file").read_bytes() == b"new"


def test_a_fifo_is_written_through(tmp_path: Path) -> None:
    """Whoever reads it gets all bytes, and it is still there."""
    os.mkfifo(tmp_path / "fifo")
    raw = os.urandom(300_000)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "fifo").read_bytes()))
    reader.start()

    write_output(tmp_path / "fifo", raw)
    reader.join(10)

    assert read == [raw]
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_a_device_is_written_through() -> None:
    """Root has made a file of /dev/null before; a link to it is followed."""
    write_output(Path("/dev/null"), b"x")

    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_link_to_a_device_is_followed(tmp_path: Path) -> None:
    """Neither is replaced."""
    (tmp_path / "a").symlink_to("/dev/null")

    write_output(tmp_path / "a", b"x")

    assert (tmp_path / "a").is_symlink()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_device_that_takes_nothing_says_so() -> None:
    """A full disk is not passed over."""
    with pytest.raises(ToolError, match="No space left"):
        write_output(Path("/dev/full"), b"x" * 100_000)


def test_a_folder_and_a_socket_are_refused(tmp_path: Path) -> None:
    """They stay."""
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))

        for name in ("folder", "s"):
            with pytest.raises(OSError, match=r"directory|socket"):
                write_output(tmp_path / name, b"x")
    assert _left(tmp_path) == ["folder", "s"]


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_standard_output_is_written_through(tmp_path: Path, name: str, kind: str) -> None:
    """Also where it is a plain file that others append to."""
    code = (
        "import sys; from pathlib import Path; from imagekit.files import write_output; "
        "write_output(Path(sys.argv[1]), b'mine')"
    )
    argv = [sys.executable, "-c", code, name]
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    log = tmp_path / "log"
    log.write_bytes(b"before ")
    if kind == "pipe":
        said = subprocess.run(argv, env=env, cwd=tmp_path, check=True, capture_output=True).stdout
        assert said == b"mine"
        return
    with log.open("ab") as stdout:
        subprocess.run(argv, env=env, cwd=tmp_path, check=True, stdout=stdout)
        stdout.write(b" after")
    assert log.read_bytes() == b"before mine after"
    assert _left(tmp_path) == ["log"]


def test_a_descriptor_of_the_shell_is_written_through() -> None:
    """As in -o >(gzip > x)."""
    read, write = os.pipe()
    write_output(Path(f"/dev/fd/{write}"), b"x")
    os.close(write)

    assert os.read(read, 10) == b"x"
    os.close(read)


def test_which_path_is_standard_output(tmp_path: Path) -> None:
    """By where it leads; its name alone says nothing."""
    (tmp_path / "a").symlink_to("/dev/stdout")

    assert all(is_stdout(each) for each in (Path("-"), Path("/dev/stdout"), tmp_path / "a"))
    assert not any(is_stdout(Path(each)) for each in ("1", "/dev/stderr", "/dev/null", "/x/fd/1"))


@pytest.mark.skipif(os.geteuid() != 0, reason="makes another user's link")
@pytest.mark.parametrize("there", [True, False])
def test_another_users_link_in_a_folder_for_everybody_is_not_followed(
    tmp_path: Path,
    there: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """Root would write where that user wants."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    if there:
        (tmp_path / "roots").write_bytes(b"old")
    for name, owner in (("own", 0), ("strangers", 12345)):
        (tmp_path / "tmp" / name).symlink_to(tmp_path / "roots")
        os.lchown(tmp_path / "tmp" / name, owner, owner)

    with pytest.raises(PermissionError, match="another user's"):
        write_output(tmp_path / "tmp/strangers", b"x")
    assert (tmp_path / "roots").exists() == there
    write_output(tmp_path / "tmp/own", b"new")
    assert (tmp_path / "roots").read_bytes() == b"new"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away")
def test_a_file_keeps_its_owner(tmp_path: Path) -> None:
    """Who runs this as root does not take it away."""
    (tmp_path / "a").write_bytes(b"old")
    os.chown(tmp_path / "a", 12345, 12345)

    write_output(tmp_path / "a", b"new")

    found = (tmp_path / "a").stat()
    assert (found.st_uid, found.st_gid) == (12345, 12345)

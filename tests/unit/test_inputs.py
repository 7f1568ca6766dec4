"""Whole files are read by one rule: bounded in bytes, and in time."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit import inputs
from imagekit.inputs import read_input, read_regular

Read = Callable[..., bytes]
BOTH = pytest.mark.parametrize("read", [read_input, read_regular])


def _refused(read: Read, path: Path, number: int, **options: bool) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        read(path, limit=8, **options)
    assert caught.value.errno == number


@BOTH
@pytest.mark.parametrize("raw", [b"", b"1234567", b"12345678"])
def test_all_of_a_file_is_read(tmp_path: Path, read: Read, raw: bytes) -> None:
    """As long as it is not longer than it may be."""
    path = tmp_path / "f"
    path.write_bytes(raw)

    assert read(path, limit=8) == raw


@BOTH
def test_a_file_that_is_too_large_is_refused(tmp_path: Path, read: Read) -> None:
    """It is not cut: half a list of users is another list."""
    path = tmp_path / "f"
    path.write_bytes(b"123456789")

    _refused(read, path, errno.EFBIG)


@BOTH
def test_an_endless_file_is_refused(read: Read) -> None:
    """A device has no end, and is not waited for."""
    _refused(read, Path("/dev/zero"), errno.EFBIG if read is read_input else errno.EINVAL)


@BOTH
def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path, read: Read) -> None:
    """By what the system calls them."""
    _refused(read, tmp_path, errno.EISDIR if read is read_input else errno.EINVAL)
    _refused(read, tmp_path / "none", errno.ENOENT)


def test_a_link_is_followed_where_it_may_be(tmp_path: Path) -> None:
    """Kubernetes mounts secrets as links; a link in a layout leads out of it."""
    (tmp_path / "f").write_bytes(b"x")
    link = tmp_path / "link"
    link.symlink_to("f")

    assert read_regular(link, limit=8) == b"x"
    _refused(read_regular, link, errno.ELOOP, follow=False)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """Whoever writes it may begin late and make pauses."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pause = threading.Event()

    def write() -> None:
        pause.wait(0.1)
        with pipe.open("wb", buffering=0) as file:
            file.write(b"ab")
            pause.wait(0.1)
            file.write(b"cd")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert read_input(pipe, limit=8) == b"abcd"
    finally:
        writer.join()


def test_a_pipe_that_nobody_writes_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file is looked for, a pipe is refused at once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(inputs, "_WAIT", 0.1)

    _refused(read_input, pipe, errno.ETIMEDOUT)
    _refused(read_regular, pipe, errno.EINVAL)

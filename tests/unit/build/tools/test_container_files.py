"""What is copied from a recipe depends on what its digest covers, and on nothing else."""

import os
import stat
from pathlib import Path

import pytest

from imagekit.build.tools.build_container import _settle


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder as a checkout, a browser and an umask leave it."""
    folder = tmp_path / "copied"
    folder.mkdir(mode=0o700)
    (folder / "tool").write_text("x")
    (folder / "tool").chmod(0o700)
    (folder / "text").write_text("x")
    (folder / "text").chmod(0o600)
    (folder / "link").symlink_to("./missing//")
    for path in (folder, folder / "text"):
        os.setxattr(path, "user.xdg.origin.url", b"https://site.example/?token=s3cret")
    return folder


def test_modes_and_times_are_the_images(copied: Path) -> None:
    """Whatever the umask was."""
    _settle(copied, mode=None, epoch=7)

    found = {path.name: path.lstat() for path in (copied, *copied.iterdir())}
    modes = {name: stat.S_IMODE(status.st_mode) for name, status in found.items()}
    assert modes == {"copied": 0o755, "tool": 0o755, "text": 0o644, "link": 0o777}
    assert {status.st_mtime for status in found.values()} == {7}


def test_attributes_of_the_checkout_go(copied: Path) -> None:
    """A browser writes the address of a download into one, with the token in it."""
    _settle(copied, mode=None, epoch=7)

    assert not any(os.listxattr(path) for path in (copied, copied / "tool", copied / "text"))

"""Mount points that an image lacks are made, and nothing that it has is changed."""

import stat
import subprocess
from pathlib import Path

import pytest

from imagekit.offline.mount_stubs import STUBS, pseudo_files
from imagekit.offline.staging import _COPY


def _make(root: Path) -> None:
    subprocess.run(["sh", "-euc", f'{STUBS}\nstubs "$1"', "sh", str(root)], check=True)


def test_what_is_missing_is_made(tmp_path: Path) -> None:
    """All that rootless Podman makes where it may."""
    _make(tmp_path)

    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert made == {
        *("etc", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"),
        *("run", "run/.containerenv", "run/secrets"),
    }
    assert (tmp_path / "etc/mtab").readlink() == Path("/proc/mounts")


def test_what_the_image_has_is_left_alone(tmp_path: Path) -> None:
    """Contents, kinds and links."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text("own")
    (tmp_path / "etc/mtab").symlink_to("nowhere")
    (tmp_path / "run").write_text("a file")
    _make(tmp_path)

    assert (tmp_path / "etc/hosts").read_text() == "own"
    assert (tmp_path / "etc/mtab").readlink() == Path("nowhere")
    assert (tmp_path / "run").read_text() == "a file"


def test_no_link_leads_out(tmp_path: Path) -> None:
    """A folder of the image that is a link is not entered."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "etc").symlink_to(outside)
    _make(root)

    assert list(outside.iterdir()) == []


def test_squashfs_gets_the_same(tmp_path: Path) -> None:
    """By mksquashfs's own means."""
    _make(tmp_path)
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    named = {word.split()[0].lstrip("/") for word in pseudo_files().split("-p '")[1:]}

    assert named == made | {"proc", "dev", "sys", "tmp"}


@pytest.mark.parametrize("mode", [0o4711, 0o2600, 0o666, 0o000])
def test_a_copy_is_readable_by_all_and_lends_nothing(tmp_path: Path, mode: int) -> None:
    """A device of the image is not in it."""
    source = tmp_path / "source"
    (source / "closed").mkdir(parents=True)
    (source / "closed/file").write_text("x")
    (source / "closed/file").chmod(mode)
    subprocess.run(["mknod", source / "null", "c", "0", "0"], check=True)
    (source / "closed").chmod(0o3777)
    subprocess.run(["sh", "-euc", _COPY, "sh", source, tmp_path / "made"], check=True)

    file = (tmp_path / "made/closed/file").stat().st_mode
    folder = stat.S_IMODE((tmp_path / "made/closed").stat().st_mode)
    assert file & 0o444 == 0o444
    assert not file & (stat.S_ISUID | stat.S_ISGID | 0o022)
    assert folder & 0o755 == 0o755
    assert not folder & 0o2022
    assert not (tmp_path / "made/null").exists()

"""Snapshots and layers: what changed, and the same bytes for the same content."""

import io
import os
import stat
import tarfile
import zlib
from pathlib import Path

import pytest

from imagekit.build import layer, snapshot
from imagekit.build.exclude import LEFTOVERS
from imagekit.build.snapshot import Changes
from imagekit.errors import ToolError

EPOCH = 1_000_000_000


def _tree(root: Path) -> Path:
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/tool").write_text("#!/bin/sh\n")
    (root / "usr/bin/tool").chmod(0o755)
    (root / "usr/bin/same").hardlink_to(root / "usr/bin/tool")
    (root / "bin").symlink_to("usr/bin")
    (root / "etc").mkdir()
    (root / "etc/name\N{SNOWMAN}").write_text("x" * 3000)
    (root / ("long" * 40)).write_text("deep")
    return root


def _write(root: Path, changes: Changes, to: Path) -> bytes:
    to.mkdir(exist_ok=True)
    written = layer.write(root, changes, to, epoch=EPOCH)
    packed = (to / written.descriptor.digest.hex).read_bytes()
    written.descriptor.digest.check(packed, what="the layer")
    plain = zlib.decompress(packed, 31)
    written.diff_id.check(plain, what="the archive")
    assert len(plain) == written.size
    return plain


def _members(plain: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        return {member.name: member for member in archive}


def _base(root: Path, to: Path) -> bytes:
    return _write(root, snapshot.changes(snapshot.EMPTY, snapshot.take(root)), to)


def test_a_layer_extracts_to_its_tree(tmp_path: Path) -> None:
    """Files, modes, links and long names come back as they were."""
    root = _tree(tmp_path / "root")

    with tarfile.open(fileobj=io.BytesIO(_base(root, tmp_path / "blobs"))) as archive:
        archive.extractall(tmp_path / "out", filter="fully_trusted")

    out = tmp_path / "out"
    assert (out / "usr/bin/tool").read_text() == "#!/bin/sh\n"
    assert stat.S_IMODE((out / "usr/bin/tool").stat().st_mode) == 0o755
    assert (out / "usr/bin/same").stat().st_ino == (out / "usr/bin/tool").stat().st_ino
    assert (out / "bin").readlink() == Path("usr/bin")
    assert (out / "etc/name\N{SNOWMAN}").read_text() == "x" * 3000
    assert (out / ("long" * 40)).read_text() == "deep"


def test_two_trees_of_the_same_content_give_the_same_bytes(tmp_path: Path) -> None:
    """Inodes, creation order and times after the image's time leave no trace."""
    first = _tree(tmp_path / "a")
    second = tmp_path / "b"
    second.mkdir()
    (second / ("long" * 40)).write_text("deep")
    os.utime(second / ("long" * 40), (EPOCH + 5, EPOCH + 5))
    (second / "etc").mkdir()
    (second / "etc/name\N{SNOWMAN}").write_text("x" * 3000)
    (second / "usr/bin").mkdir(parents=True)
    (second / "usr/bin/same").write_text("#!/bin/sh\n")
    (second / "usr/bin/same").chmod(0o755)
    (second / "usr/bin/tool").hardlink_to(second / "usr/bin/same")
    (second / "bin").symlink_to("usr/bin")

    assert _base(first, tmp_path / "x") == _base(second, tmp_path / "y")


def test_no_time_is_newer_than_the_image(tmp_path: Path) -> None:
    """Times of packages stay, times of the build are clamped."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "old").touch()
    os.utime(root / "old", (5, 5))
    (root / "new").touch()

    members = _members(_base(root, tmp_path / "blobs"))

    assert members["old"].mtime == 5
    assert members["new"].mtime == EPOCH


def test_a_folder_does_not_tell_what_came_and_went_in_it(tmp_path: Path) -> None:
    """What is left out leaves no trace in the time of the folder that it lay in."""
    root = tmp_path / "root"
    (root / "dev").mkdir(parents=True)
    os.utime(root / "dev", (5, 5))

    assert _members(_base(root, tmp_path / "blobs"))["dev"].mtime == EPOCH


def test_owners_have_no_names(tmp_path: Path) -> None:
    """The builder's user names say nothing inside an image."""
    root = _tree(tmp_path / "root")

    assert {(m.uname, m.gname) for m in _members(_base(root, tmp_path / "b")).values()} == {
        ("", "")
    }


def test_sockets_and_devices_are_left_out(tmp_path: Path) -> None:
    """No image needs them, and a user could not have made them."""
    root = tmp_path / "root"
    root.mkdir()
    os.mknod(root / "socket", stat.S_IFSOCK | 0o600)
    os.mkfifo(root / "pipe")

    assert set(_members(_base(root, tmp_path / "blobs"))) == {"pipe"}


def test_a_diff_holds_what_changed_and_its_folders(tmp_path: Path) -> None:
    """Altered content with the old size and time does not escape."""
    root = _tree(tmp_path / "root")
    before = snapshot.take(root)
    status = (root / "usr/bin/tool").stat()
    (root / "usr/bin/tool").write_text("#!/bin/xx\n")
    os.utime(root / "usr/bin/tool", ns=(status.st_atime_ns, status.st_mtime_ns))

    changes = snapshot.changes(before, snapshot.take(root))

    assert changes.present == ("usr", "usr/bin", "usr/bin/same", "usr/bin/tool")
    assert changes.removed == ()


def test_a_removed_folder_is_one_whiteout(tmp_path: Path) -> None:
    """What was below it needs none of its own (image-spec layer.md, "Whiteouts")."""
    root = _tree(tmp_path / "root")
    before = snapshot.take(root)
    for path in (root / "usr/bin").iterdir():
        path.unlink()
    (root / "usr/bin").rmdir()

    changes = snapshot.changes(before, snapshot.take(root))

    assert changes.removed == ("usr/bin",)
    assert "usr/.wh.bin" in _members(_write(root, changes, tmp_path / "blobs"))


def test_a_folder_that_became_a_file_needs_no_whiteouts_below(tmp_path: Path) -> None:
    """The file itself hides what was there."""
    root = _tree(tmp_path / "root")
    before = snapshot.take(root)
    (root / "etc/name\N{SNOWMAN}").unlink()
    (root / "etc").rmdir()
    (root / "etc").write_text("now a file")

    changes = snapshot.changes(before, snapshot.take(root))

    assert changes == Changes(present=("etc",), removed=())


def test_nothing_changed_is_nothing(tmp_path: Path) -> None:
    """Looking does not change a tree."""
    root = _tree(tmp_path / "root")

    assert snapshot.changes(snapshot.take(root), snapshot.take(root)) == Changes(
        present=(), removed=()
    )


def test_what_is_excluded_changes_nothing_above_it(tmp_path: Path) -> None:
    """A build's log does not bring the folder of logs into the layer."""
    root = _tree(tmp_path / "root")
    (root / "var/log").mkdir(parents=True)
    before = snapshot.take(root)
    (root / "var/log/build.log").write_text("x")
    (root / "etc/new").write_text("x")

    changes = snapshot.changes(before, snapshot.take(root), LEFTOVERS)

    assert changes.present == ("etc", "etc/new")


def test_two_trees_are_compared_by_content(tmp_path: Path) -> None:
    """Where inodes mean nothing, what is the same to the byte is the same."""
    old, new = _tree(tmp_path / "old"), _tree(tmp_path / "new")
    for path in (*old.rglob("*"), *new.rglob("*")):
        os.utime(path, (5, 5), follow_symlinks=False)
    (new / "usr/bin/tool").write_text("#!/bin/xx\n")
    os.utime(new / "usr/bin/tool", (5, 5))

    changes = snapshot.compare(old, new)

    assert changes.present == ("usr", "usr/bin", "usr/bin/same", "usr/bin/tool")


def test_links_are_never_followed(tmp_path: Path) -> None:
    """A link to a folder of the host brings nothing of it into the image."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host/secret").write_text("s3cret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "host")

    assert set(snapshot.take(root).entries) == {"link"}
    assert b"s3cret" not in _base(root, tmp_path / "blobs")


def test_a_file_that_is_gone_is_an_error_and_no_partial_layer_stays(tmp_path: Path) -> None:
    """Half a tree never becomes a layer."""
    root = _tree(tmp_path / "root")
    changes = snapshot.changes(snapshot.EMPTY, snapshot.take(root))
    (root / "usr/bin/tool").unlink()
    (tmp_path / "blobs").mkdir()

    with pytest.raises(ToolError, match="cannot write a layer"):
        layer.write(root, changes, tmp_path / "blobs", epoch=EPOCH)
    assert list((tmp_path / "blobs").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "left_out"),
    [
        ("dev", False),
        ("dev/null", True),
        ("devices", False),
        ("var/log", False),
        ("var/log/apt/history.log", True),
        ("usr/lib/python3/__pycache__", True),
        ("usr/lib/python3/__pycache__/x.pyc", True),
        ("etc/passwd-", True),
        ("etc/passwd", False),
        ("opt/dev/x", False),
    ],
)
def test_leftovers(path: str, left_out: bool) -> None:  # noqa: FBT001 - the expected value
    """What a build leaves behind goes, and nothing that only looks like it."""
    assert LEFTOVERS.matches(path) is left_out

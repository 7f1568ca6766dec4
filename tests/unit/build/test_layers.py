"""Snapshots and layers: what changed, and the same bytes for the same content."""

import io
import os
import re
import stat
import struct
import tarfile
import time
import zlib
from pathlib import Path

import pytest

from imagekit.build import layer, tree_snapshot
from imagekit.build.exclude import LEFTOVERS
from imagekit.build.tree_snapshot import Changes
from imagekit.errors import BuildError, ToolError

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
    return _write(root, tree_snapshot.changes(tree_snapshot.EMPTY, tree_snapshot.take(root)), to)


def test_a_layer_extracts_to_its_tree(tmp_path: Path) -> None:
    """Files, modes, links and long names come back as they were."""
    root = _tree(tmp_path / "root")

    with tarfile.open(fileobj=io.BytesIO(_base(root, tmp_path / "blobs"))) as archive:
        # Debian 12 has a Python without the argument "filter", which newer ones ask for.
        archive.extraction_filter = staticmethod(lambda member, _: member)
        archive.extractall(tmp_path / "out")

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


def test_sockets_are_left_out(tmp_path: Path) -> None:
    """No archive holds one."""
    root = tmp_path / "root"
    root.mkdir()
    os.mknod(root / "socket", stat.S_IFSOCK | 0o600)
    os.mkfifo(root / "pipe")

    assert set(_members(_base(root, tmp_path / "blobs"))) == {"pipe"}


def test_a_diff_holds_what_changed_and_its_folders(tmp_path: Path) -> None:
    """Altered content with the old size and time does not escape."""
    root = _tree(tmp_path / "root")
    before = tree_snapshot.take(root)
    status = (root / "usr/bin/tool").stat()
    (root / "usr/bin/tool").write_text("#!/bin/xx\n")
    os.utime(root / "usr/bin/tool", ns=(status.st_atime_ns, status.st_mtime_ns))

    changes = tree_snapshot.changes(before, tree_snapshot.take(root))

    assert changes.present == ("usr", "usr/bin", "usr/bin/same", "usr/bin/tool")
    assert changes.removed == ()


def test_a_removed_folder_is_one_whiteout(tmp_path: Path) -> None:
    """What was below it needs none of its own (image-spec layer.md, "Whiteouts")."""
    root = _tree(tmp_path / "root")
    before = tree_snapshot.take(root)
    for path in (root / "usr/bin").iterdir():
        path.unlink()
    (root / "usr/bin").rmdir()

    changes = tree_snapshot.changes(before, tree_snapshot.take(root))

    assert changes.removed == ("usr/bin",)
    assert "usr/.wh.bin" in _members(_write(root, changes, tmp_path / "blobs"))


def test_a_folder_that_became_a_file_needs_no_whiteouts_below(tmp_path: Path) -> None:
    """The file itself hides what was there."""
    root = _tree(tmp_path / "root")
    before = tree_snapshot.take(root)
    (root / "etc/name\N{SNOWMAN}").unlink()
    (root / "etc").rmdir()
    (root / "etc").write_text("now a file")

    changes = tree_snapshot.changes(before, tree_snapshot.take(root))

    assert changes == Changes(present=("etc",), removed=())


def test_nothing_changed_is_nothing(tmp_path: Path) -> None:
    """Looking does not change a tree."""
    root = _tree(tmp_path / "root")

    assert tree_snapshot.changes(tree_snapshot.take(root), tree_snapshot.take(root)) == Changes(
        present=(), removed=()
    )


def test_what_is_excluded_changes_nothing_above_it(tmp_path: Path) -> None:
    """A build's log does not bring the folder of logs into the layer."""
    root = _tree(tmp_path / "root")
    (root / "var/log").mkdir(parents=True)
    before = tree_snapshot.take(root)
    (root / "var/log/dpkg.log").write_text("x")
    (root / "etc/new").write_text("x")

    changes = tree_snapshot.changes(before, tree_snapshot.take(root), LEFTOVERS)

    assert changes.present == ("etc", "etc/new")


def test_two_trees_are_compared_by_content(tmp_path: Path) -> None:
    """Where inodes mean nothing, what is the same to the byte is the same."""
    old, new = _tree(tmp_path / "old"), _tree(tmp_path / "new")
    for path in (*old.rglob("*"), *new.rglob("*")):
        os.utime(path, (5, 5), follow_symlinks=False)
    (new / "usr/bin/tool").write_text("#!/bin/xx\n")
    os.utime(new / "usr/bin/tool", (5, 5))

    changes = tree_snapshot.compare(old, new)

    assert changes.present == ("usr", "usr/bin", "usr/bin/same", "usr/bin/tool")


def test_links_are_never_followed(tmp_path: Path) -> None:
    """A link to a folder of the host brings nothing of it into the image."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host/secret").write_text("s3cret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "host")

    assert set(tree_snapshot.take(root).entries) == {"link"}
    assert b"s3cret" not in _base(root, tmp_path / "blobs")


def test_a_file_that_is_gone_is_an_error_and_no_partial_layer_stays(tmp_path: Path) -> None:
    """Half a tree never becomes a layer."""
    root = _tree(tmp_path / "root")
    changes = tree_snapshot.changes(tree_snapshot.EMPTY, tree_snapshot.take(root))
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
        ("var/log/nginx/error.log", False),
        ("var/log/app/seed", False),
        ("usr/lib/python3/__pycache__", False),
        ("usr/lib/python3/__pycache__/x.cpython-311.pyc", True),
        ("usr/lib/python3/__pycache__/x.txt", False),
        ("usr/lib/python3/x.pyc", False),
        ("etc/passwd-", True),
        ("etc/passwd", False),
        ("opt/dev/x", False),
        ("tmp/x", False),
        ("run/sshd/x", False),
        ("var/cache/app/x", False),
        ("var/cache/apt/archives/partial/x.deb", True),
        ("var/cache/debconf/config.dat", False),
        ("root/.cache/huggingface/model", False),
        ("var/lib/apt/lists/partial/m_InRelease", True),
    ],
)
def test_leftovers(path: str, left_out: bool) -> None:  # noqa: FBT001 - the expected value
    """Files that are known go, and nothing that only lies where they do."""
    assert LEFTOVERS.matches(path, stat.S_IFREG) is left_out


@pytest.mark.parametrize("kind", [stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO])
def test_only_regular_files_are_volatile(kind: int) -> None:
    """A log that is a link to /dev/stdout was put there; so was a folder."""
    for path in (*LEFTOVERS.files, "var/lib/apt/lists/partial", "a/__pycache__/x.pyc"):
        assert not LEFTOVERS.matches(path, kind)


def test_folders_links_and_files_in_volatile_places_stay(tmp_path: Path) -> None:
    """What nginx and sshd want to find, with its mode; no more than known files is left out."""
    root = tmp_path / "root"
    for name in ("var/log/nginx", "run/sshd", "tmp/made", "var/cache/apt/archives/partial"):
        (root / name).mkdir(parents=True)
    (root / "run/sshd").chmod(0o711)
    (root / "var/log/nginx/access.log").symlink_to("/dev/stdout")
    (root / "tmp/made/seed").write_text("x")
    (root / "var/log/dpkg.log").write_text("x")

    changes = tree_snapshot.all_of(root, LEFTOVERS)
    members = _members(_write(root, changes, tmp_path / "blobs"))

    assert changes.left_out == ()
    assert members["run/sshd"].mode == 0o711
    assert members["var/log/nginx/access.log"].linkname == "/dev/stdout"
    assert {"tmp/made/seed", "var/cache/apt/archives/partial"} <= set(members)
    assert "var/log/dpkg.log" not in members


def test_what_is_left_out_and_not_known_is_named(tmp_path: Path) -> None:
    """Files below a mount, and sockets anywhere; the devices and links of every /dev are not."""
    root = tmp_path / "root"
    for name in ("dev/shm", "proc", "sys", "opt"):
        (root / name).mkdir(parents=True)
    (root / "dev/data").write_text("x")
    (root / "dev/fd").symlink_to("/proc/self/fd")
    (root / "proc/link").symlink_to("x")
    (root / "sys/empty").touch()
    os.mknod(root / "opt/agent", stat.S_IFSOCK | 0o600)

    changes = tree_snapshot.all_of(root, LEFTOVERS)

    assert changes.left_out == ("dev/data", "opt/agent", "proc/link")
    assert changes.present == ("dev", "opt", "proc", "sys")


def test_a_file_that_became_a_socket_is_removed(tmp_path: Path) -> None:
    """Else the base's file would be there again."""
    root = _tree(tmp_path / "root")
    before = tree_snapshot.take(root)
    (root / "usr/bin/tool").unlink()
    (root / "usr/bin/same").unlink()
    os.mknod(root / "usr/bin/tool", stat.S_IFSOCK | 0o600)

    changes = tree_snapshot.changes(before, tree_snapshot.take(root), LEFTOVERS)

    assert changes.removed == ("usr/bin/same", "usr/bin/tool")


CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def _set(path: Path, name: str, value: bytes) -> None:
    """Set an attribute; skips where the file system has none, or only root may."""
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        pytest.skip(f"{name} cannot be set here: {error.strerror}")


def _pair(tmp_path: Path) -> tuple[Path, Path]:
    """Return two trees that are equal."""
    old, new = _tree(tmp_path / "old"), _tree(tmp_path / "new")
    for root in (old, new):
        (root / "usr/bin/other").symlink_to("./tool")
        for path in root.rglob("*"):
            os.utime(path, (5, 5), follow_symlinks=False)
    assert tree_snapshot.compare(old, new) == Changes(present=(), removed=())
    return old, new


def _retime(root: Path) -> None:
    for path in root.rglob("*"):
        os.utime(path, (5, 5), follow_symlinks=False)


@pytest.mark.parametrize("text", ["tool//", "tool", ".//tool", "././tool"])
def test_trees_differ_by_the_text_of_a_link(tmp_path: Path, text: str) -> None:
    """As it stands: what reads it gets the text and not what it means."""
    old, new = _pair(tmp_path)
    (new / "usr/bin/other").unlink()
    (new / "usr/bin/other").symlink_to(text)
    _retime(new)

    assert tree_snapshot.compare(old, new).present[-1] == "usr/bin/other"


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("etc/name\N{SNOWMAN}", "user.component", b"web"),
        ("etc/name\N{SNOWMAN}", "security.capability", CAPABILITY),
        ("etc", "user.component", b"web"),
    ],
)
@pytest.mark.parametrize("removed", [True, False])
def test_trees_differ_by_an_attribute(
    tmp_path: Path,
    where: str,
    name: str,
    value: bytes,
    removed: bool,  # noqa: FBT001 - a parameter
) -> None:
    """That was set, or taken away, and by nothing else."""
    old, new = _pair(tmp_path)
    changed = (old if removed else new) / where
    _set(changed, name, value)
    _retime(old)
    _retime(new)

    assert tree_snapshot.compare(old, new).present[-1] == where


def test_trees_differ_by_which_names_are_one_file(tmp_path: Path) -> None:
    """Writing to one name would change the other, or no more."""
    old, new = _pair(tmp_path)
    (new / "usr/bin/same").unlink()
    (new / "usr/bin/same").write_text("#!/bin/sh\n")
    (new / "usr/bin/same").chmod(0o755)
    _retime(new)

    assert tree_snapshot.compare(old, new).present == (
        "usr",
        "usr/bin",
        "usr/bin/same",
        "usr/bin/tool",
    )


def test_many_names_of_one_file_are_compared_once(tmp_path: Path) -> None:
    """A file may have as many as the file system lets it."""
    for root in (tmp_path / "old", tmp_path / "new"):
        root.mkdir()
        (root / "0").touch()
        for number in range(1, 10_000):
            os.link(root / "0", root / str(number))
        os.utime(root / "0", (5, 5))

    began = time.process_time()
    assert tree_snapshot.compare(tmp_path / "old", tmp_path / "new").present == ()
    assert time.process_time() - began < 5


def test_a_folders_attribute_is_a_change(tmp_path: Path) -> None:
    """Between two moments of one tree too."""
    root = _tree(tmp_path / "root")
    before = tree_snapshot.take(root)
    _set(root / "etc", "user.component", b"web")

    assert tree_snapshot.changes(before, tree_snapshot.take(root)).present == ("etc",)


def test_attributes_are_kept(tmp_path: Path) -> None:
    """Of files and folders, to the byte, as pax records that runtimes unpack."""
    root = _tree(tmp_path / "root")
    _set(root / "usr/bin/tool", "user.component", b"web\0\xff")
    _set(root / "etc", "user.x", b"")
    _set(root / "usr/bin/tool", "security.capability", CAPABILITY)

    members = _members(_base(root, tmp_path / "blobs"))

    kept = members["usr/bin/same"].pax_headers
    assert os.fsencode(kept["SCHILY.xattr.user.component"]) == b"web\0\xff"
    assert os.fsencode(kept["SCHILY.xattr.security.capability"]) == CAPABILITY
    assert members["etc"].pax_headers["SCHILY.xattr.user.x"] == ""


@pytest.mark.parametrize("text", ["./a//", "b/", "c/.", ".", "/", "a\n", "x" * 300])
def test_link_texts_are_kept_as_they_stand(tmp_path: Path, text: str) -> None:
    """Also where they are long or odd."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(text)

    assert _members(_base(root, tmp_path / "blobs"))["link"].linkname == text


@pytest.mark.parametrize("name", [".wh.debian_version", ".wh..wh..opq", ".wh."])
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_name_that_removes_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    """Every runtime would read it as a removal (image-spec layer.md, "Whiteouts")."""
    root = _tree(tmp_path / "root")
    path = root / "etc" / name
    match kind:
        case "file":
            path.touch()
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to("x")

    with pytest.raises(BuildError, match=re.escape(f"/etc/{name} cannot be in a layer")) as caught:
        _base(root, tmp_path / "blobs")
    assert caught.value.code == "build/cannot-keep"


@pytest.mark.parametrize("name", ["a.wh.b", "wh.", ".who"])
def test_a_name_that_only_looks_like_one_is_kept(tmp_path: Path, name: str) -> None:
    """The prefix alone counts."""
    root = tmp_path / "root"
    root.mkdir()
    (root / name).touch()

    assert set(_members(_base(root, tmp_path / "blobs"))) == {name}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("user.overlay.opaque", b"y", "user.overlay.opaque"),
        ("user.a=b", b"x", "user.a=b"),
        ("system.posix_acl_access", None, "access control list"),
        ("system.posix_acl_default", None, "access control list"),
        ("trusted.site", b"x", "trusted.site"),
    ],
)
def test_an_attribute_that_cannot_be_kept_is_refused_by_name(
    tmp_path: Path, name: str, value: bytes | None, said: str
) -> None:
    """It would be lost, or rule the storage where it is unpacked."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "folder").mkdir(mode=0o750)
    # Owner, group 5 with read, group, mask, others (acl(5), version 2).
    entries = [(1, 7, -1), (4, 5, -1), (8, 4, 5), (16, 5, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    _set(root / "folder", name, acl if value is None else value)

    with pytest.raises(BuildError, match=f"/folder has .*{said}") as caught:
        _base(root, tmp_path / "blobs")
    assert caught.value.hint


def test_a_device_is_refused_by_name(tmp_path: Path) -> None:
    """A user could not have made it, and no user can unpack it."""
    root = tmp_path / "root"
    root.mkdir()
    try:
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes one")

    with pytest.raises(BuildError, match="/null is a device"):
        _base(root, tmp_path / "blobs")


def test_a_layer_without_an_end_is_refused_at_once(tmp_path: Path) -> None:
    """A file of holes takes no space until it is written."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "hole").touch()
    os.truncate(root / "hole", 1 << 40)

    with pytest.raises(BuildError, match=f"/hole has {1 << 40} bytes"):
        _base(root, tmp_path / "blobs")


def test_a_folder_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    """By a program that outlived its step, between the look at the tree and its reading."""
    root = _tree(tmp_path / "root")
    (tmp_path / "host").mkdir()
    (tmp_path / "host/name\N{SNOWMAN}").write_text("s3cret")
    changes = tree_snapshot.all_of(root)
    (root / "etc").rename(root / "gone")
    (root / "etc").symlink_to(tmp_path / "host")
    (tmp_path / "blobs").mkdir()

    with pytest.raises(ToolError, match="cannot write a layer"):
        layer.write(root, changes, tmp_path / "blobs", epoch=EPOCH)
    assert list((tmp_path / "blobs").iterdir()) == []

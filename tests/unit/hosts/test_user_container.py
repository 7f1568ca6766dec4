"""A user's container: of the very file that was checked, by what every user may do."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from imagekit.errors import InputError, IntegrityError, ToolNotFoundError
from imagekit.hosts import user_container
from imagekit.hosts.kernel_mounts import mounted_at
from imagekit.hosts.user_container import Container, Tree, run_as_user
from imagekit.offline.stagedigest import FileIdentity, measured
from imagekit.process import Ask


class Programs:
    """Keeps what would be run, and what the handle that it was given leads to."""

    def __init__(self) -> None:
        """Nothing ran yet."""
        self.asked: list[tuple[str, ...]] = []
        self.mounted: bytes = b""

    def foreground(self, argv: Sequence[str], *, ask: Ask) -> int:
        """Keep the words, and read what is mounted."""
        assert ask is not None
        self.asked.append(tuple(argv))
        what = Path(argv[argv.index("imagekit") + 3])
        self.mounted = what.read_bytes() if what.is_file() else b""
        return 7


@pytest.fixture
def fuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file stand for /dev/fuse, and have every program."""
    (tmp_path / "fuse").touch()
    monkeypatch.setattr(user_container, "_FUSE", tmp_path / "fuse")
    monkeypatch.setattr(user_container, "which", Path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What is staged."""
    file = tmp_path / "it.sqsh"
    file.write_bytes(b"squashfs")
    return file


@pytest.mark.usefixtures("fuse")
def test_the_checked_file_is_mounted_by_its_handle(file: Path) -> None:
    """Whatever its path leads to a moment later; the folder of the run is gone afterwards."""
    programs = Programs()
    tree = Tree(path=file, identity=measured(file)[1])

    assert run_as_user(tree, ["a b"], container=Container(), programs=programs) == 7

    (asked,) = programs.asked
    place = asked.index("imagekit")
    folder, kind, what = asked[place + 1 : place + 4]
    told = json.loads(asked[-1])
    assert (kind, programs.mounted) == ("file", b"squashfs")
    assert what.startswith("/proc/self/fd/")
    assert not Path(folder).exists()
    assert told["arguments"] == ["a b"]
    assert [told["uid"], told["gid"]] == [os.getuid(), os.getgid()]


@pytest.mark.usefixtures("fuse")
def test_an_exchanged_file_does_not_start(file: Path) -> None:
    """Also where the other one is as long."""
    identity = measured(file)[1]
    other = file.with_name("other")
    other.write_bytes(b"SQUASHFS")
    other.replace(file)
    programs = Programs()

    with pytest.raises(IntegrityError, match="was exchanged"):
        run_as_user(
            Tree(path=file, identity=identity), [], container=Container(), programs=programs
        )
    assert programs.asked == []


def test_without_fuse_the_ways_out_are_told(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody mounted it, and users cannot."""
    monkeypatch.setattr(user_container, "_FUSE", tmp_path / "none")
    tree = Tree(path=file, identity=measured(file)[1])

    with pytest.raises(InputError, match="nobody has mounted") as raised:
        run_as_user(tree, [], container=Container(), programs=Programs())
    assert "mount -t squashfs" in str(raised.value.hint)


@pytest.mark.usefixtures("fuse")
@pytest.mark.parametrize("name", ["crun", "setpriv", "squashfuse", "unshare"])
def test_a_missing_program_is_named(file: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With its package."""
    monkeypatch.setattr(user_container, "which", lambda one: None if one == name else Path(one))
    tree = Tree(path=file, identity=measured(file)[1])

    with pytest.raises(ToolNotFoundError, match=name):
        run_as_user(tree, [], container=Container(), programs=Programs())


@pytest.mark.usefixtures("fuse")
def test_a_network_of_an_engine_is_refused(file: Path) -> None:
    """There is none to make it."""
    tree = Tree(path=file, identity=measured(file)[1])

    with pytest.raises(InputError, match="needs an engine"):
        run_as_user(tree, [], container=Container(network="slirp4netns"), programs=Programs())


class Kernel:
    """The kernel's files about one mount of a squashfs file by a loop device."""

    def __init__(self, folder: Path, file: Path) -> None:
        """Mount the file, as far as they tell."""
        self.root, self.place = folder / "kernel", folder / "mounted"
        self.place.mkdir()
        self.backing = str(file)
        device = self.place.stat().st_dev
        self.device = f"{os.major(device)}:{os.minor(device)}"
        self.options, self.kind, self.inner, self.offset = "ro,nosuid,nodev", "squashfs", "/", "0"

    def write(self) -> Path:
        """Write the files, and return their root."""
        loop = self.root / f"sys/dev/block/{self.device}/loop"
        loop.mkdir(parents=True)
        for name, text in (("backing_file", self.backing), ("offset", self.offset)):
            (loop / name).write_text(f"{text}\n")
        (loop / "sizelimit").write_text("0\n")
        (self.root / "proc/self").mkdir(parents=True)
        first = f"30 1 {self.device} {self.inner} {self.place} {self.options} shared:1"
        (self.root / "proc/self/mountinfo").write_text(
            f"20 1 0:5 / /proc rw - proc proc rw\n{first} - {self.kind} /dev/loop9 ro\n"
        )
        return self.root


def test_what_root_mounted_is_used(file: Path, tmp_path: Path) -> None:
    """The kernel tells whose file it is."""
    kernel = Kernel(tmp_path, file)

    assert mounted_at(FileIdentity.at(file), kernel.write()) == kernel.place


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("options", "ro,nosuid"),
        ("options", "ro,nodev"),
        ("options", "rw,nosuid,nodev"),
        ("kind", "ext4"),
        ("inner", "/usr"),
        ("offset", "4096"),
        ("backing", "/nowhere (deleted)"),
        ("backing", "/etc/passwd"),
        ("device", "7:99"),
    ],
)
def test_another_mount_is_not(file: Path, tmp_path: Path, name: str, value: str) -> None:
    """Each of these could show something else than the file holds, or lend rights."""
    kernel = Kernel(tmp_path, file)
    setattr(kernel, name, value)

    assert mounted_at(FileIdentity.at(file), kernel.write()) is None

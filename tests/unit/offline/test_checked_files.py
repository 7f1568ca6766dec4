"""A file that was read is not read again, unless anything about it or its entry is odd."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from imagekit.errors import RegistryError, ToolError
from imagekit.offline import checked_files
from imagekit.offline.checked_files import CheckedFiles
from imagekit.offline.stagedigest import FileIdentity, measured


class Node:
    """A node with one staged file, and a count of how often it was read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stage a file, some time ago."""
        self.folder = folder
        self.file = folder / "it.sqsh"
        self.file.write_bytes(b"squashfs")
        self.reads = 0
        self.files = CheckedFiles(own=folder / "own", roots=folder / "roots", boot="b1")
        monkeypatch.setattr(checked_files, "measured", self._measured)
        self.later(monkeypatch, 60)

    def later(self, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
        """Let the clock be ahead of the file's time."""
        now = self.file.stat().st_ctime_ns + seconds * 10**9
        monkeypatch.setattr(checked_files, "time_ns", lambda: now)

    def _measured(self, path: Path) -> tuple[object, FileIdentity]:
        self.reads += 1
        return measured(path)

    def entry(self) -> Path:
        """Return the one entry."""
        (entry,) = self.files.own.iterdir()
        return entry


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """One node."""
    return Node(tmp_path, monkeypatch)


def test_it_is_read_once(node: Node) -> None:
    """The same answer comes a second time."""
    first = node.files.measured(node.file)

    assert node.files.measured(node.file) == first == measured(node.file)
    assert node.reads == 1


def test_a_changed_file_is_read(node: Node) -> None:
    """Also where its size and time of change were set back: the kernel's own time was not."""
    node.files.measured(node.file)
    before = node.file.stat()
    node.file.write_bytes(b"SQUASHFS")
    os.utime(node.file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert node.files.measured(node.file) == measured(node.file)
    assert node.reads == 2


def test_a_file_in_its_place_is_read(node: Node) -> None:
    """It has another inode."""
    node.files.measured(node.file)
    other = node.folder / "other"
    other.write_bytes(b"SQUASHFS")
    other.replace(node.file)

    assert node.files.measured(node.file) == measured(node.file)
    assert node.reads == 2


def test_what_was_changed_just_now_is_not_kept(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change within the same tick of the clock would not be seen."""
    node.later(monkeypatch, 1)
    node.files.measured(node.file)

    assert list(node.files.own.iterdir()) == []


def _others_may_write(node: Node) -> None:
    node.entry().chmod(0o666)


def _others_may_write_to_the_folder(node: Node) -> None:
    node.files.own.chmod(0o777)


def _link(node: Node) -> None:
    entry = node.entry()
    entry.rename(node.folder / "elsewhere")
    entry.symlink_to(node.folder / "elsewhere")


def _other_boot(node: Node) -> None:
    node.files = CheckedFiles(own=node.files.own, roots=node.files.roots, boot="b2")


def _unknown_boot(node: Node) -> None:
    node.files = CheckedFiles(own=node.files.own, roots=node.files.roots)


def _cut(node: Node) -> None:
    node.entry().write_bytes(node.entry().read_bytes()[:-4])


def _no_digest(node: Node) -> None:
    node.entry().write_bytes(node.entry().read_bytes().replace(b"sha256:", b"sha256:zz"))


def _more(node: Node) -> None:
    node.entry().write_bytes(node.entry().read_bytes().replace(b"{", b'{"a":1,', 1))


@pytest.mark.parametrize(
    "spoil",
    [
        *(_others_may_write, _others_may_write_to_the_folder, _link, _other_boot, _unknown_boot),
        *(_cut, _no_digest, _more),
    ],
)
def test_an_odd_entry_does_not_count(node: Node, spoil: Callable[[Node], None]) -> None:
    """The file is read, whatever the entry says."""
    node.files.measured(node.file)
    spoil(node)

    assert node.files.measured(node.file) == measured(node.file)
    assert node.reads == 2


def test_a_strangers_entry_does_not_count(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the place of root's, nor in that of one's own; nothing is kept there."""
    node.files.measured(node.file)
    owner = node.file.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    # The file is root's, and its folder somebody's.
    monkeypatch.setattr(checked_files, "known", lambda *users: {owner} if 0 in users else {4321})
    theirs = CheckedFiles(own=node.files.own, roots=node.folder / "none", boot="b1")
    entry = node.entry().read_bytes()

    assert theirs.measured(node.file) == measured(node.file)
    assert node.reads == 2
    assert node.entry().read_bytes() == entry


def test_a_third_owners_file_is_always_read(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could be changed without a trace at once."""
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    monkeypatch.setattr(checked_files, "known", lambda *_: {4321})
    node.files.measured(node.file)
    node.files.measured(node.file)

    assert node.reads == 2


def test_roots_entry_is_an_answer_for_everybody(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prolog that checks spares the users of the node to read."""
    # Whoever runs the tests stands for root.
    monkeypatch.setattr(checked_files, "known", lambda *_: {os.geteuid()})
    roots = CheckedFiles(own=node.files.roots, roots=node.files.roots, boot="b1")
    roots.measured(node.file)

    node.files.measured(node.file)

    assert node.reads == 1


def test_many_at_once_wait_for_the_one_that_reads(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All tasks of a job start in the same moment."""
    begun = Barrier(4)
    reading = node._measured

    def slow(path: Path) -> tuple[object, FileIdentity]:
        time.sleep(0.3)
        return reading(path)

    monkeypatch.setattr(checked_files, "measured", slow)

    def wanted(_: int) -> object:
        begun.wait()
        return node.files.measured(node.file)

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(wanted, range(4)))

    assert found == {measured(node.file)}
    assert node.reads == 1
    assert [path.suffix for path in node.files.own.iterdir()] == [".json"]


def test_where_nothing_can_be_locked_each_reads(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing fails."""

    def none(*_: object) -> None:
        raise ToolError("the file system supports no locks")

    monkeypatch.setattr(checked_files, "held", none)

    assert node.files.measured(node.file) == measured(node.file)
    assert node.reads == 1


def test_a_file_that_goes_meanwhile_is_an_error(node: Node) -> None:
    """As one that was never there."""
    node.file.unlink()

    with pytest.raises(RegistryError):
        node.files.measured(node.file)

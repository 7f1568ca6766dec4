"""Which mount a path is on."""

from pathlib import Path

from imagekit.hosts.mount_table import mount_of, read_mounts

_MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
server:/homes /home nfs4 rw,vers=4.2 0 0
tmpfs /home/with\\040space tmpfs rw,noexec,nosuid 0 0
short line
tmpfs /home/a tmpfs rw 0 0
server:/late /home/a nfs rw 0 0
"""


def test_the_mount_that_is_seen_counts(tmp_path: Path) -> None:
    """The nearest, and of two at one place the later; a folder of a like name is another."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text(_MOUNTS)
    mounts = read_mounts(tmp_path)

    def kind(path: str) -> str:
        mount = mount_of(Path(path), mounts)
        return mount.kind if mount else ""

    assert kind("/home/b/.local/share") == "nfs4"
    assert kind("/home/a/x") == "nfs"
    assert kind("/home/with space/x") == "tmpfs"
    assert kind("/homes/b") == "ext4"
    spaced = mount_of(Path("/home/with space"), mounts)
    assert spaced is not None
    assert "noexec" in spaced.options


def test_without_a_table_nothing_is_known(tmp_path: Path) -> None:
    """A sandbox may have no /proc."""
    assert read_mounts(tmp_path) == ()
    assert mount_of(Path("/home"), ()) is None

"""What makes a file another one in every build is told from its path or its bytes."""

import gzip
import io
import tarfile

import pytest

from imagekit.rebuild.causes import cause_of


def tarred(mtime: int) -> bytes:
    """Return an archive of a file with this time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as out:
        member = tarfile.TarInfo("a")
        member.mtime = mtime
        out.addfile(member)
    return raw.getvalue()


@pytest.mark.parametrize(
    ("path", "first", "other", "hint"),
    [
        ("etc/machine-id", b"", b"", "identity of a machine"),
        ("etc/ssh/ssh_host_rsa_key", b"", b"", "all who pull the image would share it"),
        ("etc/shadow", b"a:$y$1:", b"a:$y$2:", "salt"),
        ("opt/x/__pycache__/a.cpython-311.pyc", b"1", b"2", "bytecode"),
        ("src/.git/index", b"1", b"2", "Git's index"),
        ("b/CMakeFiles/3.25/CMakeSystem.cmake", b"1", b"2", "CMake"),
        ("usr/lib/R/library/x/DESCRIPTION", b"1", b"2", "--built-timestamp"),
        ("var/log/dpkg.log", b"1", b"2", "a log or a cache"),
        ("a.gz", gzip.compress(b"a", mtime=1), gzip.compress(b"a", mtime=2), "gzip"),
        ("a.tar", tarred(1), tarred(2), "--sort=name"),
        ("a.zip", b"PK\x03\x04 1", b"PK\x03\x04 2", "touch them"),
        ("k", b"-----BEGIN PRIVATE KEY-----\n1", b"-----BEGIN PRIVATE KEY-----\n2", "at the start"),
        ("set", b"{'a', 'b'}\n{'c'}", b"{'c'}\n{'a', 'b'}", "another order"),
        ("log.txt", b"in /tmp/tmp.AbCd1/x", b"in /tmp/tmp.ZyXw2/x", "temporary folder"),
        ("date", b"built 2026-11-30 21:00:01", b"built 2026-11-30 21:00:07", "holds the time"),
        ("epoch", b"1764536401", b"1764536407", "holds the time"),
        ("pid", b"process 412", b"process 977", "a number"),
        ("unknown", b"\x00abc", b"\x01xyz", ""),
    ],
)
def test_a_known_cause_is_named(path: str, first: bytes, other: bytes, hint: str) -> None:
    """Each with what to do, and nothing where it is not known."""
    found = cause_of(path, first, other)

    assert (hint in found) if hint else (found == "")

"""Archives are read by a table that is checked first; nothing hostile gets past it."""

import os
import tarfile
from pathlib import Path

import pytest

from imagekit.errors import DocumentError, InputError, NotFoundError, RegistryError
from imagekit.oci.archive import open_archive, whole, write_archive
from imagekit.oci.digest import Digest
from tests.support.exports import Member, member, tar_bytes


def _written(folder: Path, *contents: tuple[str, bytes]) -> Path:
    file = folder / "a.tar"
    write_archive(file, [whole(path, raw) for path, raw in contents], written=lambda _: None)
    return file


def _refused(file: Path) -> str:
    with pytest.raises(DocumentError) as caught, open_archive(file):
        pass
    assert caught.value.code == "BAD_ARCHIVE"
    return caught.value.message


def _tar(folder: Path, *members: Member) -> Path:
    file = folder / "a.tar"
    file.write_bytes(tar_bytes(members))
    return file


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Each member has its bytes, whatever their length in blocks."""
    raws = [b"", b"x", b"y" * 512, b"z" * 1025]

    with open_archive(_written(tmp_path, *((f"f{i}", r) for i, r in enumerate(raws)))) as archive:
        assert [archive.read(f"f{i}", limit=2000) for i in range(len(raws))] == raws


def test_python_reads_it_too(tmp_path: Path) -> None:
    """It is an ordinary tar file, without a name, a time or an owner of this machine."""
    with tarfile.open(_written(tmp_path, ("a/b", b"x"))) as archive:
        found = archive.getmembers()

    assert [(one.name, one.size, one.mtime, one.uid, one.uname) for one in found] == [
        ("a/b", 1, 0, 0, "")
    ]


@pytest.mark.parametrize("size", [0, 511, 512, 8191, 8192, 8704, 9216])
def test_it_ends_with_two_blocks_of_zeros(tmp_path: Path, size: int) -> None:
    """POSIX wants two; one might be taken for a file that was cut short."""
    raw = _written(tmp_path, ("a", b"x" * size)).read_bytes()

    assert len(raw) % 10240 == 0
    assert not any(raw[-1024:])


def test_the_same_bytes_are_not_written_again(tmp_path: Path) -> None:
    """A file that is there stays as it is, so that nobody copies it anew."""
    before = _written(tmp_path, ("a", b"x")).stat().st_mtime_ns
    os.utime(tmp_path / "a.tar", ns=(1, 1))

    new = write_archive(tmp_path / "a.tar", [whole("a", b"x")], written=lambda _: None)

    assert (new, (tmp_path / "a.tar").stat().st_mtime_ns) == (False, 1)
    assert before != 1


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """What breaks half-way is gone, and the file is as it was."""
    file = _written(tmp_path, ("a", b"x"))
    wrong = whole("a", b"yy")
    broken = type(wrong)(path="a", size=5, pieces=wrong.pieces)

    with pytest.raises(RegistryError):
        write_archive(file, [broken], written=lambda _: None)

    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]
    with open_archive(file) as archive:
        assert archive.read("a", limit=10) == b"x"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "symlink"),
        (tarfile.LNKTYPE, "hardlink"),
        (tarfile.FIFOTYPE, "other"),
        (tarfile.CHRTYPE, "other"),
    ],
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes, said: str) -> None:
    """Only files belong into an archive."""
    file = _tar(tmp_path, member("blobs", type=kind, linkname="/etc"))

    assert said in _refused(file)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/../x", "a/.."])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    """Even though no path is ever written to."""
    assert "leads out" in _refused(_tar(tmp_path, member(path, b"x")))


def test_an_absolute_path_is_read_as_one_below(tmp_path: Path) -> None:
    """As tar programs do; what no export has is refused later."""
    with open_archive(_tar(tmp_path, member("/etc/x", b"x"))) as archive:
        assert list(archive.members) == ["etc/x"]


@pytest.mark.parametrize("twin", ["a", "./a", "a/", "/a"])
def test_a_path_twice_is_refused(tmp_path: Path, twin: str) -> None:
    """One program would take the first, another the last."""
    assert "twice" in _refused(_tar(tmp_path, member("a", b"x"), member(twin, b"y")))


def test_a_path_that_is_file_and_folder_is_refused(tmp_path: Path) -> None:
    """Which one it is would depend on the reader."""
    folder = member("a", type=tarfile.DIRTYPE)

    assert "a file and a folder" in _refused(_tar(tmp_path, folder, member("a", b"x")))


def test_a_path_with_control_characters_is_refused(tmp_path: Path) -> None:
    """It would steer the terminal that shows it."""
    assert "printed" in _refused(_tar(tmp_path, member("a\x1b[2J", b"x")))


@pytest.mark.parametrize("left", [1, 511, 512, 513, 700, 1023])
def test_a_truncated_file_is_refused(tmp_path: Path, left: int) -> None:
    """Wherever it was cut: in a header, in a member, or before the end mark."""
    file = _written(tmp_path, ("a", b"x" * 300))
    file.write_bytes(file.read_bytes()[:left])

    assert "cut short" in _refused(file)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """Nothing is no archive."""
    file = tmp_path / "a.tar"
    file.write_bytes(b"")

    assert "cut short" in _refused(file)


def test_a_size_beyond_the_file_is_refused(tmp_path: Path) -> None:
    """A member of a petabyte costs nothing to claim."""
    header = tarfile.TarInfo("a")
    header.size = 1 << 49
    file = tmp_path / "a.tar"
    file.write_bytes(header.tobuf(format=tarfile.GNU_FORMAT) + bytes(10240))

    assert "cut short" in _refused(file)


def test_what_follows_the_end_is_refused(tmp_path: Path) -> None:
    """A second archive behind the first is seen by some programs only."""
    file = _written(tmp_path, ("a", b"x"))
    file.write_bytes(file.read_bytes() * 2)

    assert "its end" in _refused(file)


def test_endless_zeros_are_refused(tmp_path: Path) -> None:
    """A sparse file of a terabyte is not read to its end."""
    file = _written(tmp_path, ("a", b"x"))
    os.truncate(file, 1 << 40)

    assert "its end" in _refused(file)


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    """A header that was altered is not believed."""
    file = _written(tmp_path, ("a", b"x"))
    raw = bytearray(file.read_bytes())
    raw[0] = ord("b")
    file.write_bytes(raw)

    assert "checksum" in _refused(file)


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has an end."""
    monkeypatch.setattr("imagekit.oci.archive.MAX_MEMBERS", 3)

    assert "more than 3" in _refused(_tar(tmp_path, *(member(f"f{i}", b"") for i in range(4))))


def test_a_gzipped_archive_is_refused(tmp_path: Path) -> None:
    """The outer archive is plain: what unpacks to more than it is would have no bound."""
    with tarfile.open(tmp_path / "a.tar", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a"))

    _refused(tmp_path / "a.tar")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """It is no file."""
    os.mkfifo(tmp_path / "a.tar")

    with pytest.raises(RegistryError, match="regular file"), open_archive(tmp_path / "a.tar"):
        pass


def test_a_missing_blob_is_not_found(tmp_path: Path) -> None:
    """As in a registry."""
    with (
        open_archive(_written(tmp_path, ("a", b"x"))) as archive,
        pytest.raises(NotFoundError),
        archive.open(Digest.of(b"x")),
    ):
        pass


def test_a_member_over_the_limit_is_not_read(tmp_path: Path) -> None:
    """What is read whole has a bound."""
    with (
        open_archive(_written(tmp_path, ("a", b"xx"))) as archive,
        pytest.raises(DocumentError, match="more than 1"),
    ):
        archive.read("a", limit=1)


def test_what_is_no_place_for_a_file_is_wrong_input(tmp_path: Path) -> None:
    """A folder, a missing folder and a loop of links: the name is at fault, no registry is."""
    (tmp_path / "loop").symlink_to("loop")

    for name in ("", "none/a.tar", "loop"):
        with pytest.raises(InputError, match="cannot write") as caught:
            write_archive(tmp_path / name, [whole("a", b"x")], written=lambda _: None)
        assert caught.value.hint

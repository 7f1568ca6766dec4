"""A folder is read without ever leaving it, and nothing but regular files is opened."""

import os
from pathlib import Path

import pytest

from imagekit.errors import InputError
from imagekit.sbom.folder import read_folder, read_programs

STATUS = "var/lib/dpkg/status"


def put(root: Path, path: str, content: bytes = b"", *, mode: int = 0o644) -> Path:
    """Write a file with its folders."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(mode)
    return file


def test_a_missing_folder_is_bad_input(tmp_path: Path) -> None:
    """What is no folder is said to be none."""
    with pytest.raises(InputError, match="cannot be read"):
        read_folder(tmp_path / "no")


def test_a_fifo_is_never_opened(tmp_path: Path) -> None:
    """A pipe where dpkg's database should be would block for ever."""
    put(tmp_path, "var/lib/dpkg/other")
    os.mkfifo(tmp_path / STATUS)

    found = read_folder(tmp_path)

    assert dict(found.documents) == {}
    assert "no regular file" in found.notes[0]


def test_a_link_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    """A link to the host's database gives nothing of the host's."""
    secret = put(tmp_path, "host/status", b"Package: secret\n")
    root = tmp_path / "root"
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / STATUS).symlink_to(secret)
    (root / "usr").symlink_to(tmp_path / "host")

    found = read_folder(root)

    assert dict(found.documents) == {}
    assert {STATUS, "usr"} == set(found.links)


def test_a_huge_sparse_database_is_a_note(tmp_path: Path) -> None:
    """Of a database that ends in a terabyte of holes its whole entries are read."""
    os.truncate(put(tmp_path, STATUS, b"Package: a\n\nPackage: b\n"), 1 << 40)

    found = read_folder(tmp_path)

    assert found.documents[STATUS] == b"Package: a\n\n"
    assert f"only the first {128 << 20} bytes of /{STATUS} were read" in found.notes


def test_many_files_deep_down_are_walked_to_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files times levels is a product: each folder is opened once, not once a file."""
    folder = "d/" * 200
    for number in range(50):
        put(tmp_path, f"{folder}f{number}", b"\x7fELF")
        put(tmp_path, f"{folder}e{number}/x", b"\x7fELF")
    files = read_folder(tmp_path)
    opened: list[object] = []
    real = os.open

    def counting(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        opened.append(path)
        return real(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", counting)

    found = read_programs(tmp_path, files, owned=lambda _: False)

    assert all(file.sha256 for file in found.files.values())
    assert len(opened) == 1 + 200 + 50 + 100


def test_endless_nesting_ends_with_a_note(tmp_path: Path) -> None:
    """Folders in folders end at a depth that no image has; the rest is read all the same."""
    put(tmp_path, STATUS, b"Package: a\n")
    folder = tmp_path
    for _ in range(260):
        folder /= "d"
    folder.mkdir(parents=True)

    found = read_folder(tmp_path)

    assert found.documents[STATUS] == b"Package: a\n"
    assert "1 paths of more than 250 levels are not looked at" in found.notes


def test_a_program_of_holes_is_not_read_to_its_end(tmp_path: Path) -> None:
    """A sparse file of a petabyte has no digest, and that is said."""
    os.truncate(put(tmp_path, "bin/holes", b"\x7fELF", mode=0o755), 1 << 43)
    put(tmp_path, "bin/x", b"\x7fELF")

    found = read_programs(tmp_path, read_folder(tmp_path), owned=lambda _: False)

    assert {"bin/x"} == {path for path, file in found.files.items() if file.sha256}
    assert "1 more programs have no digest: too large together" in found.notes


def test_programs_have_a_digest_unless_a_package_owns_them(tmp_path: Path) -> None:
    """Only what nothing owns is read and digested."""
    put(tmp_path, "bin/mine", b"\x7fELF")
    put(tmp_path, "bin/theirs", b"\x7fELF")
    put(tmp_path, "bin/script", b"#!/bin/sh\n", mode=0o755)
    put(tmp_path, "etc/text", b"text")

    files = read_folder(tmp_path)
    found = read_programs(tmp_path, files, owned=lambda path: path == "bin/theirs")

    assert {"bin/mine", "bin/script"} == {p for p, file in found.files.items() if file.sha256}


def test_a_file_that_becomes_a_link_meanwhile_is_not_followed(tmp_path: Path) -> None:
    """Between the walk and the digest a file may be swapped for a link to the host."""
    program = put(tmp_path, "root/bin/x", b"\x7fELF")
    secret = put(tmp_path, "secret", b"\x7fELF", mode=0o755)
    files = read_folder(tmp_path / "root")
    program.unlink()
    program.symlink_to(secret)

    found = read_programs(tmp_path / "root", files, owned=lambda _: False)

    assert found.files["bin/x"].sha256 == ""


def test_a_program_under_the_name_of_a_document_has_a_digest(tmp_path: Path) -> None:
    """A name is not enough to keep it out of the SBOM."""
    put(tmp_path, "x/a-1.dist-info/RECORD", b"\x7fELF")

    found = read_programs(tmp_path, read_folder(tmp_path), owned=lambda _: False)

    assert found.files["x/a-1.dist-info/RECORD"].sha256

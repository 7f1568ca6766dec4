"""Archives of advisories are hostile: entries, bytes and ratio are counted."""

import os
import zipfile
from pathlib import Path

import pytest

from imagekit.errors import InputError
from imagekit.scan import database_files
from imagekit.scan.database_files import database_files as listed
from imagekit.scan.database_files import documents, folder_digest


def archive(path: Path, **entries: bytes) -> Path:
    """Write an archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(f"{name}.json", content)
    return path


def test_archives_and_documents_are_read_in_one_order(tmp_path: Path) -> None:
    """Also below the folder; hidden files and others are passed over."""
    archive(tmp_path / "PyPI/all.zip", b=b"{}", a=b"[]")
    (tmp_path / "tracker.json").write_bytes(b"{1}")
    (tmp_path / ".hidden.json").write_bytes(b"x")
    (tmp_path / "README").write_bytes(b"x")

    files = listed(tmp_path)

    assert [file.name for file in files] == ["all.zip", "tracker.json"]
    assert [(entry.raw, entry.is_entry) for entry in documents(files)] == [
        (b"{}", True),
        (b"[]", True),
        (b"{1}", False),
    ]


def test_the_digest_is_that_of_names_and_bytes(tmp_path: Path) -> None:
    """And of nothing else, such as times."""
    file = archive(tmp_path / "all.zip", a=b"{}")
    first = folder_digest(tmp_path, listed(tmp_path))
    os.utime(file, (1, 1))
    same = folder_digest(tmp_path, listed(tmp_path))
    file.rename(tmp_path / "other.zip")
    renamed = folder_digest(tmp_path, listed(tmp_path))
    archive(tmp_path / "other.zip", a=b"{ }")

    assert first == same
    assert len({first, renamed, folder_digest(tmp_path, listed(tmp_path))}) == 3


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    """It unpacks to a thousand times its size."""
    bomb = archive(tmp_path / "all.zip", a=b" " * (8 << 20))

    with pytest.raises(InputError, match="unpacks to more than 60 times"):
        list(documents((bomb,)))


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first is read."""
    many = archive(tmp_path / "all.zip", a=b"{}", b=b"{}", c=b"{}")
    monkeypatch.setattr(database_files, "MAX_FILES", 2)

    with pytest.raises(InputError, match="more than 2 entries"):
        next(documents((many,)))


def test_too_many_files_and_bytes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all of a folder, also below it."""
    for folder in "ab":
        archive(tmp_path / folder / "all.zip", a=b"{}", b=b"{}")
    files = listed(tmp_path)
    monkeypatch.setattr(database_files, "MAX_UNPACKED", 7)
    with pytest.raises(InputError, match="unpacks to more than 7 bytes"):
        list(documents(files))
    monkeypatch.setattr(database_files, "MAX_FILES", 1)

    with pytest.raises(InputError, match="more than 1 files"):
        listed(tmp_path)


@pytest.mark.parametrize("raw", [b"", b"PK", b"PK\5\6" + b"\xff" * 18], ids=["empty", "cut", "odd"])
def test_what_is_no_archive_is_refused(tmp_path: Path, raw: bytes) -> None:
    """With the file's name."""
    (tmp_path / "all.zip").write_bytes(raw)

    with pytest.raises(InputError, match=r"all\.zip cannot be read"):
        list(documents(listed(tmp_path)))


def test_an_encrypted_or_damaged_entry_is_refused(tmp_path: Path) -> None:
    """A half of the advisories is not all of them."""
    file = archive(tmp_path / "all.zip", a=os.urandom(1000))
    raw = bytearray(file.read_bytes())
    raw[100] ^= 1
    file.write_bytes(raw)

    with pytest.raises(InputError, match="no good ZIP"):
        list(documents((file,)))


def test_a_folder_without_advisories_is_refused(tmp_path: Path) -> None:
    """It is probably another one."""
    with pytest.raises(InputError, match="no advisories"):
        listed(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        listed(tmp_path / "nowhere")


def test_a_fifo_and_a_link_that_leads_in_a_circle_are_passed_over(tmp_path: Path) -> None:
    """Neither hangs."""
    archive(tmp_path / "all.zip", a=b"{}")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "circle").symlink_to(tmp_path)

    assert [file.name for file in listed(tmp_path)] == ["all.zip"]

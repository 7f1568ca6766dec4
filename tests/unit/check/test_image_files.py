"""The files of an image, as its layers lie over each other."""

from pathlib import Path

import pytest

from imagekit.check import image_files
from imagekit.check.image_files import ImageFile, ImageFiles
from imagekit.errors import DocumentError
from imagekit.oci.tar import EntryKind
from tests.support.archives import archive, entry, hard_link, link
from tests.support.built import layered_image


def _files(folder: Path, *layers: bytes) -> ImageFiles:
    return ImageFiles.of(layered_image(folder, layers))


def _found(files: ImageFiles, path: str) -> ImageFile:
    found = files.find(path)
    assert found is not None
    return found


def test_modes_and_owners_are_those_of_the_layer(tmp_path: Path) -> None:
    """Also those that no octal field holds."""
    layer = archive(
        entry("bin/su", b"x", mode=0o4755, uid=1000, gid=3_000_000), entry("tmp", mode=0o1777)
    )
    files = _files(tmp_path, layer)

    found = _found(files, "/bin/su")
    assert (found.mode, found.uid, found.gid) == (0o4755, 1000, 3_000_000)
    assert _found(files, "/tmp").mode == 0o1777
    # No layer names it, and it is made all the same.
    assert _found(files, "/bin").kind is EntryKind.FOLDER
    assert _found(files, "/").kind is EntryKind.FOLDER


def test_a_higher_layer_hides_and_removes(tmp_path: Path) -> None:
    """A whiteout what is below it, an opaque folder what it had, a file in a folder's place all."""
    files = _files(
        tmp_path,
        archive(*(entry(name, b"low") for name in ("a/1", "a/2", "b/1", "c/d/1", "e/1", "kept"))),
        archive(
            entry("a/.wh.1", b""),
            entry("b/.wh..wh..opq", b""),
            entry("b/2", b"high"),
            entry("c", b"a file now"),
            entry(".wh.e", b""),
        ),
    )

    there = ["a/2", "b/2", "c", "kept"]
    gone = ["a/1", "b/1", "c/d/1", "c/d", "e/1", "e", ".wh.e"]
    assert [path for path in [*there, *gone] if files.find(f"/{path}")] == there
    assert files.contents(["/b/2", "/kept"]) == {"/b/2": b"high", "/kept": b"low"}


def test_links_are_followed_inside_the_image(tmp_path: Path) -> None:
    """For contents to their end; what is looked at may be a link itself."""
    files = _files(
        tmp_path,
        archive(
            entry("usr/lib/x", b"there"),
            link("lib", "usr/lib"),
            link("up", "../../../../usr/lib/x"),
            link("etc/rel", "../lib/x"),
            link("loop", "loop"),
            hard_link("hard", "usr/lib/x"),
        ),
    )

    paths = ["/lib/x", "/up", "/etc/rel", "/hard", "usr/./lib//x", "/etc/../lib/x"]
    assert files.contents(paths) == dict.fromkeys(paths, b"there")
    assert files.contents(["/loop", "/lib", "/no", "/usr"]) == {}
    assert _found(files, "/lib").kind is EntryKind.SYMLINK
    assert _found(files, "/loop").kind is EntryKind.SYMLINK
    assert files.find("/loop/x") is None
    assert files.names("/lib") == ["x"]


def test_the_last_entry_of_a_path_counts(tmp_path: Path) -> None:
    """As where the layer is unpacked."""
    files = _files(tmp_path, archive(entry("a", b"1", mode=0o600), entry("a", b"22", mode=0o640)))

    assert files.contents(["/a"]) == {"/a": b"22"}
    assert _found(files, "/a").mode == 0o640


def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all files together, of paths and of their number."""
    monkeypatch.setattr(image_files, "MAX_CONTENT", 3)
    files = _files(tmp_path, archive(entry("a", b"12"), entry("b", b"12")))

    assert files.contents(["/a"]) == {"/a": b"12"}
    with pytest.raises(DocumentError, match="4 bytes"):
        files.contents(["/a", "/b"])
    with pytest.raises(DocumentError, match="longer paths"):
        _files(tmp_path / "2", archive(entry("x" * 4097, b"")))
    monkeypatch.setattr(image_files, "MAX_ENTRIES", 1)
    with pytest.raises(DocumentError, match="more"):
        _files(tmp_path / "3", archive(*(entry(name, b"") for name in "abc")))


def test_a_hard_link_to_nothing_is_no_layer(tmp_path: Path) -> None:
    """Whatever it would be taken for."""
    with pytest.raises(DocumentError, match="not there"):
        _files(tmp_path, archive(hard_link("a", "b")))

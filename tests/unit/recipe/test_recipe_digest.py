"""The digest of a recipe's folder."""

import os
from pathlib import Path

import pytest

from imagekit.errors import RecipeError
from imagekit.recipe import recipe_digest as module
from imagekit.recipe.recipe_digest import digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "recipe.yaml").write_text("a", encoding="utf-8")
    (tmp_path / "sub" / "b").write_text("b", encoding="utf-8")
    return tmp_path


def test_refuses_special_files(folder: Path) -> None:
    """A FIFO is refused and never opened."""
    os.mkfifo(folder / "pipe")

    with pytest.raises(RecipeError, match="neither a file") as caught:
        digest(folder)

    assert caught.value.code == "recipe/special-file"


def test_refuses_names_that_are_not_utf_8(folder: Path) -> None:
    """A name that cannot be written down cannot be digested."""
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).touch()

    with pytest.raises(RecipeError, match="not UTF-8"):
        digest(folder)


def test_bounds_count_and_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many files, too many bytes and too deep folders end the walk."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "MAX_FILES", 1)
        with pytest.raises(RecipeError, match="more than 1 files"):
            digest(folder)
    with monkeypatch.context() as patch:
        patch.setattr(module, "MAX_BYTES", 1)
        with pytest.raises(RecipeError, match="more than 1 bytes"):
            digest(folder)
    with monkeypatch.context() as patch:
        patch.setattr(module, "MAX_DEPTH", 0)
        with pytest.raises(RecipeError, match="too deeply"):
            digest(folder)


def test_says_what_cannot_be_read(tmp_path: Path) -> None:
    """A folder that is not there is an error with its path."""
    with pytest.raises(RecipeError, match="nowhere"):
        digest(tmp_path / "nowhere")


def test_is_the_documented_one(folder: Path) -> None:
    """The listing is as the module's docstring says, so that others can compute it."""
    (folder / "link").symlink_to("/anywhere")
    (folder / "empty").mkdir()
    (folder / "sub" / "b").chmod(0o744)
    import hashlib

    a, b = (hashlib.sha256(text).hexdigest() for text in (b"a", b"b"))
    listing = (
        '{"files":[["empty","folder",""],["link","link","/anywhere"],'
        f'["recipe.yaml","file","{a}"],["sub/b","executable","{b}"]],"version":1}}'
    )

    assert digest(folder).hex == hashlib.sha256(listing.encode()).hexdigest()


def test_changes_with_content_name_mode_and_link(folder: Path) -> None:
    """Whatever could reach the image changes the digest."""
    seen = {digest(folder)}
    (folder / "sub" / "b").write_text("c", encoding="utf-8")
    seen.add(digest(folder))
    (folder / "sub" / "b").chmod(0o755)
    seen.add(digest(folder))
    (folder / "sub" / "b").rename(folder / "sub" / "c")
    seen.add(digest(folder))
    (folder / "link").symlink_to("a")
    seen.add(digest(folder))
    (folder / "link").unlink()
    (folder / "link").symlink_to("b")
    seen.add(digest(folder))

    assert len(seen) == 6


@pytest.mark.parametrize("name", [".git", "b~", ".b.swp", "#b#", ".#b", ".DS_Store", "recipe.lock"])
def test_leaves_out_what_is_no_part(folder: Path, name: str) -> None:
    """Version control, editor backups and locks are no part, at any depth; nor are times."""
    before = digest(folder)
    os.utime(folder / "recipe.yaml", (1, 1))
    (folder / "sub" / name).touch()
    (folder / name).mkdir()
    (folder / name / "x").touch()

    assert digest(folder) == before


@pytest.mark.parametrize("text", ["./a//", "a/", "a/.", ".//a"])
def test_sees_the_text_of_a_link(folder: Path, text: str) -> None:
    """It goes into the image as it stands: another text is another image."""
    (folder / "link").symlink_to("a")
    before = digest(folder)
    (folder / "link").unlink()
    (folder / "link").symlink_to(text)

    assert digest(folder) != before


def test_refuses_a_link_text_that_is_not_utf_8(folder: Path) -> None:
    """No two texts have one digest because the listing cannot say them."""
    (folder / "link").symlink_to(os.fsdecode(b"a\xff"))

    with pytest.raises(RecipeError, match="not UTF-8") as caught:
        digest(folder)
    assert caught.value.code == "recipe/encoding"

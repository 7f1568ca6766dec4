"""A recipe as an archive: the same again when it is unpacked, and nothing outside is touched."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.errors import DocumentError, IntegrityError, RecipeError
from imagekit.lock import recipe_archive as module
from imagekit.lock.lock_file import lock_bytes
from imagekit.lock.recipe_archive import NOT_KEPT, RecipeArchive, pack_recipe, unpack_recipe
from imagekit.oci.digest import Digest
from imagekit.recipe.tree import Recipes
from tests.support.locks import lock_of

_RECIPE = "schema: 1\nname: {}\nversion: '1'\nbase: {}\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two recipes, one on the other, with all kinds of what may lie in a folder."""
    top = tmp_path / "tree"
    for name, base in (("low", "scratch"), ("apps/high", "{recipe: low}")):
        (top / name).mkdir(parents=True)
        (top / name / "recipe.yaml").write_text(_RECIPE.format(name, base))
    (top / "imagekit.toml").touch()
    high = top / "apps/high"
    (high / "recipe.lock").write_bytes(lock_bytes(lock_of()))
    (high / "run").write_bytes(b"#!/bin/sh\n")
    (high / "run").chmod(0o700)
    (high / "empty").mkdir()
    (high / "deep/er").mkdir(parents=True)
    (high / "deep/er/link").symlink_to("../../run")
    (high / "deep/.git").mkdir()
    (high / "deep/.git/config").touch()
    (high / ("n" * 120)).write_text("a long name")
    return top


def test_what_is_unpacked_is_the_same_recipe(tree: Path, tmp_path: Path) -> None:
    """With its base, by its digest; the lock comes along, and what is no part of it does not."""
    recipes = Recipes()
    recipe = recipes.load(tree / "apps/high")
    archive, raw = pack_recipe(recipe, recipes)
    (tmp_path / "new").mkdir()

    file = unpack_recipe(raw, archive, tmp_path / "new")

    assert file == tmp_path / "new/apps/high/recipe.yaml"
    again = Recipes(root=tmp_path / "new")
    digests = [each.digest for each in again.with_bases(again.load(file))]
    assert digests == [each.digest for each in recipes.with_bases(recipe)]
    assert (file.parent / "recipe.lock").read_bytes() == lock_bytes(lock_of())
    assert not (file.parent / "deep/.git").exists()
    assert pack_recipe(again.load(file), again) == (archive, raw)


def test_the_same_files_make_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    """Whatever their owners, times and other modes."""
    recipes = Recipes()
    first = pack_recipe(recipes.load(tree / "apps/high"), recipes)
    shutil.copytree(tree, tmp_path / "other", symlinks=True, copy_function=shutil.copyfile)
    (tmp_path / "other/apps/high/run").chmod(0o711)
    again = Recipes()

    assert pack_recipe(again.load(tmp_path / "other/apps/high"), again) == first


def test_a_provenance_names_it_by_a_uri() -> None:
    """And what names something else is none."""
    archive = RecipeArchive(digest=Digest.of(b"x"), path="apps/a b/recipe.yaml")

    assert archive.uri == "recipe-archive:apps/a%20b/recipe.yaml"
    assert RecipeArchive.named(archive.uri, archive.digest) == archive
    assert RecipeArchive.named("recipe-file:a", archive.digest) is None
    assert RecipeArchive.named("recipe-archive:", archive.digest) is None


def _changed(high: Path) -> None:
    (high / "run").write_text("other")


def _linked(high: Path) -> None:
    (high / "out").symlink_to("../../../etc/passwd")


def _large(high: Path) -> None:
    (high / "large").write_bytes(bytes(2 << 20))


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (None, _changed, "its files changed"),
        (_linked, None, "the link apps/high/out leads out"),
        (_large, None, "more than"),
    ],
)
def test_what_cannot_be_kept_is_said(
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[Path], None] | None,
    after: Callable[[Path], None] | None,
    why: str,
) -> None:
    """By one code, so that a publish can go on without."""
    monkeypatch.setattr(module, "MAX_ARCHIVE", 1 << 20)
    recipes = Recipes()
    if before is not None:
        before(tree / "apps/high")
    recipe = recipes.load(tree / "apps/high")
    if after is not None:
        after(tree / "apps/high")

    with pytest.raises(RecipeError, match=why) as caught:
        pack_recipe(recipe, recipes)
    assert caught.value.code == NOT_KEPT


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


_GOOD = _member("a/recipe.yaml")
_HOSTILE = {
    "outside": [_GOOD, _member("../x")],
    "link to /": [_GOOD, _member("l", tarfile.SYMTYPE, "/etc")],
    "link above": [_GOOD, _member("a/l", tarfile.SYMTYPE, "../../x")],
    "link by a link": [
        _GOOD,
        _member("a/b/top", tarfile.SYMTYPE, "../.."),
        _member("a/b/l", tarfile.SYMTYPE, "top/../x"),
    ],
    "behind a link": [_GOOD, _member("l", tarfile.SYMTYPE, "a"), _member("l/x")],
    "before a link": [_GOOD, _member("l/x"), _member("l", tarfile.SYMTYPE, "a")],
    "link behind a link": [
        _GOOD,
        _member("l", tarfile.SYMTYPE, "a"),
        _member("l/m", tarfile.SYMTYPE, "x"),
    ],
    "empty link": [_GOOD, _member("l", tarfile.SYMTYPE, "")],
    "hard link": [_GOOD, _member("l", tarfile.LNKTYPE, "a/recipe.yaml")],
    "device": [_GOOD, _member("null", tarfile.CHRTYPE)],
    "twice": [_GOOD, _GOOD],
    "file as folder": [_GOOD, _member("a/recipe.yaml/x")],
    "too deep": [_GOOD, _member("d/" * 200 + "x")],
    "too long": [_GOOD, _member("n" * 300)],
    "no recipe": [_member("b/recipe.yaml")],
    "recipe by a link": [_member("b"), _member("a/recipe.yaml", tarfile.SYMTYPE, "../b")],
    "root": [_GOOD, _member("./", tarfile.DIRTYPE)],
}


@pytest.mark.parametrize("members", _HOSTILE.values(), ids=list(_HOSTILE))
def test_what_misleads_is_refused(members: list[tarfile.TarInfo], tmp_path: Path) -> None:
    """As an archive comes from a registry; nothing of it lies outside of the folder."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for member in members:
            tar.addfile(member)
    archive = RecipeArchive(digest=Digest.of(raw.getvalue()), path="a/recipe.yaml")
    (tmp_path / "in").mkdir()

    with pytest.raises(DocumentError):
        unpack_recipe(raw.getvalue(), archive, tmp_path / "in")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_another_archive_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Only the bytes that the provenance names are unpacked."""
    archive = RecipeArchive(digest=Digest.of(b"named"), path="a/recipe.yaml")

    with pytest.raises(IntegrityError):
        unpack_recipe(b"exchanged", archive, tmp_path)

"""What decides an image is one digest, and what moved is told by name."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.inputs_digest import Inputs, inputs_of
from imagekit.build.job import UsedLock
from imagekit.lock.lock import LockedPlatform, LockedTree
from imagekit.oci.digest import Digest
from imagekit.oci.types import Platform
from imagekit.recipe import Recipes
from imagekit.recipe.recipe import COMPRESSIONS, Recipe

PLATFORM = Platform(os="linux", architecture="amd64")
WHOLE = Inputs(
    recipe=Digest.of(b"recipe"),
    platform="linux/amd64",
    bases={"low": Digest.of(b"low")},
    lock=Digest.of(b"lock"),
    compressor="isal 1 level 1",
    layers=6,
)
CHANGES: dict[str, dict[str, object]] = {
    "the recipe": {"recipe": Digest.of(b"other")},
    "the platform": {"platform": "linux/arm64"},
    "the base low": {"bases": {"low": Digest.of(b"other")}},
    "the lock": {"lock": None},
    "the compressor": {"compressor": "isal 2 level 1"},
    "the form of layers": {"layers": 7},
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_part_is_in_the_digest_and_told_by_name(what: str) -> None:
    """Of no part it can be said that it moved where it did not."""
    other = replace(WHOLE, **CHANGES[what])

    assert other.digest != WHOLE.digest
    assert other.moved(WHOLE.document) == (what,)
    assert WHOLE.moved(WHOLE.document) == ()


def test_the_digest_is_that_of_canonical_json() -> None:
    """So that anybody can compute it."""
    low, lock, recipe = (Digest.of(text) for text in (b"low", b"lock", b"recipe"))
    text = (
        f'{{"bases":{{"low":"{low}"}},"compressor":"isal 1 level 1","layers":6,"lock":"{lock}",'
        f'"platform":"linux/amd64","recipe":"{recipe}","version":1}}'
    )

    assert WHOLE.digest == Digest.of(text.encode())
    assert WHOLE.build == WHOLE.digest.hex[:8]


def test_another_form_of_the_document_moves_all() -> None:
    """What an older version wrote in another way is not taken for the same."""
    assert "the lock" in WHOLE.moved({"bases": "odd"})


def test_the_compressor_is_that_of_the_recipe(recipe: Recipe) -> None:
    """Two hosts with other versions of it make other layers."""
    found = {
        inputs_of(
            replace(recipe, compression=compression),
            PLATFORM,
            recipes=Recipes(),
            lock_of=lambda _: None,
        ).compressor.partition(" ")[0]
        for compression in COMPRESSIONS
    }

    assert found == {"isal", "zstd", "zstd:chunked"}


@pytest.fixture
def tree(tmp_path: Path) -> Recipes:
    """A recipe on another one."""
    (tmp_path / "imagekit.toml").touch()
    for name, base in (("low", "scratch"), ("high", "{recipe: low}")):
        (tmp_path / name).mkdir()
        text = f"schema: 1\nname: {name}\nversion: 1.0.0\nbase: {base}\n"
        (tmp_path / name / "recipe.yaml").write_text(text)
    return Recipes()


def _inputs(tree: Recipes, tmp_path: Path, lock: UsedLock | None = None) -> Inputs:
    def lock_of(recipe: Recipe) -> UsedLock | None:
        return lock if recipe.name == "high" else None

    high = tree.load(tmp_path / "high")
    return inputs_of(high, PLATFORM, recipes=tree, lock_of=lock_of)


def test_a_base_moves_what_stands_on_it(tree: Recipes, tmp_path: Path) -> None:
    """Although the recipe on it is the same, text for text."""
    before = _inputs(tree, tmp_path)
    (tmp_path / "low/file").write_text("more")

    after = _inputs(Recipes(), tmp_path)

    assert after.recipe == before.recipe
    assert after.moved(before.document) == ("the base low",)


def test_a_lock_has_the_bases_published_image(tree: Recipes, tmp_path: Path) -> None:
    """Then the base's recipe has no part in it."""
    low = LockedTree(base="recipe low", image=Digest.of(b"published"))
    lock = UsedLock(digest=Digest.of(b"lock"), source_date=1, platform=LockedPlatform(image=low))

    inputs = _inputs(tree, tmp_path, lock)

    assert inputs.bases == {"low": Digest.of(b"published")}
    assert inputs.lock == lock.digest

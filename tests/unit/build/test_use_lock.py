"""A lock is obeyed whole or the build ends; where it has to be there, it has to."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.bases import BaseImage
from imagekit.build.build import plan_of
from imagekit.build.compression import compressor
from imagekit.build.job import UsedLock
from imagekit.build.use_lock import used_lock
from imagekit.errors import DocumentError, RecipeError
from imagekit.lock.lock import FILE, Lock, LockedInstall, LockedPlatform, LockedTree
from imagekit.lock.lock_file import lock_bytes, lock_digest
from imagekit.oci.hostplatform import host_platform
from imagekit.progress import Note, silent
from imagekit.recipe import Recipes
from imagekit.recipe.recipe import Packages, Recipe, ScratchBase
from tests.support.folder_container import PLACE
from tests.support.locks import deb

PLATFORM = host_platform()


@pytest.fixture
def locked(recipe: Recipe) -> Recipe:
    """A recipe that installs one package."""
    return replace(recipe, packages=(Packages(manager="apt", install=("greeter",), place=PLACE),))


def _lock(**more: object) -> Lock:
    entry = LockedInstall(manager="apt", asked=("greeter",), debs=(deb(),))
    tree = LockedTree(base="debian bookworm", bootstrap=(deb("libc6"),), installs=(entry,))
    lock = Lock(
        recipe="app",
        source_date=77,
        compressor=" ".join(compressor()),
        layers=1,
        platforms={str(PLATFORM): LockedPlatform(image=tree)},
    )
    return replace(lock, **more)


def _write(recipe: Recipe, lock: Lock) -> None:
    (recipe.folder / FILE).write_bytes(lock_bytes(lock))


def _used(recipe: Recipe, wish: str = "auto") -> UsedLock | None:
    return used_lock(recipe, PLATFORM, wish=wish, recipes=Recipes())  # type: ignore[arg-type]  # one of its words


@pytest.mark.parametrize("wish", ["auto", "required"])
def test_the_lock_beside_a_recipe_is_used(locked: Recipe, wish: str) -> None:
    """Its digest is that of its document."""
    _write(locked, _lock())

    used = _used(locked, wish)

    assert used is not None
    assert used.digest == lock_digest(_lock())
    assert used.platform == _lock().platforms[str(PLATFORM)]


def test_a_lock_is_passed_over_where_that_is_asked_for(locked: Recipe) -> None:
    """Even a malformed one."""
    (locked.folder / FILE).write_text("{")

    assert _used(locked, "ignored") is None
    with pytest.raises(DocumentError):
        _used(locked)


@pytest.mark.parametrize("wish", ["auto", "required"])
def test_a_stale_lock_is_never_passed_over(locked: Recipe, wish: str) -> None:
    """What moved is said, with both remedies."""
    _write(locked, _lock())
    other = replace(
        locked, packages=(Packages(manager="apt", install=("greeter", "gcc"), place=PLACE),)
    )

    with pytest.raises(RecipeError, match=r"is stale: .*apt gcc is new") as caught:
        _used(other, wish)

    assert caught.value.code == "build/stale-lock"
    assert f"imagekit lock {locked.folder}" in caught.value.hint
    assert "--unlocked" in caught.value.hint


def test_another_platform_needs_a_lock_of_its_own(locked: Recipe) -> None:
    """One that was written elsewhere says nothing of this one."""
    _write(locked, _lock(platforms={"linux/s390x": _lock().platforms[str(PLATFORM)]}))

    with pytest.raises(RecipeError, match=f"the platform {PLATFORM} is not locked"):
        _used(locked)


def test_a_missing_lock_ends_only_what_must_be_locked(locked: Recipe) -> None:
    """And what no mirror can change needs none."""
    nothing = replace(locked, base=ScratchBase(place=PLACE), packages=())

    assert _used(locked) is None
    assert _used(nothing, "required") is None
    with pytest.raises(RecipeError, match="is not there") as caught:
        _used(locked, "required")
    assert caught.value.code == "build/no-lock"
    assert "IMAGEKIT_LOCKED=false" in caught.value.hint


def test_another_compressor_is_told(locked: Recipe) -> None:
    """It makes other digests of the same content."""
    _write(locked, _lock(compressor="isal 0.0.1 level 1"))
    notes: list[str] = []

    def progress(event: object) -> None:
        if isinstance(event, Note):
            notes.append(event.message)

    used_lock(locked, PLATFORM, wish="auto", recipes=Recipes(), progress=progress)

    assert len(notes) == 1
    assert "isal 0.0.1" in notes[0]


def test_the_locks_time_is_the_images(locked: Recipe) -> None:
    """Whatever the environment of this host says: else two hosts would build two images."""
    _write(locked, _lock())

    plan = plan_of(locked, BaseImage(), env={"SOURCE_DATE_EPOCH": "5"}, lock=_used(locked))

    assert plan.epoch == 77
    assert plan.lock == lock_digest(_lock())
    assert all(layer.locked for layer in plan.layers)


def test_a_recipe_says_its_base_by_the_bases_lock(tmp_path: Path) -> None:
    """A base that was locked anew has other packages below."""
    (tmp_path / "imagekit.toml").touch()
    for name, base in (("low", "scratch"), ("high", "{recipe: low}")):
        (tmp_path / name).mkdir()
        text = f"schema: 1\nname: {name}\nversion: 1.0.0\nbase: {base}\n"
        (tmp_path / name / "recipe.yaml").write_text(text)
    recipes = Recipes()
    high, low = (recipes.load(tmp_path / name) for name in ("high", "low"))
    empty = LockedPlatform(image=LockedTree(base="scratch"))
    below = _lock(recipe="low", platforms={str(PLATFORM): empty})
    tree = LockedTree(base="recipe low", lock=lock_digest(below))
    above = _lock(recipe="high", platforms={str(PLATFORM): LockedPlatform(image=tree)})
    _write(low, below)
    _write(high, above)
    assert used_lock(high, PLATFORM, wish="auto", recipes=recipes, progress=silent) is not None

    _write(low, replace(below, source_date=78))

    with pytest.raises(RecipeError, match="the lock of the recipe low"):
        used_lock(high, PLATFORM, wish="auto", recipes=recipes, progress=silent)

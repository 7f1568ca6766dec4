"""Locks of recipes: what is resolved on what, and what stays."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import pytest
from msgspec.structs import replace

from imagekit.errors import BuildError, RecipeError
from imagekit.lock.lock import Lock, LockedArchive, LockedDeb, LockedTree
from imagekit.lock.lock_file import lock_bytes, lock_digest, lock_path, read_lock
from imagekit.oci.digest import Digest
from imagekit.oci.hostplatform import host_platform
from imagekit.recipe.tree import Recipes
from imagekit.resolve import lock_recipes as module
from imagekit.resolve.dpkg_status import DpkgStatus
from imagekit.resolve.lock_recipe import LockOptions, Newer, RecipeLock
from imagekit.resolve.lock_recipes import lock_recipes
from tests.support.locks import deb

_SYSTEM = "{bootstrap: {distribution: debian, suite: bookworm}}"
_HEAD = "schema: 1\nname: {}\nversion: '1'\ndate: 2023-11-14T22:13:20Z\nbase: {}\n"
_GREETER = "packages: [{manager: apt, install: [greeter]}]\n"


class _Index:
    """An index in which each package is built of a source, and is in the archive or is not."""

    def source(self, name: str) -> str:
        return {"greeter": "greet", "libgreet": "greet"}.get(name, name)

    def stanza(self, digest: Digest) -> None:
        """No package is there any more."""


class _Archive:
    """Stands for apt: installs what is asked for, and a library with greeter, at one version."""

    def __init__(self) -> None:
        self.newest = "1.0"
        self.asked: list[tuple[tuple[str, ...], dict[str, str], str]] = []
        self.refuses_pins = False
        self.index = _Index()

    def install(
        self,
        words: Sequence[str],
        status: DpkgStatus,
        *,
        pins: Mapping[str, str],
        asked: Sequence[str] = (),
        sources: str = "sources",
    ) -> tuple[tuple[LockedDeb, ...], DpkgStatus]:
        self.asked.append((tuple(words), dict(pins), status.text()))
        if pins and self.refuses_pins:
            raise BuildError("they do not fit", code="lock/not-resolved")
        names = ["libc6"] if sources == "bootstrap" else list(words)
        names += ["libgreet"] if "greeter" in names else []
        debs = tuple(
            deb(name, pins.get(name, self.newest), automatic=name not in asked) for name in names
        )
        for each in debs:
            status = status.with_stanza(each, None)
        return debs, status

    def states(self) -> tuple[LockedArchive, ...]:
        release = Digest.of(str(len(self.asked)).encode())
        return (LockedArchive(name="debian", suite="bookworm", release=release),)


class _Roots:
    """Has one archive for all."""

    def __init__(self, archive: _Archive) -> None:
        self.runner = None
        self._archive = archive

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        del error

    def root(self, *words: object) -> _Archive:
        del words
        return self._archive


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> _Archive:
    """The archive that everything is asked of."""
    made = _Archive()
    monkeypatch.setattr(module, "AptRoots", lambda *_: _Roots(made))
    return made


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes a recipe."""
    (tmp_path / "imagekit.toml").touch()

    def recipe(name: str, text: str) -> Path:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "recipe.yaml").write_text(text)
        return tmp_path / name

    return recipe


def _lock(*folders: Path, newer: Newer | None = None, **options: Any) -> list[RecipeLock]:
    """Lock recipes, and write what changed."""
    recipes = Recipes()
    read = [recipes.load(folder) for folder in folders]
    made = list(
        lock_recipes(
            read,
            newer=newer or Newer(),
            options=LockOptions(recipes=recipes, env={}, **options),
        )
    )
    for each in made:
        lock_path(each.recipe.folder).write_bytes(lock_bytes(each.after))
    return made


def _image(lock: Lock) -> LockedTree:
    return lock.platforms[str(host_platform())].image


def _versions(folder: Path) -> dict[str, str]:
    image = _image(cast("Lock", read_lock(folder)))
    debs = (*image.bootstrap, *(each for entry in image.installs for each in entry.debs))
    return {each.name: each.version for each in debs}


_Write = Callable[[str, str], Path]


def test_each_entry_is_resolved_on_what_was_before_it(archive: _Archive, write: _Write) -> None:
    """A system, and then one entry behind the other."""
    two = "packages:\n- {manager: apt, install: [greeter]}\n- {manager: apt, install: [tool]}\n"
    folder = write("one", _HEAD.format("one", _SYSTEM) + two)
    (made,) = _lock(folder)

    assert [words for words, _, _ in archive.asked] == [
        ("?essential", "?priority(required)", "apt"),
        ("greeter",),
        ("tool",),
    ]
    assert "Package: libgreet" in archive.asked[2][2]
    assert made.after.source_date == 1_700_000_000
    assert [each.automatic for each in _image(made.after).installs[0].debs] == [False, True]


def test_what_holds_is_not_asked_again(archive: _Archive, write: _Write) -> None:
    """Whatever the archive has meanwhile."""
    folder = write("one", _HEAD.format("one", _SYSTEM) + _GREETER)
    _lock(folder)
    archive.asked.clear()
    archive.newest = "2.0"

    (made,) = _lock(folder)
    assert (made.after, archive.asked) == (made.before, [])


def test_another_entry_keeps_the_versions_of_the_others(archive: _Archive, write: _Write) -> None:
    """They are preferred, and what is new is new."""
    folder = write("one", _HEAD.format("one", _SYSTEM) + _GREETER)
    _lock(folder)
    archive.newest = "2.0"
    write("one", _HEAD.format("one", _SYSTEM) + _GREETER.replace("[greeter]", "[greeter, tool]"))

    (made,) = _lock(folder)
    assert made.moved
    assert _versions(folder) == {"libc6": "1.0", "greeter": "1.0", "libgreet": "1.0", "tool": "2.0"}


def test_versions_that_do_not_fit_are_given_up_and_told(archive: _Archive, write: _Write) -> None:
    """A package that is new may need newer ones."""
    folder = write("one", _HEAD.format("one", _SYSTEM) + _GREETER)
    _lock(folder)
    archive.newest, archive.refuses_pins = "2.0", True
    write("one", _HEAD.format("one", _SYSTEM) + _GREETER.replace("[greeter]", "[greeter, tool]"))
    told: list[object] = []

    _lock(folder, progress=told.append)
    assert set(_versions(folder).values()) == {"2.0"}
    assert any("not all versions" in str(event) for event in told)


def test_an_update_of_one_package_takes_its_source_along(archive: _Archive, write: _Write) -> None:
    """And no other."""
    folder = write("one", _HEAD.format("one", _SYSTEM) + _GREETER)
    _lock(folder)
    archive.newest = "2.0"

    _lock(folder, newer=Newer(packages=frozenset({"libgreet"})))
    assert _versions(folder) == {"libc6": "1.0", "greeter": "2.0", "libgreet": "2.0"}
    with pytest.raises(RecipeError) as caught:
        _lock(folder, newer=Newer(packages=frozenset({"libgreet", "nothing"})))
    assert caught.value.code == "lock/unknown-package"


def test_an_update_of_all_takes_the_newest(archive: _Archive, write: _Write) -> None:
    """Of everything; and touches nothing where only archives were signed anew."""
    folder = write("one", _HEAD.format("one", _SYSTEM) + _GREETER)
    _lock(folder)
    archive.newest = "2.0"
    _lock(folder, newer=Newer(everything=True))
    assert set(_versions(folder).values()) == {"2.0"}

    (made,) = _lock(folder, newer=Newer(everything=True))
    assert made.after == made.before


def test_a_recipe_stands_on_the_lock_of_its_base(archive: _Archive, write: _Write) -> None:
    """Which is made first; when that moves, what stands on it is resolved again."""
    base = write("base", _HEAD.format("base", _SYSTEM))
    child = write("child", _HEAD.format("child", "{recipe: base}") + _GREETER)
    published = Digest.of(b"published")
    below, made = _lock(child, published=lambda *_: published)

    assert (below.recipe.name, made.recipe.name) == ("base", "child")
    assert "Package: libc6" in archive.asked[-1][2]
    image = _image(made.after)
    assert (image.bootstrap, image.image, image.lock) == ((), published, lock_digest(below.after))

    archive.newest = "2.0"
    _lock(base, newer=Newer(everything=True))
    _, moved = _lock(child)
    assert moved.moved == ("the lock of the recipe base, which this one stands on, is another one",)
    assert _versions(child) == {"greeter": "1.0", "libgreet": "1.0"}


def test_an_update_of_a_recipe_leaves_its_base(archive: _Archive, write: _Write) -> None:
    """Others stand on that too."""
    base = write("base", _HEAD.format("base", _SYSTEM))
    child = write("child", _HEAD.format("child", "{recipe: base}") + _GREETER)
    _lock(child)
    archive.newest = "2.0"

    _lock(child, newer=Newer(everything=True))
    assert _versions(base) == {"libc6": "1.0"}
    assert _versions(child) == {"greeter": "2.0", "libgreet": "2.0"}


def test_stages_are_resolved_on_their_own_ground(archive: _Archive, write: _Write) -> None:
    """Without a base it is that of the image, before what the image installs."""
    stages = (
        "stages:\n  make:\n    packages: [{manager: apt, install: [tool]}]\n"
        "    steps: [run: 'true']\n"
        "steps: [copy: {from_stage: make, from: /etc, to: /x}]\n"
    )
    folder = write("one", _HEAD.format("one", _SYSTEM) + _GREETER + stages)
    (made,) = _lock(folder)

    stage = made.after.platforms[str(host_platform())].stages["make"]
    assert (stage.base, stage.bootstrap) == ("", ())
    assert [each.name for each in stage.installs[0].debs] == ["tool"]
    words, _, status = archive.asked[-1]
    assert words == ("tool",)
    assert "Package: libc6" in status
    assert "greeter" not in status


def test_all_platforms_of_a_recipe_are_locked(archive: _Archive, write: _Write) -> None:
    """A base that lacks one is told."""
    platforms = "platforms: [linux/amd64, linux/arm64]\n"
    write("base", _HEAD.format("base", _SYSTEM))
    child = write("child", _HEAD.format("child", "{recipe: base}") + _GREETER + platforms)
    with pytest.raises(RecipeError) as caught:
        _lock(child)
    assert caught.value.code == "lock/no-platform"

    write("base", _HEAD.format("base", _SYSTEM) + platforms)
    _, made = _lock(child)
    assert list(made.after.platforms) == ["linux/amd64", "linux/arm64"]
    assert archive.asked


def test_nothing_is_installed_on_nothing(archive: _Archive, write: _Write) -> None:
    """A recipe of copies has a lock too, and asks nobody."""
    folder = write("one", _HEAD.format("one", "scratch"))
    (made,) = _lock(folder)
    assert (_image(made.after).base, archive.asked) == ("scratch", [])

    write("one", _HEAD.format("one", "scratch") + _GREETER)
    with pytest.raises(BuildError) as caught:
        _lock(folder)
    assert caught.value.code == "build/no-apt"


def test_a_recipe_without_a_commit_of_its_own_keeps_the_locks_time(
    archive: _Archive, write: _Write
) -> None:
    """It is being changed; the time is the user's where that is said."""
    text = _HEAD.format("one", _SYSTEM).replace("date: 2023-11-14T22:13:20Z\n", "")
    folder = write("one", text)
    (made,) = _lock(folder)
    lock_path(folder).write_bytes(lock_bytes(replace(made.after, source_date=77)))
    write("one", text + _GREETER)

    (changed,) = _lock(folder)
    assert changed.after.source_date == 77
    assert archive.asked


def test_a_containerfile_is_no_ground(archive: _Archive, write: _Write) -> None:
    """What it installs shows when it runs."""
    head = "schema: 1\nname: base\nversion: '1'\ncontainerfile: Containerfile\n"
    folder = write("base", head)
    (folder / "Containerfile").write_text("FROM scratch\nLABEL a=b\n")
    child = write("child", _HEAD.format("child", "{recipe: base}") + _GREETER)

    with pytest.raises(RecipeError) as caught:
        _lock(child)
    assert caught.value.code == "lock/unknown-base"
    assert archive.asked == []

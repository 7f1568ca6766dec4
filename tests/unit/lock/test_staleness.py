"""A lock that is no longer that of its recipe says what moved."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.lock.asked import asked_image, asked_stages
from imagekit.lock.lock import Lock, LockedArchive, LockedPlatform
from imagekit.lock.staleness import staleness
from imagekit.oci.digest import Digest
from imagekit.oci.types import Platform
from imagekit.recipe.recipe import Recipe
from imagekit.recipe.tree import Recipes
from tests.support.locks import lock_of
from tests.support.openpgp import ARMORED

_HASH = "8" * 64
_RECIPE = f"""\
schema: 1
name: hello
version: "1"
date: 2023-11-14T22:13:20Z
base: {{bootstrap: {{distribution: debian, suite: bookworm}}}}
platforms: [linux/amd64]
stages:
  build:
    packages: [{{manager: apt, install: [gcc]}}]
    steps: [run: "true"]
packages:
  - {{manager: apt, install: [make]}}
  - {{manager: pip, install: ["six==1.16.0 --hash=sha256:{_HASH}"]}}
apt: {{sources: [{{uri: "https://example.org/apt", suite: ./, signed_by: key.asc}}]}}
steps:
  - fetch: {{url: "https://example.org/a.tar", sha256: "{_HASH}", to: /opt/a}}
  - copy: {{from_stage: build, from: /etc/hostname, to: /etc/b}}
"""
_Read = Callable[..., Recipe]


@pytest.fixture
def read(tmp_path: Path) -> _Read:
    """Return a function that reads the recipe with one text in the place of another."""
    (tmp_path / "key.asc").write_text(ARMORED)

    def load(old: str = "", new: str = "") -> Recipe:
        assert old in _RECIPE
        (tmp_path / "recipe.yaml").write_text(_RECIPE.replace(old, new) if old else _RECIPE)
        return Recipes().load(tmp_path)

    return load


def _locked(recipe: Recipe) -> Lock:
    """Return what a lock of the recipe says of what it asks for."""
    archives = tuple(
        LockedArchive(name=source.uri, suite=source.suite, release=Digest.of(b""))
        for source in recipe.apt
    )
    platform = LockedPlatform(
        archives=archives, image=asked_image(recipe), stages=asked_stages(recipe)
    )
    return lock_of(platforms={"linux/amd64": platform}, source_date=recipe.date or 0)


def test_a_lock_of_the_recipe_as_it_is_holds(read: _Read) -> None:
    """What changes nothing that is locked moves nothing: a title, a test, a step's text."""
    lock = _locked(read())

    assert staleness(lock, read()) == ()
    assert staleness(lock, read('"true"', '"false"')) == ()
    assert staleness(lock, read('version: "1"', 'version: "2"')) == ()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: hello", "name: bye", "is that of the recipe hello"),
        ("2023-11-14T22:13:20Z", "2023-11-14T22:13:21Z", "`date` is 1700000001"),
        ("suite: bookworm", "suite: trixie", "base of the image was `debian bookworm`"),
        ("[linux/amd64]", "[linux/amd64, linux/arm64]", "linux/arm64 is not locked"),
        ("[linux/amd64]", "[linux/arm64]", "linux/amd64 is none of the recipe"),
        ("[make]", "[make, gawk]", "other packages: apt gawk is new"),
        ("[make]", "[gawk]", "apt gawk is new, apt make is gone"),
        ("[gcc]", "[g++]", "stage build asks for other packages"),
        ("six==1.16.0", "six==1.17.0", "pip six==1.17.0 is new"),
        ("a.tar", "b.tar", "fetches other files: https://example.org/a.tar, "),
        (f'"{_HASH}", to', f'"{"9" * 64}", to', "fetches other files: https://example.org/a.tar"),
        ("example.org/apt", "example.org/deb", "repository https://example.org/deb ./ is new"),
        ("suite: ./", "suite: x/", "repository https://example.org/apt ./ is gone"),
        ("build", "make", "the stage build is gone"),
        (
            "    steps: [run",
            "    base: scratch\n    steps: [run",
            "base of the stage build was `` and is `scratch`",
        ),
    ],
)
def test_each_thing_that_moved_is_told(read: _Read, old: str, new: str, told: str) -> None:
    """Each alone makes the lock stale."""
    lock = _locked(read())

    assert any(told in text for text in staleness(lock, read(old, new)))


def test_another_order_of_packages_is_another_recipe(read: _Read) -> None:
    """Entries are installed one behind the other."""
    lock = _locked(read("[make]", "[make, gawk]"))

    (text,) = staleness(lock, read("[make]", "[gawk, make]"))
    assert "another order" in text


def test_a_platform_that_is_wanted_besides_is_missed(read: _Read) -> None:
    """That of the host, where the recipe names none."""
    recipe = read("platforms: [linux/amd64]\n", "")
    host = Platform(os="linux", architecture="riscv64")

    assert staleness(_locked(recipe), recipe) == ()
    (text,) = staleness(_locked(recipe), recipe, [host])
    assert "linux/riscv64 is not locked" in text


def test_the_time_of_a_recipe_without_a_date_is_the_locks(read: _Read) -> None:
    """That of the last commit is known only where its history is there."""
    recipe = read("date: 2023-11-14T22:13:20Z\n", "")

    assert staleness(replace(_locked(recipe), source_date=5), recipe) == ()


def test_another_lock_of_the_base_is_told(read: _Read) -> None:
    """What is installed depends on what is there already."""
    base = "bootstrap: {distribution: debian, suite: bookworm}"
    recipe = read(f"{{{base}}}", "{recipe: base}")
    tree = replace(asked_image(recipe), lock=Digest.of(b"1"))
    locked = _locked(recipe).platforms["linux/amd64"]
    lock = replace(_locked(recipe), platforms={"linux/amd64": replace(locked, image=tree)})

    assert staleness(lock, recipe, bases={"base": Digest.of(b"1")}) == ()
    assert staleness(lock, recipe, bases={"other": Digest.of(b"2")}) == ()
    (text,) = staleness(lock, recipe, bases={"base": Digest.of(b"2")})
    assert "recipe base, which this one stands on" in text

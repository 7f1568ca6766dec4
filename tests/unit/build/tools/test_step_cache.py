"""The cache of steps: what is there whole and young is found, and the rest goes."""

import os
import time
from pathlib import Path
from typing import IO

import pytest
from msgspec.structs import replace

from imagekit.build.image import Material
from imagekit.build.job import CachedStep
from imagekit.build.tools.step_cache import KEPT_SECONDS, StepCache
from imagekit.errors import BuildError
from imagekit.oci.digest import Digest

_KEY = Digest.of(b"a step and all below it")


@pytest.fixture
def cache(tmp_path: Path) -> StepCache:
    """An empty one."""
    return StepCache(folder=tmp_path / "steps", max_age=60)


def _keep(cache: StepCache, *, age: float = 0.0, isolation: str = "", key: Digest = _KEY) -> None:
    materials = (Material(uri="http://site.example/x"),)
    step = CachedStep(materials=materials, made=time.time() - age, isolation=isolation)

    def fill(file: IO[bytes]) -> None:
        file.write(b"archive")

    cache.keep(key, step, fill)


def test_a_step_that_is_kept_is_found(cache: StepCache) -> None:
    """With its archive, which nobody else can read."""
    _keep(cache)

    found = cache.find(_KEY)

    assert found is not None
    assert found.materials == (Material(uri="http://site.example/x"),)
    assert cache.archive(_KEY).read_bytes() == b"archive"
    assert cache.folder.stat().st_mode & 0o077 == 0
    assert len(list(cache.folder.iterdir())) == 2


@pytest.mark.parametrize("age", [61, -60], ids=["old", "of the future"])
def test_a_step_of_another_time_is_done_again(cache: StepCache, age: float) -> None:
    """As a layer is."""
    _keep(cache, age=age)

    assert cache.find(_KEY) is None


@pytest.mark.parametrize("archive", [None, b"half"])
def test_a_step_whose_archive_is_gone_is_done_again(
    cache: StepCache, archive: bytes | None
) -> None:
    """The record alone is nothing."""
    _keep(cache)
    cache.archive(_KEY).unlink()
    if archive is not None:
        cache.archive(_KEY).write_bytes(archive)

    assert cache.find(_KEY) is None


@pytest.mark.parametrize("record", [b"", b"{", b"{}", b'{"made": "x"}'])
def test_a_record_that_is_none_is_not_used(cache: StepCache, record: bytes) -> None:
    """Whoever wrote it."""
    _keep(cache)
    (cache.folder / f"{_KEY.hex}.json").write_bytes(record)

    assert cache.find(_KEY) is None


def test_a_step_that_chroot_contained_is_not_used_where_more_is_asked_for(
    cache: StepCache,
) -> None:
    """``--isolation oci`` is about what was run."""
    _keep(cache, isolation="chroot")

    assert cache.find(_KEY) is not None
    assert replace(cache, contained=True).find(_KEY) is None


def test_a_locked_step_is_used_as_long_as_it_is_there(cache: StepCache) -> None:
    """What it stands on does not change with the mirrors."""
    step = CachedStep(materials=(), made=time.time() - 1000, locked=True)
    cache.keep(_KEY, step, lambda _: None)

    assert cache.find(_KEY) == step


def test_nothing_stays_of_what_cannot_be_kept(cache: StepCache) -> None:
    """Neither a record nor a part of an archive."""

    def fill(file: IO[bytes]) -> None:
        file.write(b"half")
        raise BuildError("a device")

    with pytest.raises(BuildError):
        cache.keep(_KEY, CachedStep(materials=(), made=time.time()), fill)

    assert list(cache.folder.iterdir()) == []


def test_a_step_that_is_dropped_is_gone(cache: StepCache) -> None:
    """Also where it was not there."""
    _keep(cache)
    cache.drop(_KEY)
    cache.drop(_KEY)

    assert list(cache.folder.iterdir()) == []


def test_old_ones_go_and_the_oldest_of_too_many(cache: StepCache) -> None:
    """Nothing else that lies there is touched."""
    keys = [Digest.of(bytes([number])) for number in range(3)]
    for age, key in zip((KEPT_SECONDS + 9, 20, 10), keys, strict=True):
        _keep(cache, key=key)
        for path in cache.folder.glob(f"{key.hex}*"):
            os.utime(path, (time.time() - age, time.time() - age))
    (cache.folder / ".part-old").write_bytes(b"x")
    os.utime(cache.folder / ".part-old", (5, 5))
    (cache.folder / "mine").touch()
    os.utime(cache.folder / "mine", (5, 5))

    cache.tidy()

    assert [cache.find(key) is not None for key in keys] == [False, True, True]
    record = (cache.folder / f"{keys[2].hex}.json").stat().st_size
    cache.tidy(most=len(b"archive") + record)
    assert [cache.find(key) is not None for key in keys] == [False, False, True]
    assert {path.name for path in cache.folder.iterdir()} == {
        *(f"{keys[2].hex}{suffix}" for suffix in (".json", ".tar.gz")),
        "mine",
    }


def test_a_cache_that_is_not_there_yet_is_tidy(cache: StepCache) -> None:
    """The first build finds none."""
    cache.tidy()

    assert not cache.folder.exists()

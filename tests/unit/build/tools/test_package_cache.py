"""The cache of packages: whole or not there, hashed before each use, told where it is not had."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imagekit.build.tools.package_cache import PackageCache, WantedFile
from imagekit.errors import BuildError
from imagekit.oci.digest import Digest
from imagekit.progress import Advanced, Event, silent
from tests.support.hostile import Answer, Asked, HostileRegistry

FILES = {f"/{number}": f"package {number}".encode() * 5000 for number in range(6)}


class _Site:
    """A server of the files, and what it was asked."""

    def __init__(self) -> None:
        self.files = dict(FILES)
        self.server = HostileRegistry(self._answer)

    @property
    def asked(self) -> list[str]:
        """The paths, sorted: several are asked at once."""
        return sorted(one.path for one in self.server.asked)

    def _answer(self, asked: Asked) -> Answer:
        body = self.files.get(asked.path)
        return Answer(status=404) if body is None else Answer(body=body)

    def wanted(self, path: str) -> WantedFile:
        """Return a file as a lock has it."""
        raw = FILES[path]
        url = f"http://{self.server.host}{path}"
        return WantedFile(
            digest=Digest.of(raw), size=len(raw), title=f"p{path[1:]} 1.0 (all)", url=url
        )


@pytest.fixture
def site() -> Iterator[_Site]:
    """A server."""
    site = _Site()
    with site.server:
        yield site


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    """An empty cache."""
    return PackageCache(tmp_path / "downloads")


def _bring(cache: PackageCache, *wanted: WantedFile) -> list[Event]:
    events: list[Event] = []
    cache.bring(wanted, stage="packages", limit=20, progress=events.append)
    return events


def test_what_is_there_is_not_asked_for_again(cache: PackageCache, site: _Site) -> None:
    """Each file comes once, whatever recipe wants it, and the bytes of all are told."""
    all_of_them = [site.wanted(path) for path in FILES]
    events = _bring(cache, *all_of_them, all_of_them[0])
    again = _bring(cache, *all_of_them)

    assert site.asked == sorted(FILES)
    assert again == []
    assert {path.name for path in cache.folder.iterdir()} == {w.digest.hex for w in all_of_them}
    last = events[-1]
    assert isinstance(last, Advanced)
    assert last.done == last.total == sum(map(len, FILES.values()))
    assert last.doing == "downloading 6 files,"


def test_a_file_that_was_changed_is_not_used(cache: PackageCache, site: _Site) -> None:
    """A step that left its container may have written to it."""
    wanted = site.wanted("/1")
    _bring(cache, wanted)
    cache.path(wanted.digest).write_bytes(b"evil")

    _bring(cache, wanted)

    assert cache.path(wanted.digest).read_bytes() == FILES["/1"]


def test_a_use_is_remembered(cache: PackageCache, site: _Site) -> None:
    """By the time of the file: prune goes by it."""
    wanted = site.wanted("/1")
    _bring(cache, wanted)
    os.utime(cache.path(wanted.digest), (1, 1))

    _bring(cache, wanted)

    assert cache.path(wanted.digest).stat().st_mtime > 1


@pytest.mark.parametrize("body", [None, b"other", b"longer than it should be " * 9000])
def test_what_is_gone_is_named_with_the_ways_out(
    cache: PackageCache, site: _Site, body: bytes | None
) -> None:
    """Nothing half is left; what was got beside it stays."""
    site.files.pop("/1")
    if body is not None:
        site.files["/1"] = body

    with pytest.raises(BuildError) as caught:
        _bring(cache, site.wanted("/1"))

    assert caught.value.code == "build/package-gone"
    assert "p1 1.0 (all)" in caught.value.message
    assert "imagekit cache pull" in caught.value.hint
    assert "imagekit lock RECIPE --update p1" in caught.value.hint
    assert list(cache.folder.iterdir()) == []


def test_without_a_mirror_only_the_cache_is_asked(cache: PackageCache, site: _Site) -> None:
    """A host that knows no mirror builds what it has."""
    known = site.wanted("/1")
    _bring(cache, known)
    nowhere = WantedFile(digest=known.digest, size=known.size, title="p1 1.0 (all)", url="")
    other = WantedFile(digest=Digest.of(b"x"), size=1, title="x 1.0 (all)", url="")

    _bring(cache, nowhere)

    with pytest.raises(BuildError, match="no mirror"):
        _bring(cache, other)


def test_two_builds_get_the_same_files_at_once(cache: PackageCache, site: _Site) -> None:
    """Neither sees a half of one."""
    wanted = [site.wanted(path) for path in FILES]
    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(_bring, cache, *wanted) for _ in range(2)]:
            one.result()

    assert {path.read_bytes() for path in cache.folder.iterdir()} == set(FILES.values())


class _Other:
    """Has one file that left its mirror."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def get(self, wanted: WantedFile, target: Path) -> bool:
        """Write it, whatever was wanted."""
        del wanted
        target.write_bytes(self.raw)
        return True


@pytest.mark.parametrize("right", [True, False])
def test_what_left_its_mirror_is_had_elsewhere(tmp_path: Path, site: _Site, *, right: bool) -> None:
    """And believed as little as the mirror."""
    site.files.pop("/1")
    cache = PackageCache(tmp_path / "d", elsewhere=_Other(FILES["/1"] if right else b"evil"))

    if right:
        _bring(cache, site.wanted("/1"))
    else:
        with pytest.raises(BuildError, match="cannot be had"):
            _bring(cache, site.wanted("/1"))

    held = [path.read_bytes() for path in cache.folder.iterdir()]
    assert held == ([FILES["/1"]] if right else [])


def test_a_file_is_placed_on_another_file_system_too(
    cache: PackageCache, site: _Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a copy where no link can be."""
    wanted = site.wanted("/1")
    _bring(cache, wanted)
    cache.place(wanted.digest, tmp_path / "link")

    def fails(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", fails)
    cache.place(wanted.digest, tmp_path / "copy")

    assert (tmp_path / "link").read_bytes() == (tmp_path / "copy").read_bytes() == FILES["/1"]
    assert (tmp_path / "link").stat().st_ino != (tmp_path / "copy").stat().st_ino


def test_a_wheel_is_kept_by_what_it_is(cache: PackageCache, tmp_path: Path) -> None:
    """And had again by its name; of several, all or none."""
    wheel = tmp_path / "a-1-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    (tmp_path / "to").mkdir()

    cache.keep(wheel)

    files = {wheel.name: Digest.of(b"wheel")}
    assert not cache.place_all({**files, "b.whl": Digest.of(b"b")}, tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []
    assert cache.place_all(files, tmp_path / "to")
    assert (tmp_path / "to" / wheel.name).read_bytes() == b"wheel"
    assert not cache.place_all({}, tmp_path / "to")
    cache.bring((), stage="packages", limit=1, progress=silent)

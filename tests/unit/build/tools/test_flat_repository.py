"""A repository of locked packages: what apt reads of it, and that it holds no other package."""

import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.tools.flat_repository import write_repository
from imagekit.build.tools.package_cache import PackageCache
from imagekit.errors import BuildError
from imagekit.lock.lock import LockedDeb
from imagekit.process import Runner
from tests.support.debs import locked, make_deb


@pytest.fixture
def debs(tmp_path: Path) -> tuple[LockedDeb, ...]:
    """Two packages in a cache; the archive has another priority than one of them."""
    (tmp_path / "debs").mkdir()
    made = (
        make_deb(tmp_path / "debs", "first", Priority="extra", Filename="/etc/passwd"),
        make_deb(tmp_path / "debs", "second", "2.0", Depends="first (>= 1)"),
    )
    for deb in made:
        PackageCache(tmp_path / "cache").keep(deb)
    return locked(made[0], priority="required"), locked(made[1])


def _write(tmp_path: Path, *debs: LockedDeb) -> Path:
    folder = tmp_path / "repository"
    cache = PackageCache(tmp_path / "cache")
    write_repository(folder, debs, suite="bookworm", cache=cache, runner=Runner())
    return folder


def test_the_index_has_what_the_archives_has(tmp_path: Path, debs: tuple[LockedDeb, ...]) -> None:
    """Its Priority decides, as in the archive; relations come from the package itself."""
    folder = _write(tmp_path, *debs)

    first, second = (folder / "Packages").read_text().strip().split("\n\n")
    assert "Priority: required" in first
    assert "extra" not in first
    assert "passwd" not in first
    assert f"Filename: ./{debs[0].sha256.hex}.deb" in first
    assert f"Size: {debs[0].size}" in first
    assert f"SHA256: {debs[0].sha256.hex}" in first
    assert "Depends: first (>= 1)" in second
    assert " and more" in second
    names = {path.name for path in folder.iterdir()}
    assert names == {"Packages", "Release", *(f"{deb.sha256.hex}.deb" for deb in debs)}


def test_apt_takes_it(tmp_path: Path, debs: tuple[LockedDeb, ...]) -> None:
    """A real one, with no other source: it would install both."""
    folder = _write(tmp_path, *debs)
    root = tmp_path / "apt"
    for name in ("etc/apt", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (root / name).mkdir(parents=True)
    (root / "status").touch()
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] copy:{folder} ./\n")
    options = ["-o", f"Dir={root}", "-o", f"Dir::State::status={root}/status"]
    options += ["-o", "APT::Sandbox::User="]
    update = ["apt-get", *options, "update", "--error-on=any"]
    subprocess.run(update, check=True, capture_output=True)

    words = ["apt-get", *options, "install", "--simulate", "second"]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout

    assert [line.split()[1] for line in said.splitlines() if line.startswith("Inst")] == [
        "first",
        "second",
    ]


def test_nothing_is_a_repository_too(tmp_path: Path) -> None:
    """Of an entry whose packages are all there already."""
    folder = _write(tmp_path)

    assert (folder / "Packages").read_bytes() == b""
    assert "Codename: bookworm" in (folder / "Release").read_text()


@pytest.mark.parametrize("field", ["name", "version", "architecture"])
def test_a_package_that_is_another_is_refused(
    tmp_path: Path, debs: tuple[LockedDeb, ...], field: str
) -> None:
    """A lock whose digests were exchanged by hand."""
    other = replace(debs[0], **{field: "other"})

    with pytest.raises(BuildError, match="of the lock is a package whose") as caught:
        _write(tmp_path, other)

    assert caught.value.code == "build/not-as-locked"

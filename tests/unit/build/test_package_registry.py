"""Packages in a registry: kept under the lock's digest, and believed by their own digests only."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.package_registry import KIND, PackageRegistry, push_packages
from imagekit.build.tools.package_cache import PackageCache, WantedFile
from imagekit.errors import BuildError
from imagekit.oci.codec import parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository, TaggedReference
from imagekit.oci.types import Manifest
from imagekit.progress import silent
from tests.support.fakes import MemoryRegistry

REPOSITORY = Repository("r.site", "packages")
LOCK = Digest.of(b"lock")
FILES = {f"p{number}": f"package {number}".encode() for number in range(3)}
WANTED = tuple(
    WantedFile(digest=Digest.of(raw), size=len(raw), title=f"{name} 1.0 (all)", url="")
    for name, raw in FILES.items()
)


@pytest.fixture
def pushed(tmp_path: Path) -> MemoryRegistry:
    """A registry that has the packages of a lock."""
    cache = PackageCache(tmp_path / "first")
    for name, raw in FILES.items():
        (tmp_path / name).write_bytes(raw)
        cache.keep(tmp_path / name)
    registry = MemoryRegistry()
    push_packages(
        WANTED, LOCK, cache=cache, writer=registry, repository=REPOSITORY, progress=silent
    )
    return registry


def _pull(registry: MemoryRegistry, folder: Path, *wanted: WantedFile) -> PackageCache:
    cache = PackageCache(folder, PackageRegistry(registry, REPOSITORY))
    cache.bring(wanted, stage="packages", limit=5, progress=silent)
    return cache


def test_one_manifest_keeps_the_packages_of_a_lock(pushed: MemoryRegistry) -> None:
    """Else the registry would remove what nothing names."""
    raw = pushed.manifest(TaggedReference(REPOSITORY, f"lock-{LOCK.hex}"))
    manifest = parse_manifest(raw.raw, raw.media_type)

    assert isinstance(manifest, Manifest)
    assert manifest.artifact_type == KIND
    assert [layer.digest for layer in manifest.layers] == [each.digest for each in WANTED]
    assert manifest.layers[0].annotations["org.opencontainers.image.title"] == "p0 1.0 (all)"


def test_what_left_its_mirror_comes_from_there(pushed: MemoryRegistry, tmp_path: Path) -> None:
    """All of it, whole."""
    cache = _pull(pushed, tmp_path / "other", *WANTED)

    assert {path.read_bytes() for path in cache.folder.iterdir()} == set(FILES.values())


def test_what_is_gone_from_everywhere_is_named(pushed: MemoryRegistry, tmp_path: Path) -> None:
    """With both places, and the ways out."""
    other = WantedFile(digest=Digest.of(b"x"), size=1, title="gcc 12 (amd64)", url="")

    with pytest.raises(
        BuildError, match=r"gcc 12 \(amd64\).*the registry has it neither"
    ) as caught:
        _pull(pushed, tmp_path / "other", WANTED[0], other)

    assert "imagekit lock RECIPE --update gcc" in caught.value.hint
    names = {path.name for path in (tmp_path / "other").iterdir()}
    assert names <= {WANTED[0].digest.hex}


def test_what_the_registry_calls_so_is_not_believed(pushed: MemoryRegistry, tmp_path: Path) -> None:
    """A file of another size or content is none."""
    longer = replace(WANTED[0], size=WANTED[0].size + 1)

    with pytest.raises(BuildError, match="cannot be had"):
        _pull(pushed, tmp_path / "other", longer)

    assert list((tmp_path / "other").iterdir()) == []

"""The cache of blobs: bounded, and never half."""

import os
from pathlib import Path

import pytest

from imagekit.errors import InputError
from imagekit.gate.blobs.blob_cache import BlobCache
from imagekit.oci.digest import Digest


def put(cache: BlobCache, content: bytes) -> Digest:
    """Write a blob into the cache."""
    part = cache.begin(len(content))
    assert part is not None
    with part.file:
        part.file.write(content)
        cache.commit(part, Digest.of(content))
    return Digest.of(content)


def read(cache: BlobCache, digest: Digest, size: int) -> tuple[bytes, bool] | None:
    """Read a blob, and whether it was checked."""
    found = cache.open(digest, size)
    if found is None:
        return None
    with found[0] as file:
        return file.read(), found[1]


def test_round_trip(tmp_path: Path) -> None:
    """What was written here needs no check; what an earlier process left does."""
    cache = BlobCache(tmp_path, 100)
    digest = put(cache, b"content")

    assert read(cache, digest, 7) == (b"content", True)
    cache.close()
    later = BlobCache(tmp_path, 100)
    assert read(later, digest, 7) == (b"content", False)
    later.checked(digest)
    assert read(later, digest, 7) == (b"content", True)


def test_another_size_takes_nothing_away(tmp_path: Path) -> None:
    """A manifest that states a wrong size has no blob of that size, and deletes none."""
    cache = BlobCache(tmp_path, 100)
    digest = put(cache, b"content")

    assert read(cache, digest, 8) is None
    assert read(cache, digest, 7) == (b"content", True)


def test_least_recently_used_goes_first(tmp_path: Path) -> None:
    """Using keeps."""
    cache = BlobCache(tmp_path, 30)
    one, two, three = (put(cache, each * 10) for each in (b"1", b"2", b"3"))
    assert read(cache, one, 10)
    put(cache, b"4" * 10)

    assert read(cache, one, 10)
    assert read(cache, two, 10) is None
    assert read(cache, three, 10)
    assert cache.used <= 30


def test_what_is_being_written_counts(tmp_path: Path) -> None:
    """Room is kept for what is on its way."""
    cache = BlobCache(tmp_path, 30)
    first, second = cache.begin(20), cache.begin(20)

    assert first is not None
    assert second is None
    cache.abandon(first)
    first.file.close()
    assert cache.used == 0
    assert not first.path.exists()


def test_too_large(tmp_path: Path) -> None:
    """What is larger than the cache evicts nothing."""
    cache = BlobCache(tmp_path, 30)
    digest = put(cache, b"1" * 10)

    assert cache.begin(31) is None
    assert read(cache, digest, 10)


def test_parts_are_swept(tmp_path: Path) -> None:
    """What a killed process left half is deleted."""
    cache = BlobCache(tmp_path, 30)
    part = cache.begin(10)
    assert part is not None
    part.file.write(b"half")
    part.file.close()
    cache.close()

    BlobCache(tmp_path, 30)

    assert not part.path.exists()


def test_smaller_limit(tmp_path: Path) -> None:
    """A cache that was given less room gives it back at once, the oldest first."""
    cache = BlobCache(tmp_path, 100)
    old, new = put(cache, b"1" * 10), put(cache, b"2" * 10)
    os.utime(tmp_path / "sha256" / old.hex, (1, 1))
    cache.close()

    later = BlobCache(tmp_path, 15)

    assert read(later, old, 10) is None
    assert read(later, new, 10)


def test_wrong_size_is_dropped(tmp_path: Path) -> None:
    """A file of another length is not the blob."""
    cache = BlobCache(tmp_path, 100)
    digest = put(cache, b"content")
    (tmp_path / "sha256" / digest.hex).write_bytes(b"longer content")

    assert read(cache, digest, 7) is None
    assert len(cache) == 0
    assert cache.used == 0


def test_foreign_files_are_let_alone(tmp_path: Path) -> None:
    """What is no blob by its name is neither served nor deleted."""
    (tmp_path / "sha256").mkdir()
    (tmp_path / "sha256" / "README").write_text("hello")

    assert len(BlobCache(tmp_path, 100)) == 0
    assert (tmp_path / "sha256" / "README").exists()


def test_one_process(tmp_path: Path) -> None:
    """A cache is one gate's."""
    BlobCache(tmp_path, 100)

    with pytest.raises(InputError, match="another gate"):
        BlobCache(tmp_path, 100)

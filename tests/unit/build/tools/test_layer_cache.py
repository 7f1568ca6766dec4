"""The cache of layers: what is there whole and young is found, all else is made again."""

import json
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.image import BuiltLayer, Origin
from imagekit.build.job import CachedLayer
from imagekit.build.tools.layer_cache import LayerCache
from imagekit.documents.record import to_document
from imagekit.oci.digest import Digest
from imagekit.oci.types import LAYER, Descriptor

_KEY = Digest.of(b"everything that determines the layer")
_BLOB = b"a layer"
_LAYER = BuiltLayer(
    descriptor=Descriptor(media_type=LAYER, digest=Digest.of(_BLOB), size=len(_BLOB)),
    diff_id=Digest.of(b"unpacked"),
    origin=Origin.RECIPE,
    title="run: make",
)


@pytest.fixture
def cache(tmp_path: Path) -> LayerCache:
    """A cache whose blob is there."""
    (tmp_path / Digest.of(_BLOB).hex).write_bytes(_BLOB)
    return LayerCache(folder=tmp_path / "cache", blobs=tmp_path, max_age=60)


def test_a_layer_that_is_kept_is_found(cache: LayerCache) -> None:
    """What was kept comes back as it was."""
    kept = CachedLayer(layer=_LAYER, materials=(), made=time.time())

    cache.keep(_KEY, kept)

    assert cache.find(_KEY) == kept


@pytest.mark.parametrize("age", [61, -60], ids=["old", "of the future"])
def test_a_layer_of_another_time_is_made_again(cache: LayerCache, age: float) -> None:
    """Mirrors move on, and a clock that was set back proves nothing."""
    cache.keep(_KEY, CachedLayer(layer=_LAYER, materials=(), made=time.time() - age))

    assert cache.find(_KEY) is None


def test_a_locked_layer_does_not_grow_old(cache: LayerCache) -> None:
    """Its key has the digests of all that it is made of, and mirrors have no part in it."""
    kept = CachedLayer(layer=_LAYER, materials=(), made=time.time() - 1e8, locked=True)
    cache.keep(_KEY, kept)

    assert cache.find(_KEY) == kept


@pytest.mark.parametrize("blob", [None, b"half"])
def test_a_layer_whose_blob_is_gone_is_made_again(cache: LayerCache, blob: bytes | None) -> None:
    """The document alone is no layer."""
    cache.keep(_KEY, CachedLayer(layer=_LAYER, materials=(), made=time.time()))
    path = cache.blobs / Digest.of(_BLOB).hex
    path.unlink()
    if blob is not None:
        path.write_bytes(blob)

    assert cache.find(_KEY) is None


@pytest.mark.parametrize(
    "made",
    ["1" + "0" * 400, "1e400", "NaN", "true", '"soon"', "[" * 100_000],
    ids=["endless", "infinite", "no number", "a claim", "a word", "deep"],
)
def test_a_document_that_was_altered_is_made_again(cache: LayerCache, made: str) -> None:
    """Nothing that lies in the folder stops a build."""
    document = to_document(CachedLayer(layer=_LAYER, materials=(), made=1.0)) | {"made": "MADE"}
    cache.folder.mkdir()
    text = json.dumps(document).replace('"MADE"', made)
    (cache.folder / f"{_KEY.hex}.json").write_text(text)

    assert cache.find(_KEY) is None


@pytest.mark.parametrize(
    ("isolation", "good"), [("chroot", False), ("oci (runc)", True), ("", True)]
)
def test_who_wants_a_runtime_gets_no_layer_that_chroot_made(
    cache: LayerCache, isolation: str, *, good: bool
) -> None:
    """``--isolation oci`` refuses it, also where it was made an hour ago."""
    kept = CachedLayer(layer=_LAYER, materials=(), made=time.time(), isolation=isolation)
    cache.keep(_KEY, kept)

    assert cache.find(_KEY) == kept
    assert (replace(cache, contained=True).find(_KEY) == kept) is good

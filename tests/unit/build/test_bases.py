"""Base images of registries: reached as the user says, also where no flag would be needed."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.bases import BaseImage, image_below
from imagekit.documents.place import SourcePlace
from imagekit.errors import RegistryError
from imagekit.oci.codec import config_bytes, manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.layout import LayoutStore
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import CONFIG, LAYER, MANIFEST, ImageConfig, Manifest
from imagekit.progress import silent
from imagekit.recipe.recipe import ImageBase
from tests.support.fakes import MemoryRegistry
from tests.support.hostile import HostileRegistry
from tests.support.proxy import proxy
from tests.support.replay import truth
from tests.support.signed import World

_REPOSITORY = Repository("registry.example.org", "apps/demo")


def _below(folder: Path, monkeypatch: pytest.MonkeyPatch, options: RegistryOptions) -> BaseImage:
    memory = MemoryRegistry()
    layer = memory.put_bytes(_REPOSITORY, LAYER, b"layer")
    config = ImageConfig(platform=host_platform(), created="", diff_ids=(Digest.of(b"layer"),))
    described = memory.put_bytes(_REPOSITORY, CONFIG, config_bytes(config))
    raw = manifest_bytes(Manifest(media_type=MANIFEST, config=described, layers=(layer,)))
    pinned = memory.put_manifest(_REPOSITORY, MANIFEST, raw)
    world = World(repository=_REPOSITORY, registry=memory)
    with HostileRegistry(lambda asked: truth(world, asked.path)) as server:
        name, _, port = server.host.partition(":")
        with proxy((name, int(port))) as (at, _):
            monkeypatch.setenv("http_proxy", at)
            monkeypatch.setenv("https_proxy", at)
            base = ImageBase(
                reference=PinnedReference(_REPOSITORY, pinned.digest),
                place=SourcePlace(file="recipe.yaml", line=1, column=1),
            )
            store = LayoutStore.create(folder / "store")
            return image_below(base, store, registry=options, progress=silent)


def test_a_base_without_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--plain-http` is for bases, too."""
    quick = RegistryOptions(plain_http=True, attempts=1)

    assert len(_below(tmp_path, monkeypatch, quick).layers) == 1


def test_a_base_that_the_word_is_not_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The destination's registry has no TLS; the base's is still asked for it."""
    quick = RegistryOptions(plain_http=True, plain_hosts=frozenset({"r.site"}), attempts=1)

    with pytest.raises(RegistryError):
        _below(tmp_path, monkeypatch, replace(quick, connect_seconds=2, read_seconds=2))

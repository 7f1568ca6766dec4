"""A small image in a layout, as a build leaves it."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from imagekit.build.image import BuiltImage, BuiltLayer, Origin
from imagekit.oci.codec import config_bytes, manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import Repository, TaggedReference
from imagekit.oci.types import (
    CONFIG,
    LAYER_GZIP,
    MANIFEST,
    History,
    ImageConfig,
    Manifest,
    Platform,
)
from imagekit.recipe import load
from imagekit.recipe.recipe import Recipe

STATUS = b"Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
AMD64 = Platform(os="linux", architecture="amd64")


def built_image(folder: Path, tag: str = "1", *, diff_ids: int = 1) -> BuiltImage:
    """Put an image of one layer into a layout."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        info = tarfile.TarInfo("var/lib/dpkg/status")
        info.size = len(STATUS)
        tar.addfile(info, io.BytesIO(STATUS))
    history = (History(created="", created_by="x", comment="imagekit: base debian"),)
    return layered_image(
        folder,
        (raw.getvalue(),),
        tag=tag,
        labels={"tag": tag},
        history=history,
        diff_ids=(Digest.of(raw.getvalue()),) * diff_ids,
    )


def layered_image(
    folder: Path, layers: Sequence[bytes], *, tag: str = "1", **config: Any
) -> BuiltImage:
    """Put an image into a layout.

    Args:
        folder: the layout.
        layers: archives, the lowest first.
        tag: the image's.
        config: further fields of its configuration.
    """
    registry, repository = LayoutRegistry(LayoutStore(folder)), Repository("localhost", "app")
    built = tuple(
        BuiltLayer(
            descriptor=registry.put_bytes(repository, LAYER_GZIP, gzip.compress(raw, mtime=0)),
            diff_id=Digest("sha256", hashlib.sha256(raw).hexdigest()),
            origin=Origin.BASE,
            title="base",
        )
        for raw in layers
    )
    values = ImageConfig(
        platform=AMD64,
        created="2024-01-02T03:04:05Z",
        **{"diff_ids": tuple(layer.diff_id for layer in built), **config},
    )
    described = registry.put_bytes(repository, CONFIG, config_bytes(values))
    manifest = Manifest(
        media_type=MANIFEST, config=described, layers=tuple(layer.descriptor for layer in built)
    )
    pinned = registry.put_manifest(repository, MANIFEST, manifest_bytes(manifest))
    stored = registry.manifest(pinned)
    registry.tag(TaggedReference(repository, tag), stored)
    return BuiltImage(
        layout=folder,
        manifest=stored.descriptor,
        config=described,
        layers=built,
        platform=AMD64,
        name="app",
        version="1",
        epoch=1_704_164_645,
        recipe_digest=Digest.of(b"recipe"),
    )


RECIPE = """\
schema: 1
name: hello
version: "{version}"
base: scratch
steps:
  - copy: {{from: hello.txt, to: /hello.txt}}
tags: {{immutable: ["{{version}}"], moving: [latest]}}
"""


def built_recipe(folder: Path, version: str, *, more: str = "") -> tuple[Recipe, BuiltImage]:
    """Return a recipe of a version, and an image that stands for what is built of it.

    Args:
        folder: where both are made.
        version: of both.
        more: further lines of the recipe.
    """
    place = folder / version
    place.mkdir(exist_ok=True)
    (place / "recipe.yaml").write_text(RECIPE.format(version=version) + more)
    (place / "hello.txt").write_text("hello\n")
    built = built_image(folder / "built" / version, version)
    return load(place), replace(built, version=version)

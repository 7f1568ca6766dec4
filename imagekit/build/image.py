"""Images that were built here and lie in a local OCI layout, ready to be published."""

from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from imagekit.oci.digest import Digest
from imagekit.oci.types import Descriptor, Platform


class Origin(StrEnum):
    """Which part of a recipe a layer, and what is in it, came from."""

    BASE = "base"
    PACKAGES = "packages"
    RECIPE = "recipe"


class BuiltLayer(Struct, frozen=True, kw_only=True):
    """One layer of a built image."""

    descriptor: Descriptor
    diff_id: Digest
    """Digest of the uncompressed archive: the same everywhere, whatever compressor was used."""
    origin: Origin
    title: str


class Material(Struct, frozen=True, kw_only=True):
    """Something from outside that went into an image (SLSA provenance: ResourceDescriptor)."""

    uri: str
    """A package URL, a URL or an image reference."""
    digest: Digest | None = None
    name: str = ""


class BuiltImage(Struct, frozen=True, kw_only=True):
    """An image in a local layout folder, named by digest only."""

    layout: Path
    manifest: Descriptor
    config: Descriptor
    layers: tuple[BuiltLayer, ...]
    platform: Platform
    name: str
    version: str
    epoch: int
    """The image's time, in seconds since 1970."""
    recipe_digest: Digest
    recipe_file: str = ""
    """The path of the recipe's file below the tree of recipes."""
    lock: Digest | None = None
    """That of the lock that it was built from, where there was one."""
    materials: tuple[Material, ...] = ()
    tools: tuple[tuple[str, str], ...] = ()
    """Names and versions of what built it: buildah, mmdebstrap, the compressor with its level."""
    isolations: tuple[str, ...] = ()
    """How the commands were contained that made its layers: ``oci (runc)``, ``chroot`` ..."""
    passed_tests: tuple[str, ...] = ()
    """The names of the tests that passed in it; empty where none were run."""
    started: float = 0.0
    finished: float = 0.0
    """When the build began and ended, in seconds since 1970: for the provenance only."""

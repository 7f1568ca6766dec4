"""Descriptors, manifests, indexes and image configurations (OCI image-spec v1.1).

Values only; ``imagekit.oci.codec`` reads them from bytes and writes them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, field

from imagekit.oci.digest import Digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
# manifest.md, "Guidance for an Empty Descriptor".
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
CYCLONEDX = "application/vnd.cyclonedx+json"
COMPATIBILITY = "application/vnd.nfd.image-compatibility.v1alpha1"
"""What an image needs of its node, in the words of Node Feature Discovery."""
RECIPE = "application/vnd.imagekit.recipe.v1.tar"
"""The recipe that an image was built of, with those below it and their locks."""
DOCUMENT_TYPES = frozenset({CYCLONEDX, "application/spdx+json", COMPATIBILITY, RECIPE})
"""Artifacts that are documents themselves and hold no bundle.

No other filter by type is right: cosign lists its bundles under the type of their empty config.
"""
IN_TOTO = "application/vnd.in-toto+json"
REF_NAME = "org.opencontainers.image.ref.name"
PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
"""Annotation of a bundle's manifest: the type of the statement in it (cosign's bundle format)."""

MANIFEST_TYPES = frozenset({MANIFEST, DOCKER_MANIFEST})
INDEX_TYPES = frozenset({INDEX, DOCKER_INDEX})
LAYER_TYPES = frozenset({LAYER_GZIP, LAYER, LAYER_ZSTD, DOCKER_LAYER})

EMPTY_JSON = b"{}"

MAX_MANIFEST = 4 << 20
"""Largest manifest, index or configuration that is read, in bytes.

distribution-spec, "Pushing Manifests", wants 4 megabytes to be possible; more need not be.
"""

NOTHING: Mapping[str, str] = MappingProxyType({})


class Platform(Struct, frozen=True, kw_only=True):
    """An operating system and an architecture, in Go's words: ``linux/amd64``."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Descriptor(Struct, frozen=True, kw_only=True):
    """What points to content: media type, digest and size in bytes."""

    media_type: str
    digest: Digest
    size: int
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    platform: Platform | None = None


class Manifest(Struct, frozen=True, kw_only=True):
    """An image manifest, of an image or of an artifact (``artifact_type``)."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    artifact_type: str = ""
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = field(default_factory=lambda: NOTHING)


class Index(Struct, frozen=True, kw_only=True):
    """An image index: manifests of several platforms, or of referrers."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    artifact_type: str = ""
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = field(default_factory=lambda: NOTHING)


class RawManifest(Struct, frozen=True, kw_only=True):
    """A manifest or index as the exact bytes that were received, their digest checked."""

    media_type: str
    digest: Digest
    raw: bytes

    @property
    def descriptor(self) -> Descriptor:
        """What points to these bytes."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=len(self.raw))


class History(Struct, frozen=True, kw_only=True):
    """One line of an image's history."""

    created: str
    created_by: str
    comment: str = ""
    empty_layer: bool = False


class Healthcheck(Struct, frozen=True, kw_only=True):
    """How a runtime learns whether a container works; times in nanoseconds, 0 for the default."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ImageConfig(Struct, frozen=True, kw_only=True):
    """The configuration of an image: how it is run and which layers it is made of.

    ``healthcheck``, ``shell`` and ``onbuild`` are Docker's; OCI's specification leaves room for
    them (config.md, "reserved"), and builders write them in both.
    """

    platform: Platform
    created: str
    diff_ids: tuple[Digest, ...]
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ()
    onbuild: tuple[str, ...] = ()
    author: str = ""
    history: tuple[History, ...] = ()

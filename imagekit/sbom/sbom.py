"""``imagekit sbom``: the SBOM of an image that was built here, of any other, or of a folder.

All three are read in the same way: layers as streams, the few files that matter, one catalogue, one
writer. Nothing is unpacked to disk.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from imagekit.build.catalogued import Budget
from imagekit.build.image import BuiltImage, Origin
from imagekit.errors import DocumentError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import (
    LAYOUT_HOST,
    PinnedReference,
    Reference,
    Repository,
)
from imagekit.oci.registry.host_image import host_image
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import (
    LAYER_TYPES,
    MAX_MANIFEST,
    Descriptor,
    History,
    ImageConfig,
)
from imagekit.progress import Advanced, Progress, silent
from imagekit.recipe.recipe import Recipe
from imagekit.sbom.contents import Component, Kind, LayerFiles, Sbom, Subject
from imagekit.sbom.sbom_options import SbomOptions
from imagekit.sbom.text import clean

if TYPE_CHECKING:
    from imagekit.sbom.catalogue_cache import CatalogueCache
    from imagekit.sbom.sbom_listing import SbomListing

STAGE = "sbom"
# containerd and BuildKit know Docker's other two; how a layer is compressed, its bytes say.
_LAYERS = LAYER_TYPES | {
    f"application/vnd.docker.image.rootfs.diff.tar{kind}" for kind in ("", ".zstd")
}
_MAX_TITLE = 200
_Item = TypeVar("_Item")
_VERSION_LABEL = "org.opencontainers.image.version"


def sbom_of_image(
    image: BuiltImage, recipe: Recipe | None, *, progress: Progress = silent
) -> bytes:
    """Return the CycloneDX SBOM of an image that was built here.

    Raises:
        DocumentError: a layer is not one.
        IntegrityError: the layout's bytes are not what the image says.
        RegistryError: the layout cannot be read.
    """
    return render(catalogue_image(image, recipe, progress=progress))


def sbom_of_reference(
    reader: RegistryReader, reference: Reference, *, progress: Progress = silent
) -> bytes:
    """Return the CycloneDX SBOM of an image of a registry or layout.

    Raises:
        InputError: the reference names an index without an image for this host.
        DocumentError: manifest, configuration or a layer is not one.
        IntegrityError: bytes are not what their digest says.
        RegistryError: the registry or layout gives no good answer.
    """
    return render(catalogue_reference(reader, reference, progress=progress))


def index_sbom(name: str, version: str, *, digest: Digest, images: Sequence[Descriptor]) -> Sbom:
    """Return what an index is made of: images, each of which has an SBOM of its own.

    Args:
        name: the image's name.
        version: its version.
        digest: that of the index.
        images: its entries, each with its platform.
    """
    from imagekit.sbom.package_url import package_url

    def component(entry: Descriptor) -> Component:
        # purl-spec, type oci: the architecture is a qualifier.
        architecture = entry.platform.architecture if entry.platform else ""
        purl = package_url(
            "oci", name.rpartition("/")[2].lower(), str(entry.digest), arch=architecture
        )
        return Component(
            ref=f"image:{entry.digest}",
            kind=Kind.IMAGE,
            name=name,
            version=version,
            purl=purl,
            hashes=((entry.digest.algorithm, entry.digest.hex),),
            properties=(("imagekit:platform", str(entry.platform)),),
        )

    return Sbom(
        subject=Subject(name=name, version=version, digest=str(digest)),
        components=tuple(component(entry) for entry in images),
    )


def render(sbom: Sbom, options: SbomOptions | None = None) -> bytes:
    """Write an SBOM as CycloneDX JSON: see ``cyclonedx_json``."""
    from imagekit.sbom.cyclonedx import cyclonedx_json

    return cyclonedx_json(sbom, tool_version=_own_version(), options=options)


def render_spdx(sbom: Sbom, options: SbomOptions | None = None) -> bytes:
    """Write an SBOM as SPDX 3.0.1 JSON: see ``spdx3_json``."""
    from imagekit.sbom.spdx3 import spdx3_json

    return spdx3_json(sbom, tool_version=_own_version(), options=options)


def listing_of(sbom: Sbom) -> "SbomListing":
    """Return what an SBOM lists, as any reader of its document does."""
    from imagekit.sbom.cyclonedx import cyclonedx_document
    from imagekit.sbom.sbom_listing import listing

    return listing(cyclonedx_document(sbom, tool_version=_own_version()))


def _own_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("imagekit")
    except PackageNotFoundError:
        return "0"


def catalogue_image(
    image: BuiltImage,
    recipe: Recipe | None,
    *,
    progress: Progress = silent,
    cache: "CatalogueCache | None" = None,
) -> Sbom:
    """Return what an image that was built here is made of.

    Args:
        image: the image.
        recipe: what it was made from, if that is at hand.
        progress: told of every layer.
        cache: what was read of layers before, and where what is read now is kept; None for none.

    Raises:
        DocumentError: a layer is not one.
        IntegrityError: the layout's bytes are not what the image says.
        RegistryError: the layout cannot be read.
    """
    from imagekit.oci.layout import LayoutReader, LayoutStore
    from imagekit.sbom.catalogue import catalogue

    repository = Repository(LAYOUT_HOST, image.name)
    reader, budget = LayoutReader(LayoutStore(image.layout)), Budget()
    layers = [
        replace(
            _read(
                reader,
                repository,
                layer.descriptor,
                layer=str(layer.diff_id),
                origin=layer.origin,
                budget=budget,
                cache=cache,
            ),
            made_by=clean(layer.title, _MAX_TITLE),
        )
        for layer in _counted(image.layers, progress)
    ]
    subject = Subject(
        name=image.name,
        version=image.version,
        digest=str(image.manifest.digest),
        platform=str(image.platform),
        epoch=image.epoch,
    )
    return catalogue(layers, subject=subject, made_by=recipe)


def catalogue_reference(
    reader: RegistryReader, reference: Reference, *, progress: Progress = silent
) -> Sbom:
    """Return what an image of a registry or layout is made of.

    Raises:
        InputError: the reference names an index without an image for this host.
        DocumentError: manifest, configuration or a layer is not one.
        IntegrityError: bytes are not what their digest says.
        RegistryError: the registry or layout gives no good answer.
    """
    from imagekit.oci.codec import parse_config
    from imagekit.sbom.catalogue import catalogue

    pinned, _, manifest = host_image(reader, reference)
    repository = pinned.repository
    config = parse_config(reader.blob(repository, manifest.config, limit=MAX_MANIFEST))
    if len(config.diff_ids) != len(manifest.layers):
        raise DocumentError(
            f"{pinned} has {len(manifest.layers)} layers and {len(config.diff_ids)} diffIDs",
            hint="manifest and configuration do not belong together; ask who pushed it",
            code="BAD_DOCUMENT",
        )
    origins, titles, budget = _origins(config), _titles(config), Budget()
    layers = [
        replace(
            _read(
                reader,
                repository,
                descriptor,
                layer=str(diff_id),
                origin=origins.get(number),
                budget=budget,
            ),
            made_by=titles.get(number, ""),
        )
        for number, (descriptor, diff_id) in enumerate(
            _counted(list(zip(manifest.layers, config.diff_ids, strict=True)), progress)
        )
    ]
    return catalogue(layers, subject=_subject(pinned, reference, config))


def _read(
    reader: RegistryReader,
    repository: Repository,
    descriptor: Descriptor,
    *,
    layer: str,
    origin: Origin | None,
    budget: Budget,
    cache: "CatalogueCache | None" = None,
) -> LayerFiles:
    from imagekit.sbom.layer_files import read_layer

    if descriptor.media_type not in _LAYERS:
        raise DocumentError(
            f"layer {layer[:19]} is of the media type {descriptor.media_type!r}",
            hint="only layers of container images can be catalogued",
            code="UNSUPPORTED_LAYER",
        )
    # Of a base or a package step, every program is some package's.
    digest_programs = origin in {None, Origin.RECIPE}

    def read() -> LayerFiles:
        with reader.stream(repository, descriptor) as pieces:
            return read_layer(
                pieces, layer=layer, origin=origin, digest_programs=digest_programs, budget=budget
            )

    if cache is None:
        return read()
    return cache.read(
        descriptor.digest,
        layer=layer,
        origin=origin,
        digest_programs=digest_programs,
        budget=budget,
        make=read,
    )


def _counted(items: Sequence[_Item], progress: Progress) -> Iterator[_Item]:
    for number, item in enumerate(items):
        progress(Advanced(stage=STAGE, done=number, total=len(items), unit="layer"))
        yield item


def _origins(config: ImageConfig) -> dict[int, Origin]:
    """Return what imagekit wrote of each layer into the history: ``imagekit: ORIGIN ...``."""
    words = {origin.value: origin for origin in Origin}
    comments = (
        (n, line.comment.removeprefix("imagekit:").split()[:1])
        for n, line in enumerate(_made(config))
        if line.comment.startswith("imagekit:")
    )
    return {n: words[first[0]] for n, first in comments if first and first[0] in words}


def _titles(config: ImageConfig) -> dict[int, str]:
    """Return what made each layer, as the history says."""
    return {n: clean(line.created_by, _MAX_TITLE) for n, line in enumerate(_made(config))}


def _made(config: ImageConfig) -> tuple[History, ...]:
    """Return the line of each layer; nothing where there are more or fewer lines than layers."""
    made = tuple(line for line in config.history if not line.empty_layer)
    return made if len(made) == len(config.diff_ids) else ()


def _subject(pinned: PinnedReference, asked: Reference, config: ImageConfig) -> Subject:
    tag = asked.tag or ""
    return Subject(
        name=pinned.repository.path,
        version=config.labels.get(_VERSION_LABEL, "") or tag,
        digest=str(pinned.digest),
        platform=str(config.platform),
        epoch=_epoch(config.created),
    )


def _epoch(created: str) -> int:
    earliest = Subject(name="").epoch
    try:
        moment = datetime.fromisoformat(created)
        return max(0, int(moment.timestamp())) if moment.tzinfo else earliest
    except (ValueError, OverflowError, OSError):
        return earliest

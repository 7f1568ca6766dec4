"""What recipes build on: other recipes, and images of registries."""

from collections.abc import Callable
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.image import BuiltImage, BuiltLayer, Material, Origin
from imagekit.build.job import BaseContext
from imagekit.documents.report import Report
from imagekit.errors import DocumentError, RecipeError
from imagekit.oci.codec import parse_config, parse_manifest
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.layout import LayoutStore
from imagekit.oci.reference import LAYOUT_HOST, PinnedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import (
    DOCKER_LAYER,
    LAYER_GZIP,
    MAX_MANIFEST,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    Platform,
)
from imagekit.progress import Advanced, Progress, Started, counted
from imagekit.recipe.containerfile import read_triggers
from imagekit.recipe.recipe import (
    Containerfile,
    ImageBase,
    Instruction,
    Recipe,
    RecipeBase,
)


class BaseImage(Struct, frozen=True, kw_only=True):
    """What a recipe builds on, in the local image store."""

    layers: tuple[BuiltLayer, ...] = ()
    config: ImageConfig | None = None
    materials: tuple[Material, ...] = ()
    contexts: tuple[BaseContext, ...] = ()


Bring = Callable[[ImageBase | RecipeBase], BaseImage]
"""Brings an image into the local store: of a registry, or of another recipe."""


def on_top_of(built: BuiltImage, store: LayoutStore) -> BaseImage:
    """Return what a recipe inherits from another one that was built.

    The recipe itself is a material as much as the image: who reads the provenance can see which
    file of the tree was taken.

    Raises:
        OSError: the store cannot be read.
    """
    return BaseImage(
        layers=_as_base(built.layers),
        config=_config(built, store),
        materials=(*built.materials, *_materials(built)),
    )


def named_by_containerfile(
    recipe: Recipe,
    bring: Bring,
    *,
    platform: Platform,
) -> BaseImage:
    """Return the images that a Containerfile names; that of its last stage is its base.

    Args:
        recipe: the recipe.
        bring: brings each of them into the local store.
        platform: whose image is built.

    Raises:
        RecipeError: an image is not for this platform, or has an ONBUILD that is not understood.
        OSError: the store cannot be read.
    """
    script = recipe.script
    if script is None:
        return BaseImage()
    _check_platforms(script, platform)
    contexts: list[BaseContext] = []
    materials: list[Material] = []
    for source in script.sources:
        name = f"{LAYOUT_HOST}/{source.name}" if isinstance(source, RecipeBase) else str(source)
        below = bring(source)
        materials += below.materials
        contexts.append(_context(name, below, script))
    base = next((context for context in contexts if context.name == script.image), None)
    return BaseImage(
        layers=() if base is None else _as_base(base.layers),
        config=None if base is None else base.config,
        materials=tuple(dict.fromkeys(materials)),
        contexts=tuple(contexts),
    )


def _context(name: str, below: BaseImage, script: Containerfile) -> BaseContext:
    """Return an image as the Containerfile's stages see it, its ONBUILD judged like they are.

    Raises:
        RecipeError: an instruction of ONBUILD is not understood.
    """
    if below.config is None:
        raise DocumentError(f"{name} has no configuration")
    stage = next((stage for stage in script.stages if stage.image == name), None)
    triggers: tuple[Instruction, ...] = ()
    if stage is not None:
        report = Report(stage.place.file, "recipe")
        # Dockerfile reference, ONBUILD: they run as if they stood right behind FROM.
        triggers = read_triggers(below.config.onbuild, stage, report)
        report.check(RecipeError, what=f"ONBUILD of {name}")
    return BaseContext(name=name, config=below.config, layers=below.layers, triggers=triggers)


def _check_platforms(script: Containerfile, platform: Platform) -> None:
    for stage in script.stages:
        if stage.platform and stage.platform != str(platform):
            raise RecipeError(
                f"{stage.place.file}:{stage.place.line}: the stage is for {stage.platform}, and "
                f"the image is for {platform}",
                hint="write $TARGETPLATFORM",
            )


def _as_base(layers: tuple[BuiltLayer, ...]) -> tuple[BuiltLayer, ...]:
    return tuple(replace(layer, origin=Origin.BASE) for layer in layers)


def image_below(
    base: ImageBase,
    store: LayoutStore,
    *,
    registry: RegistryOptions,
    progress: Progress,
    preflight: Callable[[], None] = lambda: None,
    platform: Platform | None = None,
) -> BaseImage:
    """Bring a base image into the local store, every byte checked.

    Args:
        base: the image, by its digest.
        store: where its layers are put.
        registry: what the user said about registries.
        progress: told of everything that happens.
        preflight: called before the first layer is downloaded, and not where all are there.
        platform: whose image it is; that of this host where it is left out.

    Raises:
        RecipeError: it is not for this platform, or is no image.
        RegistryError: the registry does not answer, or not with the image.
        IntegrityError: bytes are not what their digest says.
    """
    from imagekit.oci.registry.connect import reader
    from imagekit.oci.registry.kept import kept_content
    from imagekit.oci.registry.snapshot import RegistrySnapshot

    progress(Started(stage="base", detail=str(base)))
    # What a digest names is not asked for twice; of a base that is there, nothing is then.
    source = RegistrySnapshot(
        reader(base.location, registry.of(base.reference.repository.host)),
        kept=kept_content(base.location),
    )
    reference, manifest = _image(source, base, platform or host_platform())
    raw = source.blob(reference.repository, manifest.config, limit=MAX_MANIFEST)
    config = parse_config(raw)
    # image-spec config.md, rootfs: one diffID for each layer, from first to last.
    if len(config.diff_ids) != len(manifest.layers):
        raise DocumentError(f"{base} has other layers than its configuration says")
    layers = tuple(
        BuiltLayer(descriptor=_plain(layer), diff_id=diff_id, origin=Origin.BASE, title=str(base))
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
    )
    missing = [layer for layer in layers if not store.path(layer.descriptor.digest).exists()]
    total, before = sum(layer.descriptor.size for layer in missing), 0

    def told(done: int) -> None:
        progress(Advanced(stage="base", done=before + done, total=total, doing="downloading"))

    if missing:
        preflight()
    for layer in missing:
        with source.stream(reference.repository, layer.descriptor) as pieces:
            store.add(layer.descriptor.digest, counted(pieces, told))
        before += layer.descriptor.size
    material = Material(uri=str(base), name="base image", digest=base.reference.digest)
    return BaseImage(layers=layers, config=config, materials=(material,))


def _image(
    source: RegistryReader, base: ImageBase, platform: Platform
) -> tuple[PinnedReference, Manifest]:
    fetched = source.manifest(base.reference)
    parsed = parse_manifest(fetched.raw, fetched.media_type)
    if isinstance(parsed, Manifest):
        return base.reference, parsed
    reference = base.reference.with_digest(_choose(parsed, base, platform).digest)
    child = source.manifest(reference)
    parsed = parse_manifest(child.raw, child.media_type)
    if not isinstance(parsed, Manifest):
        raise DocumentError(f"{reference} is an index inside an index", code="BAD_DOCUMENT")
    return reference, parsed


def _choose(index: Index, base: ImageBase, platform: Platform) -> Descriptor:
    for entry in index.manifests:
        if entry.platform is not None and replace(entry.platform, variant="") == platform:
            return entry
    raise RecipeError(f"{base.place.file}:{base.place.line}: {base} has no image for {platform}")


def _plain(layer: Descriptor) -> Descriptor:
    """Return the layer with OCI's media type (image-spec media-types.md, Compatibility Matrix).

    Docker's gzip layers are the same bytes under another name. Annotations of a base are left out.
    """
    media_type = LAYER_GZIP if layer.media_type == DOCKER_LAYER else layer.media_type
    return Descriptor(media_type=media_type, digest=layer.digest, size=layer.size)


def _config(built: BuiltImage, store: LayoutStore) -> ImageConfig:
    return parse_config(store.path(built.config.digest).read_bytes())


def _materials(built: BuiltImage) -> tuple[Material, Material]:
    named = f"{built.name}@{built.version}"
    return (
        Material(uri=f"recipe:{named}", digest=built.manifest.digest, name=built.name),
        Material(
            uri=f"recipe-file:{quote(built.recipe_file)}",
            digest=built.recipe_digest,
            name=f"recipe of {named}",
        ),
    )

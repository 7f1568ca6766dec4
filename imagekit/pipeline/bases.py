"""What recipes stand on: other recipes, and images of registries."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from imagekit.adapters.layout import LayoutStore
from imagekit.errors import DocumentError, RecipeError
from imagekit.formats.oci import parse_config, parse_manifest
from imagekit.model.event import Advanced, Progress, Started
from imagekit.model.image import BuiltImage, BuiltLayer, Material, Origin
from imagekit.model.oci import (
    DOCKER_LAYER,
    LAYER_GZIP,
    MAX_MANIFEST,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    Platform,
)
from imagekit.model.plan import BaseContext
from imagekit.model.recipe import ImageBase, Recipe, RecipeBase
from imagekit.model.reference import PinnedReference
from imagekit.model.registry import RegistryOptions
from imagekit.ports import RegistryReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """What a recipe stands on, in the local image store."""

    layers: tuple[BuiltLayer, ...] = ()
    config: ImageConfig | None = None
    materials: tuple[Material, ...] = ()
    contexts: tuple[BaseContext, ...] = ()


def recipe_below(recipe: Recipe, need: RecipeBase) -> Recipe:
    """Return the recipe of that name, as the recipe that stands on it finds it.

    Raises:
        RecipeError: there is none, or it stands on the recipe itself.
    """
    from imagekit.recipe import with_bases

    return next(entry for entry in with_bases(recipe) if entry.name == need.name)


def on_top_of(built: BuiltImage, store: LayoutStore) -> Below:
    """Return what a recipe inherits from another one that was built.

    Raises:
        OSError: the store cannot be read.
    """
    return Below(
        layers=tuple(replace(layer, origin=Origin.BASE) for layer in built.layers),
        config=_config(built, store),
        materials=(*built.materials, _material(built)),
    )


def named_by_containerfile(
    recipe: Recipe, built: Mapping[str, BuiltImage], store: LayoutStore
) -> Below:
    """Return the recipes that a Containerfile names; the one of its last FROM is its base.

    Raises:
        OSError: the store cannot be read.
    """
    if not recipe.containerfile:
        return Below()
    contexts = tuple(
        BaseContext(name=name, config=_config(image, store), layers=image.layers)
        for name, image in built.items()
    )
    materials = tuple(_material(image) for image in built.values())
    last = built.get(_last_from(recipe))
    layers = () if last is None else on_top_of(last, store).layers
    return Below(layers=layers, materials=materials, contexts=contexts)


def image_below(base: ImageBase, store: LayoutStore, *, progress: Progress) -> Below:
    """Bring a base image into the local store, every byte checked.

    Raises:
        RecipeError: it is not for this platform, or is no image.
        RegistryError: the registry gives no good answer.
        IntegrityError: bytes are not what their digest says.
    """
    from imagekit.adapters.storage import host_platform
    from imagekit.pipeline.registries import reader

    progress(Started(stage="base", detail=str(base.reference)))
    source = reader(base.reference.repository, RegistryOptions())
    reference, manifest = _image(source, base, host_platform())
    raw = source.blob(reference.repository, manifest.config, limit=MAX_MANIFEST)
    config = parse_config(raw)
    if len(config.diff_ids) != len(manifest.layers):
        raise DocumentError(f"{base.reference} has other layers than its configuration says")
    layers = tuple(
        BuiltLayer(
            descriptor=_plain(layer), diff_id=diff_id, origin=Origin.BASE, title=str(base.reference)
        )
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
    )
    for number, layer in enumerate(layers, 1):
        progress(Advanced(stage="base", done=number, total=len(layers)))
        if not store.path(layer.descriptor.digest).exists():
            with source.stream(reference.repository, layer.descriptor) as pieces:
                store.add(layer.descriptor.digest, pieces)
    material = Material(uri=str(base.reference), name="base image", digest=base.reference.digest)
    return Below(layers=layers, config=config, materials=(material,))


def _image(
    source: RegistryReader, base: ImageBase, platform: Platform
) -> tuple[PinnedReference, Manifest]:
    found = source.manifest(base.reference)
    parsed = parse_manifest(found.raw, found.media_type)
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
    raise RecipeError(
        f"{base.place.file}:{base.place.line}: {base.reference} has no image for {platform}"
    )


def _plain(layer: Descriptor) -> Descriptor:
    """Return the layer in OCI's words: Docker's gzip layers are the same bytes."""
    media_type = LAYER_GZIP if layer.media_type == DOCKER_LAYER else layer.media_type
    return Descriptor(media_type=media_type, digest=layer.digest, size=layer.size)


def _config(built: BuiltImage, store: LayoutStore) -> ImageConfig:
    return parse_config(store.path(built.config.digest).read_bytes())


def _material(built: BuiltImage) -> Material:
    return Material(
        uri=f"recipe:{built.name}@{built.version}", digest=built.manifest.digest, name=built.name
    )


def _last_from(recipe: Recipe) -> str:
    """Return the recipe that the last FROM of the Containerfile names, or nothing."""
    text = (recipe.folder / recipe.containerfile).read_text(encoding="utf-8")
    last = ""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0].upper() == "FROM":
            last = next((word for word in words[1:] if not word.startswith("--")), "")
    names = {f"localhost/{need.name}": need.name for need in recipe.from_recipes}
    return names.get(last, "")

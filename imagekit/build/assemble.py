"""The configuration and the manifest of an image: ours, and the same for the same recipe."""

from datetime import UTC, datetime

from imagekit.model.image import BuiltLayer
from imagekit.model.oci import MANIFEST, Descriptor, History, ImageConfig, Manifest
from imagekit.model.plan import BuildPlan, Made
from imagekit.model.recipe import Recipe

ORIGIN = "dev.imagekit.layer.origin"
TITLE = "org.opencontainers.image.title"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OCI = "org.opencontainers.image."


def image_config(plan: BuildPlan, made: Made) -> ImageConfig:
    """Return the configuration: how the image is run, and what its layers are.

    What the recipe does not say comes from its Containerfile or its base, as with Docker's FROM;
    a recipe that says an entrypoint does not inherit the arguments of another one.
    """
    layers = made.layers
    recipe = plan.recipe
    created = _time(plan.epoch)
    below = made.config or plan.inherited or _nothing(plan)
    env = dict(text.partition("=")[::2] for text in (_PATH, *below.env)) | dict(recipe.env)
    return ImageConfig(
        platform=plan.platform,
        created=created,
        diff_ids=tuple(layer.diff_id for layer in layers),
        env=tuple(f"{key}={value}" for key, value in env.items()),
        entrypoint=recipe.entrypoint or below.entrypoint,
        cmd=recipe.cmd or (() if recipe.entrypoint else below.cmd),
        workdir=recipe.workdir or below.workdir,
        user=recipe.user or below.user,
        labels=labels(recipe, created),
        exposed_ports=tuple(sorted({*recipe.expose, *below.exposed_ports})),
        volumes=tuple(sorted({*recipe.volumes, *below.volumes})),
        stop_signal=below.stop_signal,
        history=tuple(
            History(created=created, created_by=layer.title, comment=f"imagekit: {layer.origin}")
            for layer in layers
        ),
    )


def image_manifest(config: Descriptor, layers: tuple[BuiltLayer, ...]) -> Manifest:
    """Return the manifest; each layer says what part of the recipe it came from."""
    return Manifest(
        media_type=MANIFEST,
        config=config,
        layers=tuple(
            Descriptor(
                media_type=layer.descriptor.media_type,
                digest=layer.descriptor.digest,
                size=layer.descriptor.size,
                annotations={ORIGIN: str(layer.origin)},
            )
            for layer in layers
        ),
    )


def labels(recipe: Recipe, created: str) -> dict[str, str]:
    """Return the labels: OCI's own from the recipe's fields, and the recipe's labels."""
    standard = {
        "title": recipe.title or recipe.name,
        "description": recipe.description,
        "version": recipe.version,
        "licenses": recipe.licenses,
        "source": recipe.source,
        "created": created,
    }
    found = {f"{_OCI}{key}": value for key, value in standard.items() if value}
    return found | dict(recipe.labels)


def _nothing(plan: BuildPlan) -> ImageConfig:
    return ImageConfig(platform=plan.platform, created="", diff_ids=())


def _time(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

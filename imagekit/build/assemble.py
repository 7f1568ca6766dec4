"""The configuration and the manifest of an image: ours, and the same for the same recipe."""

from datetime import UTC, datetime

from imagekit.model.image import BuiltLayer
from imagekit.model.oci import MANIFEST, Descriptor, History, ImageConfig, Manifest
from imagekit.model.plan import BuildPlan
from imagekit.model.recipe import Recipe

ORIGIN = "dev.imagekit.layer.origin"
TITLE = "org.opencontainers.image.title"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OCI = "org.opencontainers.image."


def image_config(plan: BuildPlan, layers: tuple[BuiltLayer, ...]) -> ImageConfig:
    """Return the configuration: how the image is run, and what its layers are."""
    recipe = plan.recipe
    created = _time(plan.epoch)
    env = dict(text.partition("=")[::2] for text in (_PATH, *plan.base_env)) | dict(recipe.env)
    return ImageConfig(
        platform=plan.platform,
        created=created,
        diff_ids=tuple(layer.diff_id for layer in layers),
        env=tuple(f"{key}={value}" for key, value in env.items()),
        entrypoint=recipe.entrypoint,
        cmd=recipe.cmd,
        workdir=recipe.workdir,
        user=recipe.user,
        labels=labels(recipe, created),
        exposed_ports=tuple(sorted(recipe.expose)),
        volumes=tuple(sorted(recipe.volumes)),
        history=tuple(
            History(created=created, created_by=f"imagekit {layer.origin}: {layer.title}")
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


def _time(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

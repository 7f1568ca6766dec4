"""The configuration and the manifest of an image: ours, and the same for the same recipe."""

from datetime import UTC, datetime

from imagekit.build.image import BuiltLayer
from imagekit.build.job import BuildPlan, BuildResult
from imagekit.errors import RecipeError
from imagekit.needs.compatibility import annotations
from imagekit.oci.types import MANIFEST, Descriptor, History, ImageConfig, Manifest
from imagekit.recipe.recipe import Recipe

ORIGIN = "dev.imagekit.layer.origin"
TITLE = "org.opencontainers.image.title"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OCI = "org.opencontainers.image."
OF_ONE_IMAGE = frozenset(
    f"{_OCI}{key}"
    for key in (
        *("title", "description", "version", "licenses", "source", "created", "revision"),
        *("base.name", "base.digest", "ref.name"),
    )
)
"""Labels that imagekit sets (image-spec annotations.md, Pre-Defined Annotation Keys).

Those of a base describe the base, and not what is built on it.
"""


def image_config(plan: BuildPlan, made: BuildResult) -> ImageConfig:
    """Return the configuration: how the image is run, and what its layers are.

    What the recipe does not say comes from its Containerfile or its base, as with Docker's FROM;
    a recipe that says an entrypoint does not inherit the arguments of another one.

    Raises:
        RecipeError: the base has ONBUILD, which only a Containerfile can run; or the Containerfile
            and recipe.yaml give a label two values.
    """
    layers = made.layers
    recipe = plan.recipe
    created = _time(plan.epoch)
    inherited = plan.inherited or _nothing(plan)
    if inherited.onbuild and not recipe.containerfile:
        raise RecipeError(
            f"{recipe.file}: the base has ONBUILD {inherited.onbuild[0][:80]}, which is not done",
            hint="build on it by a Containerfile, or take a base without ONBUILD",
        )
    below = made.config or inherited
    env = dict(text.partition("=")[::2] for text in (_PATH, *below.env)) | dict(recipe.env)
    return ImageConfig(
        platform=plan.platform,
        created=created,
        diff_ids=tuple(layer.diff_id for layer in layers),
        env=tuple(f"{key}={value}" for key, value in env.items()),
        entrypoint=recipe.entrypoint or below.entrypoint,
        # Dockerfile reference, "Understand how CMD and ENTRYPOINT interact": a new ENTRYPOINT
        # resets a CMD of the base, which is the arguments of another program.
        cmd=recipe.cmd or (() if recipe.entrypoint else below.cmd),
        workdir=recipe.workdir or below.workdir,
        user=recipe.user or below.user,
        labels=_all_labels(recipe, _inherited_labels(below, inherited), inherited, created=created),
        exposed_ports=tuple(sorted({*recipe.expose, *below.exposed_ports})),
        volumes=tuple(sorted({*recipe.volumes, *below.volumes, *inherited.volumes})),
        stop_signal=below.stop_signal,
        # Buildah was given the base without it: see imagekit.recipe.render.
        healthcheck=below.healthcheck or inherited.healthcheck,
        shell=below.shell,
        onbuild=() if made.config is None else made.config.onbuild,
        author=below.author,
        # image-spec config.md, history: in the order of the layers, one entry for each.
        history=tuple(
            History(created=created, created_by=layer.title, comment=f"imagekit: {layer.origin}")
            for layer in layers
        ),
    )


def image_manifest(config: Descriptor, layers: tuple[BuiltLayer, ...]) -> Manifest:
    """Return the manifest; an annotation of each layer names the part of the recipe it is of.

    Others are those of zstd:chunked.
    """
    return Manifest(
        media_type=MANIFEST,
        config=config,
        layers=tuple(
            Descriptor(
                media_type=layer.descriptor.media_type,
                digest=layer.descriptor.digest,
                size=layer.descriptor.size,
                annotations={ORIGIN: str(layer.origin), **layer.descriptor.annotations},
            )
            for layer in layers
        ),
    )


def labels(recipe: Recipe, created: str) -> dict[str, str]:
    """Return the labels: OCI's own from the recipe's fields, its needs, and its own labels."""
    standard = {
        "title": recipe.title or recipe.name,
        "description": recipe.description,
        "version": recipe.version,
        "licenses": recipe.licenses,
        "source": recipe.source,
        "created": created,
    }
    standard_labels = {f"{_OCI}{key}": value for key, value in standard.items() if value}
    needed = {} if recipe.needs is None else annotations(recipe.needs.needs)
    return standard_labels | needed | dict(recipe.labels)


def _all_labels(
    recipe: Recipe, theirs: dict[str, str], base: ImageConfig, *, created: str
) -> dict[str, str]:
    """Return the labels of a Containerfile or base, and over those of the base the recipe's."""
    mine = labels(recipe, created)
    for name in sorted(theirs.keys() & mine.keys()):
        if theirs[name] not in {mine[name], base.labels.get(name)}:
            raise RecipeError(
                f"{recipe.file}: the label {name} is {mine[name][:80]!r} here and "
                f"{theirs[name][:80]!r} in {recipe.containerfile}",
                hint="say it in one of the two places",
                code="recipe/label-twice",
            )
    return theirs | mine


def _inherited_labels(below: ImageConfig, base: ImageConfig) -> dict[str, str]:
    """Return the labels of a Containerfile and of the base, without those of the base alone.

    Those are OCI's own labels with the value that the base has: its title is not this image's.
    """
    return {
        name: value
        for name, value in below.labels.items()
        if not (name in OF_ONE_IMAGE and base.labels.get(name) == value)
    }


def _nothing(plan: BuildPlan) -> ImageConfig:
    return ImageConfig(platform=plan.platform, created="", diff_ids=())


def _time(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

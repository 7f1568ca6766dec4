"""From a recipe to a plan: pure, so that ``imagekit plan`` can show it without doing anything."""

from msgspec.structs import replace

from imagekit.build.image import BuiltLayer, Origin
from imagekit.build.job import BaseContext, BuildPlan, LayerPlan
from imagekit.documents import strictjson
from imagekit.documents.record import to_document
from imagekit.oci.digest import Digest
from imagekit.oci.types import ImageConfig, Platform
from imagekit.recipe.recipe import (
    BootstrapBase,
    CopyStep,
    FetchStep,
    Packages,
    Recipe,
    RunStep,
    Step,
)

FORMAT = 5
"""Raised whenever layers are written in another way, so that no layer of an older cache is used."""


def make_plan(
    recipe: Recipe,
    *,
    platform: Platform,
    epoch: int,
    base: tuple[BuiltLayer, ...] = (),
    inherited: ImageConfig | None = None,
    contexts: tuple[BaseContext, ...] = (),
) -> BuildPlan:
    """Return the plan of a recipe: the layers that building it makes, with their keys.

    Args:
        recipe: the recipe.
        platform: what it is built for.
        epoch: the image's time, in seconds since 1970.
        base: the layers of the base, where it is an image or another recipe.
        inherited: the configuration of that base.
        contexts: the images that a Containerfile names.
    """
    layers: list[LayerPlan] = []
    # A step sees the environment of the base as much as its files.
    below = [str(layer.diff_id) for layer in base] + list(inherited.env if inherited else ())

    def add(origin: Origin, title: str, made_of: object, **fields: object) -> None:
        previous = str(layers[-1].key) if layers else below
        key = _key(previous, made_of, epoch=epoch, platform=platform)
        layers.append(LayerPlan(origin=origin, title=title, key=key, **fields))  # type: ignore[arg-type]  # the fields are LayerPlan's own

    if isinstance(recipe.base, BootstrapBase):
        title = f"{recipe.base.distribution} {recipe.base.suite}"
        made_of = ["bootstrap", recipe.base.distribution, recipe.base.suite]
        add(Origin.BASE, title, made_of, bootstrap=recipe.base)
    if recipe.packages:
        wanted = [[entry.manager, *entry.install] for entry in recipe.packages]
        add(Origin.PACKAGES, packages_title(recipe.packages), wanted, packages=recipe.packages)
    inputs: list[object] = [str(recipe.digest), to_document(recipe.build_args)]
    if recipe.steps:
        add(Origin.RECIPE, steps_title(recipe.steps), inputs, steps=recipe.steps)
    if recipe.containerfile:
        inputs += [to_document(replace(context, layers=())) for context in contexts]
        inputs += [str(layer.diff_id) for context in contexts for layer in context.layers]
        add(Origin.RECIPE, recipe.containerfile, inputs, containerfile=recipe.containerfile)
    return BuildPlan(
        recipe=recipe,
        platform=platform,
        epoch=epoch,
        base=base,
        layers=tuple(layers),
        inherited=inherited,
        contexts=contexts,
    )


def packages_title(packages: tuple[Packages, ...]) -> str:
    """Return what is installed, as a title: ``apt gcc, openmpi-bin; pip tabulate``."""
    return "; ".join(
        f"{entry.manager} {', '.join(text.split()[0] for text in entry.install)}"
        for entry in packages
    )


def steps_title(steps: tuple[Step, ...]) -> str:
    """Return what the steps are, as a title."""
    return "; ".join(step_title(step) for step in steps)


def step_title(step: Step) -> str:
    """Return what a step does, as a title."""
    match step:
        case RunStep():
            return step.command if isinstance(step.command, str) else " ".join(step.command)
        case CopyStep():
            return f"copy {step.source} to {step.to}"
        case FetchStep():
            return f"fetch {step.url} to {step.to}"


def _key(previous: object, made_of: object, *, epoch: int, platform: Platform) -> Digest:
    return Digest.of(strictjson.dumps([FORMAT, previous, made_of, epoch, str(platform)]))

"""From a recipe to a plan: pure, so that ``imagekit plan`` can show it without doing anything."""

from collections.abc import Iterator, Mapping
from itertools import groupby

from msgspec.structs import replace

from imagekit.build.image import BuiltLayer, Origin
from imagekit.build.job import BaseContext, BuildPlan, LayerPlan
from imagekit.documents import strictjson
from imagekit.documents.quantity import count
from imagekit.documents.record import to_document
from imagekit.oci.digest import Digest
from imagekit.oci.types import NOTHING, ImageConfig, Platform
from imagekit.recipe.recipe import (
    BootstrapBase,
    CopyStep,
    FetchStep,
    Packages,
    Recipe,
    RunStep,
    Step,
)

FORMAT = 6
"""Raised whenever layers are written in another way, so that no layer of an older cache is used."""


def make_plan(
    recipe: Recipe,
    *,
    platform: Platform,
    epoch: int,
    base: tuple[BuiltLayer, ...] = (),
    inherited: ImageConfig | None = None,
    contexts: tuple[BaseContext, ...] = (),
    system: BootstrapBase | None = None,
    mirrors: Mapping[str, str] = NOTHING,
) -> BuildPlan:
    """Return the plan of a recipe: the layers that building it makes, with their keys.

    Args:
        recipe: the recipe.
        platform: what it is built for.
        epoch: the image's time, in seconds since 1970.
        base: the layers of the base, where it is an image or another recipe.
        inherited: the configuration of that base.
        contexts: the images that a Containerfile names.
        system: the system that all else stands on, where a recipe says it.
        mirrors: where distributions are got from, where recipe or command line say it.
    """
    layers: list[LayerPlan] = []
    stated = sorted(map(list, mirrors.items()))
    # A step sees the environment of the base as much as its files.
    below = [str(layer.diff_id) for layer in base] + list(inherited.env if inherited else ())

    def next_key(made_of: object) -> Digest:
        previous = str(layers[-1].key) if layers else below
        return _key(previous, made_of, epoch=epoch, platform=platform)

    if isinstance(recipe.base, BootstrapBase):
        title = f"{recipe.base.distribution} {recipe.base.suite}"
        made_of = ["bootstrap", recipe.base.distribution, recipe.base.suite]
        key = next_key([*made_of, *stated])
        layers.append(LayerPlan(origin=Origin.BASE, title=title, key=key, bootstrap=recipe.base))
    sources = [[entry.uri, entry.suite, entry.components, entry.key] for entry in recipe.apt]
    for group in package_layers(recipe.packages):
        wanted = [
            # The file's name is in the title, and so in the image.
            [entry.manager, *entry.install, *([entry.requirements] if entry.requirements else [])]
            for entry in group
        ]
        title, key = packages_title(group), next_key([*wanted, *sources, *stated])
        layers.append(LayerPlan(origin=Origin.PACKAGES, title=title, key=key, packages=group))
    inputs: list[object] = [str(recipe.digest), to_document(recipe.build_args)]
    if recipe.steps:
        title, key = steps_title(recipe.steps), next_key(inputs)
        layers.append(LayerPlan(origin=Origin.RECIPE, title=title, key=key, steps=recipe.steps))
    if recipe.containerfile:
        inputs += [to_document(replace(context, layers=())) for context in contexts]
        inputs += [str(layer.diff_id) for context in contexts for layer in context.layers]
        title, key = recipe.containerfile, next_key(inputs)
        layers.append(LayerPlan(origin=Origin.RECIPE, title=title, key=key, containerfile=title))
    return BuildPlan(
        recipe=recipe,
        platform=platform,
        epoch=epoch,
        base=base,
        layers=tuple(layers),
        inherited=inherited,
        contexts=contexts,
        system=system,
        mirrors=mirrors,
    )


def package_layers(packages: tuple[Packages, ...]) -> Iterator[tuple[Packages, ...]]:
    """Yield the entries of each layer: those that want one of their own, and the runs of others."""
    for alone, entries in groupby(packages, key=lambda entry: entry.own_layer):
        if alone:
            yield from ((entry,) for entry in entries)
        else:
            yield tuple(entries)


def packages_title(packages: tuple[Packages, ...]) -> str:
    """Return what is installed, as a title: ``apt gcc; pip requirements.txt, 14 pins``."""
    return "; ".join(
        f"{entry.manager} {entry.requirements}, {count(len(entry.install), 'pin')}"
        if entry.requirements
        else f"{entry.manager} {', '.join(text.split()[0] for text in entry.install)}"
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

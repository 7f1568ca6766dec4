"""From a recipe to a plan: pure, so that ``imagekit plan`` can show it without doing anything."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, islice
from types import MappingProxyType

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.build.image import Origin
from imagekit.build.job import BaseContext, Below, BuildPlan, LayerPlan, StagePlan
from imagekit.build.read_files import ReadFiles, script_text
from imagekit.build.step_environment import DEFAULTS, FIXED
from imagekit.documents import strictjson
from imagekit.documents.quantity import count
from imagekit.documents.record import to_document
from imagekit.lock.lock import LockedDeb, LockedInstall, LockedPlatform, LockedTree
from imagekit.oci.digest import Digest
from imagekit.oci.types import Platform
from imagekit.recipe.recipe import (
    GZIP,
    Base,
    BootstrapBase,
    BuildStage,
    CopyStep,
    FetchStep,
    Packages,
    Recipe,
    RunStep,
    StageCopy,
    Step,
)

FORMAT = 6
"""Raised whenever layers are written in another way, so that no layer of an older cache is used."""
_NOTHING_BELOW = Below()
_ENVIRONMENT = (dict(FIXED), dict(DEFAULTS))
_NO_STAGES: Mapping[str, Below] = MappingProxyType({})
_NOTHING_LOCKED = LockedTree(base="")


class _Chain(Struct):
    """Layers on top of each other; the key of each depends on all below it."""

    recipe: Recipe
    below: Below
    epoch: int
    platform: Platform
    of_stage: bool = False
    locked: LockedTree | None = None
    layers: list[LayerPlan] = field(default_factory=list)

    @property
    def top(self) -> object:
        """What stands for all layers so far."""
        if self.layers:
            return str(self.layers[-1].key)
        # A step sees the environment of the base as much as its files.
        env = self.below.config.env if self.below.config is not None else ()
        return [str(layer.diff_id) for layer in self.below.layers] + list(env)

    @property
    def _mirrors(self) -> list[list[str]]:
        return sorted(map(list, self.below.mirrors.items()))

    def bootstrap(self, base: Base | None) -> None:
        """Add the layer of a new system, if the base is one."""
        if isinstance(base, BootstrapBase):
            title = f"{base.distribution} {base.suite}"
            debs = () if self.locked is None else self.locked.bootstrap
            state = self._mirrors if self.locked is None else _hashes(debs)
            key = self._key(["bootstrap", base.distribution, base.suite, *state])
            self.layers.append(
                self._layer(
                    LayerPlan(origin=Origin.BASE, title=title, key=key, bootstrap=base, debs=debs)
                )
            )

    def packages(self, packages: tuple[Packages, ...]) -> None:
        """Add the layers of package managers."""
        installs = iter(() if self.locked is None else self.locked.installs)
        for group in package_layers(packages):
            wanted: list[object] = [
                # The file's name is in the title, and so in the image.
                [entry.manager, *entry.install, *filter(None, [entry.requirements])]
                for entry in group
            ]
            locked = tuple(islice(installs, len(group)))
            more = ["stage"] if self.of_stage else []
            key = self._key([*wanted, *self._state(locked), *more])
            self.layers.append(
                self._layer(
                    LayerPlan(
                        origin=Origin.PACKAGES,
                        title=packages_title(group),
                        key=key,
                        packages=group,
                        of_stage=self.of_stage,
                        installs=locked,
                    )
                )
            )

    def steps(self, steps: tuple[Step, ...], made_of: Callable[[Step], Sequence[object]]) -> None:
        """Add the layer of the steps, if there are any; each has a key, on top of those before."""
        keys: list[Digest] = []
        for step in steps:
            below = self.top if not keys else str(keys[-1])
            keys.append(self._key(made_of(step), below))
        if steps:
            plan = LayerPlan(
                origin=Origin.RECIPE,
                title=steps_title(steps),
                key=self._key(["steps", len(keys)], str(keys[-1])),
                steps=steps,
                step_keys=tuple(keys),
            )
            self.layers.append(self._layer(plan))

    def containerfile(self, name: str, inputs: Sequence[object]) -> None:
        """Add the layer of a Containerfile."""
        key = self._key(inputs)
        plan = LayerPlan(origin=Origin.RECIPE, title=name, key=key, containerfile=name)
        self.layers.append(self._layer(plan))

    def _state(self, installs: Sequence[LockedInstall]) -> list[object]:
        """Return what decides which packages a layer gets, besides those that are asked for."""
        if self.locked is not None:
            return [
                [*_hashes(install.debs), *(str(wheel.sha256) for wheel in install.wheels)]
                for install in installs
            ]
        sources = [[e.uri, e.suite, e.components, e.key] for e in self.recipe.apt]
        return [*sources, *self._mirrors]

    def _layer(self, plan: LayerPlan) -> LayerPlan:
        return replace(plan, locked=self.locked is not None)

    def _key(self, made_of: object, below: object = None) -> Digest:
        below = self.top if below is None else below
        whole = [FORMAT, below, made_of, self.epoch, str(self.platform)]
        # One that is not locked is used for a day only, so that the two must not be the same.
        whole += ["locked"] if self.locked is not None else []
        whole += [self.recipe.compression] if self.recipe.compression != GZIP else []
        return Digest.of(strictjson.dumps(whole))


def _locked_stage(stage: BuildStage, locked: LockedPlatform) -> LockedTree:
    tree = locked.stages.get(stage.name, _NOTHING_LOCKED)
    # Without a base of its own it begins as the image does.
    return tree if stage.base is not None else replace(tree, bootstrap=locked.image.bootstrap)


def _hashes(debs: Sequence[LockedDeb]) -> list[str]:
    return [str(deb.sha256) for deb in debs]


def make_plan(
    recipe: Recipe,
    *,
    platform: Platform,
    epoch: int,
    below: Below = _NOTHING_BELOW,
    contexts: tuple[BaseContext, ...] = (),
    stages: Mapping[str, Below] = _NO_STAGES,
    files: ReadFiles | None = None,
    locked: LockedPlatform | None = None,
) -> BuildPlan:
    """Return the plan of a recipe: the layers that building it makes, with their keys.

    Args:
        recipe: the recipe.
        platform: what it is built for.
        epoch: the image's time, in seconds since 1970.
        below: what it stands on.
        contexts: the images that a Containerfile names.
        stages: what those stages stand on that say it themselves, by their names.
        files: what of the recipe's folder is read; without it all of the folder counts.
        locked: what it is made of, where a lock says it; that fits the recipe.
    """
    files = files or ReadFiles(folder=recipe.digest)
    tops: dict[str, object] = {}
    planned: list[StagePlan] = []

    def made_of(env: Mapping[str, str]) -> Callable[[Step], Sequence[object]]:
        return partial(_step_inputs, recipe=recipe, env=env, files=files, stages=tops)

    for stage in recipe.stages:
        own = below if stage.base is None else stages.get(stage.name, _NOTHING_BELOW)
        tree = None if locked is None else _locked_stage(stage, locked)
        chain = _Chain(recipe, own, epoch, platform, of_stage=True, locked=tree)
        chain.bootstrap(recipe.base if stage.base is None else stage.base)
        chain.packages(stage.packages)
        chain.steps(stage.steps, made_of(stage.env))
        tops[stage.name] = chain.top
        layers = tuple(chain.layers)
        planned.append(StagePlan(name=stage.name, below=own, layers=layers, env=stage.env))
    tree = None if locked is None else locked.image
    chain = _Chain(recipe, below, epoch, platform, locked=tree)
    chain.bootstrap(recipe.base)
    chain.packages(recipe.packages)
    chain.steps(recipe.steps, made_of(recipe.env))
    if recipe.containerfile:
        chain.containerfile(recipe.containerfile, _script_inputs(recipe, contexts, files))
    return BuildPlan(
        recipe=recipe,
        platform=platform,
        epoch=epoch,
        base=below.layers,
        layers=tuple(chain.layers),
        inherited=below.config,
        contexts=contexts,
        system=below.system,
        mirrors=below.mirrors,
        stages=tuple(planned),
        copied=files.copied,
        archives=() if locked is None else locked.archives,
    )


def _step_inputs(
    step: Step,
    *,
    recipe: Recipe,
    env: Mapping[str, str],
    files: ReadFiles,
    stages: Mapping[str, object],
) -> Sequence[object]:
    """Return all that the outcome of a step depends on, besides what is below it.

    What a step cannot see takes no part: its place in the file, how long it may take, the title.
    """
    match step:
        case RunStep():
            variables = [list(map(list, named.items())) for named in (env, recipe.build_args)]
            secrets = [secret.id for secret in recipe.secrets]
            return ["run", step.command, step.network, *_ENVIRONMENT, *variables, secrets]
        case CopyStep():
            content = str(files.copied.get(step.source, files.folder))
            # A file keeps its name where it is copied into a folder.
            return ["copy", content, step.source, step.to, step.mode, step.owner]
        case FetchStep():
            return ["fetch", step.url, str(step.sha256), step.to, step.extract]
        case StageCopy():
            return ["stage", stages[step.stage], step.source, step.to, step.owner]


def _script_inputs(
    recipe: Recipe, contexts: tuple[BaseContext, ...], files: ReadFiles
) -> Sequence[object]:
    """Return all that the outcome of a Containerfile depends on, besides what is below it."""
    inputs: list[object] = [
        *("containerfile", recipe.containerfile, str(files.context or files.folder)),
        *_ENVIRONMENT,
        *(script_text(recipe.script) if recipe.script is not None else ()),
        list(map(list, recipe.build_args.items())),
        [secret.id for secret in recipe.secrets],
    ]
    inputs += [to_document(replace(context, layers=())) for context in contexts]
    inputs += [str(layer.diff_id) for context in contexts for layer in context.layers]
    return inputs


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
        case StageCopy():
            return f"copy {step.source} of {step.stage} to {step.to}"

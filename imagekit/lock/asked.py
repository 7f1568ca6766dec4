"""What a recipe asks for, in the form of a lock in which nothing is resolved yet."""

from collections.abc import Mapping

from imagekit.lock.lock import LockedFile, LockedInstall, LockedTree
from imagekit.recipe.recipe import (
    Base,
    BootstrapBase,
    BuildStage,
    FetchStep,
    ImageBase,
    Packages,
    Recipe,
    RecipeBase,
    ScratchBase,
    Step,
)


def asked_image(recipe: Recipe) -> LockedTree:
    """Return what the recipe asks for in its image."""
    base = "" if recipe.base is None else base_text(recipe.base)
    return _tree(base, recipe.packages, recipe.steps)


def asked_stages(recipe: Recipe) -> Mapping[str, LockedTree]:
    """Return what the recipe asks for in its stages, by their names."""
    return {stage.name: _stage(stage) for stage in recipe.stages}


def base_text(base: Base) -> str:
    """Return a base as a lock names it."""
    match base:
        case BootstrapBase():
            return f"{base.distribution} {base.suite}"
        case RecipeBase():
            return f"recipe {base.name}"
        case ImageBase():
            return str(base)
        case ScratchBase():
            return "scratch"


def _stage(stage: BuildStage) -> LockedTree:
    base = "" if stage.base is None else base_text(stage.base)
    return _tree(base, stage.packages, stage.steps)


def _tree(base: str, packages: tuple[Packages, ...], steps: tuple[Step, ...]) -> LockedTree:
    return LockedTree(
        base=base,
        installs=tuple(
            LockedInstall(manager=entry.manager, asked=entry.install) for entry in packages
        ),
        files=tuple(
            LockedFile(url=step.url, digest=step.sha256)
            for step in steps
            if isinstance(step, FetchStep)
        ),
    )

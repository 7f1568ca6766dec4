"""What building a recipe means: its layers, what each is made from, and for whom."""

from dataclasses import dataclass
from pathlib import Path

from imagekit.model.digest import Digest
from imagekit.model.image import BuiltLayer, Material, Origin
from imagekit.model.oci import ImageConfig, Platform
from imagekit.model.recipe import BootstrapBase, Instruction, Packages, Recipe, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    """One layer that is to be made, and everything that determines it."""

    origin: Origin
    title: str
    key: Digest
    """Equal for two layers that are made from the same things on top of the same layers."""
    bootstrap: BootstrapBase | None = None
    packages: tuple[Packages, ...] = ()
    steps: tuple[Step, ...] = ()
    containerfile: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseContext:
    """An image that a Containerfile names, which is in the local store."""

    name: str
    """How the Containerfile calls it."""
    config: ImageConfig
    layers: tuple[BuiltLayer, ...]
    triggers: tuple[Instruction, ...] = ()
    """What it wants to be done first where a stage stands on it (ONBUILD)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """A recipe, resolved for one platform."""

    recipe: Recipe
    platform: Platform
    epoch: int
    """The image's time, in seconds since 1970."""
    base: tuple[BuiltLayer, ...]
    """Layers that are there already: of a base image or another recipe."""
    layers: tuple[LayerPlan, ...]
    inherited: ImageConfig | None = None
    """The configuration of the base, which its children inherit where they say nothing else."""
    contexts: tuple[BaseContext, ...] = ()
    """The images that a Containerfile names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """imagekit's own container storage."""

    graph: Path
    run: Path
    driver: str
    isolation: str
    runtime: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretValue:
    """A secret for the time of a build."""

    id: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the worker is told: all that it needs, and no keys or registry credentials."""

    plan: BuildPlan
    layout: Path
    cache: Path
    work: Path
    """A folder of this job's own, which is removed when it ends."""
    store: Store
    secrets: tuple[SecretValue, ...] = ()
    use_cache: bool = True
    max_age: int = 86400
    """Seconds that a layer of the cache is good for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the worker made."""

    layers: tuple[BuiltLayer, ...]
    materials: tuple[Material, ...]
    tools: tuple[tuple[str, str], ...]
    config: ImageConfig | None = None
    """What a Containerfile says of how the image is run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedLayer:
    """A layer that was made before, with what it was made of."""

    layer: BuiltLayer
    materials: tuple[Material, ...]
    made: float
    """When, in seconds since 1970."""
    config: ImageConfig | None = None
    tools: tuple[tuple[str, str], ...] = ()
    """Names and versions of what made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command in the working container ended."""

    status: int
    output: str
    """Its last lines."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRan:
    """How a test's command ended."""

    status: int
    stdout: str
    stderr: str

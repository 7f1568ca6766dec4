"""What building a recipe means: its layers, what each is made from, and for whom."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.build.image import BuiltLayer, Material, Origin
from imagekit.lock.lock import LockedArchive, LockedDeb, LockedInstall, LockedPlatform
from imagekit.oci.digest import Digest
from imagekit.oci.types import NOTHING, ImageConfig, Platform
from imagekit.recipe.image_test import EndSignal
from imagekit.recipe.recipe import BootstrapBase, Instruction, Packages, Recipe, Step


class LayerPlan(Struct, frozen=True, kw_only=True):
    """One layer that is to be made, and everything that determines it."""

    origin: Origin
    title: str
    key: Digest
    """Equal for two layers that are made from the same things on top of the same layers."""
    bootstrap: BootstrapBase | None = None
    packages: tuple[Packages, ...] = ()
    steps: tuple[Step, ...] = ()
    step_keys: tuple[Digest, ...] = ()
    """Of each step, as ``key``: equal where it is the same step on top of the same ones."""
    containerfile: str = ""
    of_stage: bool = False
    """Whether no image has it: then its packages are materials of what is made by them."""
    locked: bool = False
    """Whether a lock says what it, and all below it, is made of."""
    debs: tuple[LockedDeb, ...] = ()
    """The packages of a new system, where they are locked."""
    installs: tuple[LockedInstall, ...] = ()
    """What each entry of ``packages`` installs, where that is locked."""


class Below(Struct, frozen=True, kw_only=True):
    """What a recipe, or a stage of it, stands on."""

    layers: tuple[BuiltLayer, ...] = ()
    """Those of an image or of another recipe."""
    config: ImageConfig | None = None
    """The configuration of that."""
    system: BootstrapBase | None = None
    """The system that all else stands on, where a recipe says it."""
    mirrors: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Where distributions are got from, where recipe or command line say it."""


class StagePlan(Struct, frozen=True, kw_only=True):
    """A tree that is made only to be copied from."""

    name: str
    below: Below
    layers: tuple[LayerPlan, ...]
    env: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """The environment of its steps."""


class BaseContext(Struct, frozen=True, kw_only=True):
    """An image that a Containerfile names, which is in the local store."""

    name: str
    """How the Containerfile calls it."""
    config: ImageConfig
    layers: tuple[BuiltLayer, ...]
    triggers: tuple[Instruction, ...] = ()
    """Its ONBUILD: what runs first in a stage that builds on it."""


class BuildPlan(Struct, frozen=True, kw_only=True):
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
    system: BootstrapBase | None = None
    """The system that all else stands on, where a recipe says it."""
    mirrors: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Where distributions are got from, where recipe or command line say it."""
    stages: tuple[StagePlan, ...] = ()
    """What is made first, each behind those that it copies from."""
    copied: Mapping[str, Digest] = field(default_factory=dict)
    """The digest of what each path holds that a step copies from the recipe's folder."""
    lock: Digest | None = None
    """That of the lock that all of it is made from, where there is one."""
    archives: tuple[LockedArchive, ...] = ()
    """The states of archives that the lock's packages were resolved from."""

    def of(self, stage: StagePlan) -> "BuildPlan":
        """Return the plan of one of the stages."""
        return replace(
            self,
            base=stage.below.layers,
            layers=stage.layers,
            inherited=stage.below.config,
            system=stage.below.system,
            mirrors=stage.below.mirrors,
            contexts=(),
            stages=(),
        )


class UsedLock(Struct, frozen=True, kw_only=True):
    """What the lock that a recipe is built from says of one platform."""

    digest: Digest
    """Of the whole lock."""
    source_date: int
    """The image's time, in seconds since 1970."""
    platform: LockedPlatform


IsolationWish = Literal["auto", "oci", "chroot"]
"""How steps are to be contained: as well as this host can, or in one way only."""


class Isolation(Struct, frozen=True, kw_only=True):
    """How steps are contained, as Buildah's option ``--isolation`` has it."""

    how: Literal["oci", "rootless", "chroot"]
    runtime: str = ""
    """The program that starts the containers; empty for ``chroot``."""

    def __str__(self) -> str:
        """Return it for people and for the provenance: ``oci (runc)``, ``chroot``."""
        return f"{self.how} ({Path(self.runtime).name})" if self.runtime else self.how


class Folder(Struct, frozen=True, kw_only=True):
    """A folder whose path is handed to tools."""

    path: Path
    """The path that tools get: of plain characters, whatever ``real`` is."""
    real: Path
    """Where it lies; seen at ``path`` only in mount namespaces of ours, where the two differ."""


class ContainerStore(Struct, frozen=True, kw_only=True):
    """imagekit's own container storage."""

    folder: Folder
    run: Path
    driver: str
    runtime: str
    """The OCI runtime that this host's cgroups suggest; a probe shows whether it works."""
    isolation: IsolationWish = "auto"

    @property
    def graph(self) -> Path:
        """Where the layers lie, as the path that tools get."""
        return self.folder.path


class SecretValue(Struct, frozen=True, kw_only=True):
    """A secret for the time of a build."""

    id: str
    value: str


class InStorage(Struct, frozen=True, kw_only=True):
    """What the worker gets for anything that it does in the container storage."""

    folder: Folder
    """A folder of this job's own, which is removed when it ends."""
    store: ContainerStore
    locks: Path
    """Where the locks of jobs lie."""

    @property
    def name(self) -> str:
        """The name of this job, which no other job on any host has."""
        return self.folder.real.name


class Job(InStorage, frozen=True, kw_only=True):
    """What the worker gets to build: all that it needs, and no keys or registry credentials."""

    plan: BuildPlan
    layout: Path
    cache: Path
    record: Path
    """The file that records how steps can be contained on this host."""
    secrets: tuple[SecretValue, ...] = ()
    use_cache: bool = True
    max_age: int = 86400
    """Seconds that a layer of the cache is used."""

    @property
    def work(self) -> Path:
        """The job's folder, as the path that tools get."""
        return self.folder.path


class IsolationProbe(InStorage, frozen=True, kw_only=True):
    """What the worker gets where it only has to find how steps can be contained on this host."""

    record: Path


END, FAILED = 0, -1
"""Where a shell starts, if not behind a step: behind all, or as the step that fails leaves it."""


class ShellJob(Struct, frozen=True, kw_only=True):
    """What the worker gets where somebody wants to look into a working container."""

    job: Job
    point: int
    """The number of the step behind which it starts, from 1; or END or FAILED."""
    terminal: str
    """The kind of the user's terminal (TERM); empty where there is none."""
    command: tuple[str, ...] = ()
    """What is run; empty for a shell."""

    @property
    def name(self) -> str:
        """The name of this job, which no other job on any host has."""
        return self.job.name

    @property
    def folder(self) -> Folder:
        """A folder of this job's own, which is removed when it ends."""
        return self.job.folder

    @property
    def store(self) -> ContainerStore:
        """Imagekit's own container storage."""
        return self.job.store

    @property
    def locks(self) -> Path:
        """Where the locks of jobs lie."""
        return self.job.locks


class ShellReady(Struct, frozen=True, kw_only=True):
    """How a process of the user's own terminal enters the working container."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    """The whole environment of it."""
    place: str
    """Where in the recipe it is, for people."""
    fault: str = ""
    """How the step failed."""


class StoragePrune(InStorage, frozen=True, kw_only=True):
    """What the worker gets where it only has to tidy the container storage."""

    unused_for: float
    """Seconds for which no job may have used what is removed."""
    dry_run: bool


class StoragePruned(Struct, frozen=True, kw_only=True):
    """What was removed of the container storage."""

    images: int
    size: int
    """Bytes of the disk; of a dry run those of all of it, if any of it would go."""


class BuildResult(Struct, frozen=True, kw_only=True):
    """What the worker made."""

    layers: tuple[BuiltLayer, ...]
    materials: tuple[Material, ...]
    tools: tuple[tuple[str, str], ...]
    config: ImageConfig | None = None
    """The configuration that a Containerfile gives the image."""
    isolations: tuple[str, ...] = ()
    """How the commands were contained that made the layers."""


class CachedLayer(Struct, frozen=True, kw_only=True):
    """A layer that was made before, with what it was made of."""

    layer: BuiltLayer
    materials: tuple[Material, ...]
    made: float
    """When, in seconds since 1970."""
    config: ImageConfig | None = None
    tools: tuple[tuple[str, str], ...] = ()
    """Names and versions of what made it."""
    isolation: str = ""
    """How the commands were contained that made it; empty where none was run."""
    locked: bool = False
    """Whether its key has all that it is made of, so that its age says nothing."""
    stands_on: Digest | None = None
    """Stands for the content that it was made on: under one key that may have been another."""


class CachedStep(Struct, frozen=True, kw_only=True):
    """A step that was done before, with what it was made of."""

    materials: tuple[Material, ...]
    made: float
    """When, in seconds since 1970."""
    isolation: str = ""
    """How its command was contained; empty where none was run."""
    locked: bool = False
    """Whether a lock says what it stands on, so that it is used as long as it is there."""
    size: int = 0
    """Bytes of the archive of what it changed."""


class CommandResult(Struct, frozen=True, kw_only=True):
    """How a command in the working container ended."""

    status: int
    output: str
    """Its last lines."""
    seconds: float


class Trial(Struct, frozen=True, kw_only=True):
    """A command that is run in a finished image for a test of it, and how."""

    command: tuple[str, ...]
    """The command, or what goes to the entrypoint."""
    around_entrypoint: bool = True
    """Whether the image's entrypoint is left out."""
    user: str = ""
    """``USER[:GROUP]``; empty for the image's own."""
    read_only: bool = True
    network: bool = False
    """Whether it has the host's network, else nothing but loopback."""
    env: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Variables besides those of the image."""
    signal: EndSignal | None = None
    limit: float
    """Seconds that it may take."""


SignalEnd = Literal["ended", "early", "late"]
"""How a program met its signal: it ended by it in time, had ended before, or had to be killed."""


class TrialOutcome(Struct, frozen=True, kw_only=True):
    """How a test's command ended."""

    status: int
    stdout: str
    stderr: str
    end: SignalEnd | None = None
    """None where it was sent no signal."""

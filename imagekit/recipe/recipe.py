"""Recipes: what an admin writes, after it was checked.

Each part keeps its place in the file, so that an error much later can still point there.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from imagekit.documents.place import SourcePlace
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, Location
from imagekit.oci.reference import PinnedReference
from imagekit.oci.types import NOTHING, Platform
from imagekit.recipe.check_key import CheckDemand
from imagekit.recipe.image_test import ImageTest
from imagekit.recipe.stated_needs import StatedNeeds

Compression = Literal["gzip", "zstd", "zstd:chunked"]
"""How layers are compressed; the words are those of ``--compression-format`` of Podman."""
GZIP: Compression = "gzip"
ZSTD: Compression = "zstd"
ZSTD_CHUNKED: Compression = "zstd:chunked"
COMPRESSIONS = (GZIP, ZSTD, ZSTD_CHUNKED)

EXCLUDED = (".git", ".hg", ".svn", ".DS_Store", "*~", ".*.sw?", "#*#", ".#*", "recipe.lock")


def is_excluded(name: str) -> bool:
    """Return whether such a file is no part of a recipe: version control, editor backups, its lock.

    The lock is made of the recipe, so that the recipe's digest cannot depend on it.
    """
    return any(fnmatchcase(name, pattern) for pattern in EXCLUDED)


class ImageBase(Struct, frozen=True, kw_only=True):
    """An image of a registry or layout, by digest."""

    reference: PinnedReference
    location: Location = REGISTRY
    place: SourcePlace

    def __str__(self) -> str:
        return self.location.shown(str(self.reference))


class BootstrapBase(Struct, frozen=True, kw_only=True):
    """A distribution's minimal system, made by mmdebstrap."""

    distribution: Literal["debian", "ubuntu"]
    suite: str
    mirror: str = ""
    """Where it is got from; empty for the host's own mirror."""
    place: SourcePlace


class RecipeBase(Struct, frozen=True, kw_only=True):
    """The image that another recipe of the same tree of recipes builds."""

    name: str
    place: SourcePlace


class ScratchBase(Struct, frozen=True, kw_only=True):
    """Nothing at all."""

    place: SourcePlace


Base = ImageBase | BootstrapBase | RecipeBase | ScratchBase


class Instruction(Struct, frozen=True, kw_only=True):
    """One instruction of a Containerfile, as the one line that Buildah gets.

    An image that it names stands in ``text`` as its name between two NUL characters, which no
    Containerfile can hold; only the build knows which image of the storage that is.
    """

    text: str
    line: int
    body: tuple[str, ...] = ()
    """The lines of its here-documents, their ends included."""


class Stage(Struct, frozen=True, kw_only=True):
    """One stage of a Containerfile: what it stands on and what is done."""

    number: int
    image: str = ""
    """The name of the image below, one of the file's sources; empty for a stage or nothing."""
    below: int | None = None
    """The number of the earlier stage that it stands on."""
    platform: str = ""
    """What ``FROM --platform`` says, if it is not the host's own in words."""
    steps: tuple[Instruction, ...] = ()
    onbuild: tuple[Instruction, ...] = ()
    """What has to be done first in whatever stands on this stage; no part of ``steps``."""
    place: SourcePlace


class Needed(Struct, frozen=True, kw_only=True):
    """A part of a Containerfile that older versions of Buildah do not know, or do unsafely."""

    feature: str
    version: str
    """The first version of Buildah that does it."""
    place: SourcePlace


class Containerfile(Struct, frozen=True, kw_only=True):
    """A Containerfile that was read whole: the stages that the last one needs, in their order."""

    arguments: tuple[Instruction, ...] = ()
    """The ARGs before the first FROM."""
    stages: tuple[Stage, ...]
    sources: tuple[ImageBase | RecipeBase, ...] = ()
    """Every image that these stages name, each once."""
    binds: tuple[str, ...] = ()
    """Paths of the context that are mounted while a step runs."""
    needs: tuple[Needed, ...] = ()

    @property
    def image(self) -> str:
        """The name of the image that the last stage stands on in the end; empty for nothing."""
        stages = {stage.number: stage for stage in self.stages}
        stage = self.stages[-1]
        while stage.below is not None:
            stage = stages[stage.below]
        return stage.image


class Packages(Struct, frozen=True, kw_only=True):
    """What one package manager installs.

    For apt, ``NAME`` or ``NAME=VERSION``. For pip, ``NAME==VERSION`` with
    ``--hash=sha256:...`` behind, as in a requirements file: pip is run with --require-hashes.
    """

    manager: Literal["apt", "pip"]
    install: tuple[str, ...]
    """What is installed; that of a requirements file is read when the recipe is."""
    requirements: str = ""
    """The path of that file below the recipe's folder."""
    own_layer: bool = False
    """Whether it is a layer of its own; else it is in one with the entries beside it."""
    place: SourcePlace


class AptSource(Struct, frozen=True, kw_only=True):
    """A repository of packages that is no mirror of the distribution, with the key that signs it.

    It is there while apt entries of ``packages`` are installed, and no part of the image.
    """

    uri: str
    suite: str
    """As in sources.list(5): a suite with its components, or a path that ends with a slash."""
    components: tuple[str, ...]
    signed_by: str
    """Path of the key below the recipe's folder."""
    key: str
    """What is in that file, as packets (RFC 9580) in base64."""
    place: SourcePlace


class RunStep(Struct, frozen=True, kw_only=True):
    """A command: text for ``/bin/sh -c``, or an argument vector that is executed as it stands."""

    command: str | tuple[str, ...]
    place: SourcePlace
    network: bool = True
    """Whether it has the host's network; else it has none but loopback."""


class CopyStep(Struct, frozen=True, kw_only=True):
    """A file or folder of the recipe's folder, copied into the image."""

    source: str
    to: str
    place: SourcePlace
    mode: int | None = None
    """Permission bits; None keeps 0755 for what is executable and folders, 0644 for the rest."""
    owner: str = "0:0"
    """``UID[:GID]`` or names that the image's passwd and group files know."""


class FetchStep(Struct, frozen=True, kw_only=True):
    """A file of the network, checked against its digest before anything reads it."""

    url: str
    sha256: Digest
    to: str
    place: SourcePlace
    extract: bool = False


class StageCopy(Struct, frozen=True, kw_only=True):
    """A file, or the content of a folder, of another stage.

    Links in it are kept and mean what they say in the image; one that leads to ``source`` is
    followed in the stage. Modes, hard links, capabilities and ``user.*`` attributes are kept.
    """

    stage: str
    source: str
    """An absolute path in the stage."""
    to: str
    place: SourcePlace
    named: SourcePlace
    """Where the stage is named."""
    owner: str = "0:0"
    """Whose all of it is, whoever had it in the stage."""


Step = RunStep | CopyStep | FetchStep | StageCopy


class BuildStage(Struct, frozen=True, kw_only=True):
    """A tree that is made only for others to copy from; it is no part of the image."""

    name: str
    base: Base | None = None
    """None for what the recipe itself stands on."""
    packages: tuple[Packages, ...] = ()
    steps: tuple[Step, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """The environment of its steps; that of the recipe is the finished image's."""
    place: SourcePlace


def stages_of(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Return the stages that steps copy from, each once."""
    return tuple(dict.fromkeys(step.stage for step in steps if isinstance(step, StageCopy)))


class Secret(Struct, frozen=True, kw_only=True):
    """Where a secret's value comes from when a step runs; the value itself is never kept.

    A step reads it from ``/run/secrets/ID``.
    """

    id: str
    env: str = ""
    file: str = ""
    place: SourcePlace


BUILD = "{build}"
"""In a tag, the first digits of the digest of all that decides the image."""


class Tags(Struct, frozen=True, kw_only=True):
    """The tags of a release, ``{version}`` and the like already put in, but for ``{build}``."""

    immutable: tuple[str, ...]
    moving: tuple[str, ...]

    def built(self, build: str) -> "Tags":
        """Return them with what stands for ``{build}``, which decides what is built."""
        return Tags(
            immutable=tuple(tag.replace(BUILD, build) for tag in self.immutable),
            moving=tuple(tag.replace(BUILD, build) for tag in self.moving),
        )

    @property
    def all(self) -> tuple[str, ...]:
        """Immutable tags first, each once."""
        return tuple(dict.fromkeys((*self.immutable, *self.moving)))


class Recipe(Struct, frozen=True, kw_only=True):
    """A recipe, wholly checked.

    ``digest`` is that of recipe.yaml and every file beside it: see
    ``imagekit.recipe.recipe_digest``.
    """

    folder: Path
    file: Path
    digest: Digest
    name: str
    version: str
    place: SourcePlace
    base: Base | None
    """None where a Containerfile says everything."""
    title: str = ""
    description: str = ""
    licenses: str = ""
    source: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    packages: tuple[Packages, ...] = ()
    apt: tuple[AptSource, ...] = ()
    """Further repositories for what apt installs."""
    steps: tuple[Step, ...] = ()
    stages: tuple[BuildStage, ...] = ()
    """What steps copy from; each behind those that it copies from itself."""
    containerfile: str = ""
    """Path below the folder; it then stands instead of base, packages and steps.

    Each image that it builds on is pinned by digest, an earlier stage, ``scratch``, or another
    recipe of the tree, which it calls ``localhost/NAME`` (``FROM localhost/base/debian``).
    """
    script: Containerfile | None = None
    """The Containerfile as it was read; None where there is none."""
    env: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    workdir: str = ""
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    secrets: tuple[Secret, ...] = ()
    platforms: tuple[Platform, ...] = ()
    """Empty: the platform of the host."""
    compression: Compression = GZIP
    """How the layers are compressed that the recipe adds to its base."""
    tests: tuple[ImageTest, ...] = ()
    check: CheckDemand | None = None
    """What the check of the image may find; None where findings are told and stop nothing."""
    needs: StatedNeeds | None = None
    """What the image needs of its node; None where the recipe says nothing about it."""
    tags: Tags
    date: int | None = None
    """Seconds since 1970 that the recipe gives as the image's time, if it does."""
    time_limit: int = 3600
    """Seconds that one step may take."""

    @property
    def recipes_below(self) -> tuple[RecipeBase, ...]:
        """The other recipes that have to be built before this one."""
        return tuple(source for source in self._sources if isinstance(source, RecipeBase))

    @property
    def images_below(self) -> tuple[ImageBase, ...]:
        """The images that it builds on, those of its stages included."""
        return tuple(source for source in self._sources if isinstance(source, ImageBase))

    @property
    def _sources(self) -> tuple[Base | None, ...]:
        if self.script is not None:
            return self.script.sources
        return (self.base, *(stage.base for stage in self.stages))

"""The port of the build stage: a working container, and what goes into it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol

from imagekit.build.image import BuiltLayer, Material
from imagekit.build.job import CachedLayer, CachedStep, CommandResult, StagePlan
from imagekit.build.marks import Mark
from imagekit.build.wheels import ImagePython
from imagekit.lock.lock import LockedDeb, LockedWheel
from imagekit.oci.digest import Digest
from imagekit.oci.types import ImageConfig
from imagekit.recipe.recipe import BootstrapBase, CopyStep, FetchStep, StageCopy


class StepStore(Protocol):
    """Keeps what steps changed in their trees."""

    def find(self, key: Digest) -> CachedStep | None:
        """Return what is known of a step, if it is still good."""
        ...

    def archive(self, key: Digest) -> Path:
        """Return where the archive of a step lies."""
        ...

    def keep(self, key: Digest, step: CachedStep, fill: Callable[[IO[bytes]], None]) -> None:
        """Keep a step, whose archive is written by ``fill``; where that fails nothing is kept."""
        ...

    def drop(self, key: Digest) -> None:
        """Remove a step, if it is there."""
        ...


class BuildContainer(Protocol):
    """Makes one image in one working container."""

    @property
    def blobs(self) -> Path:
        """The folder that layers are written into."""
        ...

    @property
    def steps(self) -> StepStore:
        """What steps changed, in this build and in others."""
        ...

    def cached(self, key: Digest) -> CachedLayer | None:
        """Return the layer that was made for the key before, if it is still good."""
        ...

    def keep(self, key: Digest, layer: CachedLayer) -> None:
        """Put a layer into the cache."""
        ...

    def making(self, key: Digest, waiting: Callable[[], None]) -> AbstractContextManager[None]:
        """Hold the key, so that no other build makes its layer meanwhile, whatever process it is.

        Args:
            key: of the layer.
            waiting: called where another build holds it, before that is waited for.
        """
        ...

    def open(self, layers: Sequence[BuiltLayer]) -> Path:
        """Start the working container on these layers and return its mounted root."""
        ...

    def bootstrap(
        self, base: BootstrapBase, root: Path, *, debs: Sequence[LockedDeb] | None = None
    ) -> tuple[Material, ...]:
        """Fill the empty root with a distribution's minimal system.

        Args:
            base: the distribution and its suite.
            root: the mounted root.
            debs: the packages of which it is made, and no others; None for the mirrors' newest.
        """
        ...

    def run(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        stage: str,
        limit: float,
        mounts: Sequence[tuple[Path, str]] = (),
        network: bool = True,
    ) -> CommandResult:
        """Run a command in the working container; without ``network`` it has loopback only."""
        ...

    def beside(self, stage: StagePlan) -> "BuildContainer":
        """Return another working container, of a stage; it ends with this one."""
        ...

    def copy(self, step: CopyStep) -> None:
        """Copy from the recipe's folder."""
        ...

    def copy_from_stage(self, step: StageCopy) -> None:
        """Copy from a stage, whose container is open."""
        ...

    def fetch(self, step: FetchStep) -> Material:
        """Download, check and place a file, or unpack it."""
        ...

    def apt_sources(self, distribution: str, suite: str, *, keyring: str) -> str:
        """Return a sources.list of the distribution's mirrors for the suite.

        Raises:
            ToolError: no mirror is known.
        """
        ...

    def locked_sources(self, debs: Sequence[LockedDeb], *, suite: str) -> Path:
        """Return a folder that apt can have mounted instead of any source: just these packages."""
        ...

    def given(self, files: Mapping[str, bytes]) -> Path:
        """Write files, by their paths, into a folder that a command can have mounted."""
        ...

    def wheels(
        self,
        requirements: Sequence[str],
        *,
        wanted: Sequence[str],
        python: ImagePython,
        locked: Sequence[LockedWheel] = (),
    ) -> tuple[Path, tuple[Material, ...]]:
        """Download wheels whose hashes are right, with pip and its requirements beside them.

        Args:
            requirements: what pip gets in the image.
            wanted: those of them whose markers hold for the image's Python, without markers.
            python: the image's Python.
            locked: the very files, where they are known; those of the cache are not asked for.
        """
        ...

    def marks(self) -> Sequence[Mark]:
        """Return the texts of this host that no layer may hold."""
        ...

    def secrets(self) -> Sequence[tuple[Path, str]]:
        """Return the files of the secrets and where a step finds them."""
        ...

    def containerfile(self, name: str) -> tuple[Path, ImageConfig]:
        """Build a Containerfile; return the mounted root of the result and its configuration."""
        ...

    def isolation(self) -> str:
        """Return how commands in the working container are contained."""
        ...

    def tools(self, *, bootstrapped: bool) -> tuple[tuple[str, str], ...]:
        """Return names and versions of what made a layer.

        Args:
            bootstrapped: whether it is that of a new system.
        """
        ...

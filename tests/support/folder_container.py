"""A workshop whose container is a folder, and what to make in it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from imagekit.build.image import BuiltLayer, Material
from imagekit.build.job import CachedLayer, CommandResult, StagePlan
from imagekit.build.marks import Mark
from imagekit.build.tools.step_cache import StepCache
from imagekit.build.wheels import ImagePython
from imagekit.documents.place import SourcePlace
from imagekit.errors import BuildError, ToolError
from imagekit.lock.lock import LockedDeb, LockedWheel
from imagekit.oci.digest import Digest
from imagekit.oci.types import ImageConfig, Platform
from imagekit.recipe.recipe import BootstrapBase, CopyStep, FetchStep, Recipe, StageCopy, Tags

PLACE = SourcePlace("recipe.yaml", 7, 3)


@dataclass
class FakeWorkshop:
    """A Workshop whose container is a folder; each call is written down."""

    folder: Path
    calls: list[str] = field(default_factory=list)
    cache: dict[Digest, CachedLayer] = field(default_factory=dict)
    runs: Callable[[str, Path], CommandResult] | None = None
    """What a command does to the root, and how it ends."""
    texts: Sequence[Mark] = ()
    """The texts of the host that no layer may hold."""
    result: Callable[[Path], None] | None = None
    """What a Containerfile adds to a copy of nothing."""
    files: dict[str, bytes] = field(default_factory=dict)
    """What was written for a mount last."""
    mounts: list[str] = field(default_factory=list)
    """Where something was mounted, of all commands."""
    no_mirror: bool = False
    role: str = "root"
    """The name of the container's folder."""
    fills: Callable[[Path], object] | None = None
    """What mmdebstrap leaves in the root besides a small system."""
    other_build: Callable[[Digest], None] | None = None
    """What another build does while this one waits for a key."""
    held: Digest | None = None

    def __post_init__(self) -> None:
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.root.mkdir()

    @property
    def root(self) -> Path:
        """The mounted tree."""
        return self.folder / self.role

    @property
    def blobs(self) -> Path:
        """The folder that layers are written into."""
        return self.folder / "blobs"

    @property
    def steps(self) -> StepCache:
        """What steps changed."""
        return StepCache(folder=self.folder / "steps", max_age=60)

    def cached(self, key: Digest) -> CachedLayer | None:
        """Return the layer that was kept under the key."""
        return self.cache.get(key)

    def keep(self, key: Digest, layer: CachedLayer) -> None:
        """Keep the layer."""
        self.cache[key] = layer

    @contextmanager
    def making(self, key: Digest, waiting: Callable[[], None]) -> Iterator[None]:
        """Note the key, and let another build have it first where one is said."""
        assert self.held is None, "two keys at once could wait for each other"
        self.held = key
        if self.other_build is not None:
            waiting()
            self.other_build(key)
        try:
            yield
        finally:
            self.held = None

    def open(self, layers: Sequence[BuiltLayer]) -> Path:
        """Say on how many layers it starts."""
        self.calls.append(f"open on {len(layers)}")
        return self.root

    def bootstrap(
        self, base: BootstrapBase, root: Path, *, debs: Sequence[LockedDeb] | None = None
    ) -> tuple[Material, ...]:
        """Make a small system."""
        locked = "" if debs is None else f" of {len(debs)} locked"
        self.calls.append(f"bootstrap {base.suite}{locked}")
        debian(root)
        if self.fills is not None:
            self.fills(root)
        return ()

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
        """Do what the test says."""
        del env, stage, limit
        self.mounts += [target for _, target in mounts]
        self.calls.append(f"run {' '.join(command)}" + ("" if network else " (no network)"))
        if self.runs is not None:
            return self.runs(" ".join(command), self.root)
        return CommandResult(status=0, output="", seconds=0.1)

    def copy(self, step: CopyStep) -> None:
        """Write a file where the step wants it."""
        self.calls.append(f"copy {step.source}")
        (self.root / step.to.strip("/")).write_text(step.source)

    def beside(self, stage: StagePlan) -> "FakeWorkshop":
        """Return a container in another folder, which writes to the same list."""
        self.calls.append(f"beside {stage.name}")
        return replace(self, role=f"stage {stage.name}")

    def copy_from_stage(self, step: StageCopy) -> None:
        """Copy a file of a stage that is open."""
        self.calls.append(f"copy {step.source} of {step.stage}")
        content = (self.folder / f"stage {step.stage}" / step.source.strip("/")).read_bytes()
        (self.root / step.to.strip("/")).write_bytes(content)

    def fetch(self, step: FetchStep) -> Material:
        """Write a file where the step wants it."""
        self.calls.append(f"fetch {step.url}")
        (self.root / step.to.strip("/")).write_text(step.url)
        return Material(uri=step.url, digest=step.sha256, name="file")

    def apt_sources(self, distribution: str, suite: str, *, keyring: str) -> str:
        """Return one source, or fail where the test says so."""
        if self.no_mirror:
            raise ToolError("no mirror", hint="--mirror", code="build/no-mirror")
        return f"deb [signed-by={keyring}] http://mirror.example/{distribution} {suite} main\n"

    def locked_sources(self, debs: Sequence[LockedDeb], *, suite: str) -> Path:
        """Say of how many packages."""
        self.calls.append(f"repository {suite} of {len(debs)}")
        return self.folder

    def given(self, files: Mapping[str, bytes]) -> Path:
        """Remember the files."""
        self.files = dict(files)
        return self.folder

    def wheels(
        self,
        requirements: Sequence[str],
        *,
        wanted: Sequence[str],
        python: ImagePython,
        locked: Sequence[LockedWheel] = (),
    ) -> tuple[Path, tuple[Material, ...]]:
        """Return what would have been downloaded."""
        of_lock = f", {len(locked)} locked" if locked else ""
        self.calls.append(f"wheels for {python.version} of {len(requirements)}{of_lock}")
        return self.folder, tuple(
            Material(uri=f"pkg:pypi/{text.split('==')[0]}", name=text, digest=Digest.of(b"wheel"))
            for text in wanted
        )

    def marks(self) -> Sequence[Mark]:
        """Return what the test says."""
        return self.texts

    def secrets(self) -> Sequence[tuple[Path, str]]:
        """Return none."""
        return ()

    def containerfile(self, name: str) -> tuple[Path, ImageConfig]:
        """Return the tree that the test makes, or fail."""
        self.calls.append(f"containerfile {name}")
        if self.result is None:
            raise BuildError("buildah bud: ended with 1", output="no such file")
        result = self.folder / "result"
        result.mkdir()
        self.result(result)
        platform = Platform(os="linux", architecture="amd64")
        return result, ImageConfig(platform=platform, created="", diff_ids=(), cmd=("serve",))

    def isolation(self) -> str:
        """Return the one way."""
        return "oci (fake)"

    def tools(self, *, bootstrapped: bool) -> tuple[tuple[str, str], ...]:
        """Return the one tool, or two."""
        return (("fake", "1"), *((("bootstrap", "1"),) if bootstrapped else ()))


def debian(root: Path) -> None:
    """Make what looks like a small Debian."""
    for name in ("usr/lib", "usr/bin", "usr/sbin", "etc/apt", "var/lib/dpkg", "var/lib/apt/lists"):
        (root / name).mkdir(parents=True)
    (root / "usr/lib/os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    (root / "usr/bin/apt-get").write_text("")
    (root / "var/lib/dpkg/status").write_text(
        "Package: a\nStatus: install ok installed\n\n"
        "Package: b\nStatus: deinstall ok config-files\n"
    )
    (root / "var/lib/apt/lists/m_debian_dists_bookworm_InRelease").write_text("signed")


def small_recipe(folder: Path) -> Recipe:
    """Return a recipe on Debian that does nothing yet."""
    return Recipe(
        folder=folder,
        file=folder / "recipe.yaml",
        digest=Digest.of(b"recipe"),
        name="app",
        version="1.0",
        place=PLACE,
        base=BootstrapBase(distribution="debian", suite="bookworm", place=PLACE),
        tags=Tags(immutable=("1.0",), moving=("latest",)),
    )


def ends(status: int, output: str = "") -> Callable[[str, Path], CommandResult]:
    """Return what every command does: it ends like this."""

    def runs(command: str, root: Path) -> CommandResult:
        del command, root
        return CommandResult(status=status, output=output, seconds=0.1)

    return runs

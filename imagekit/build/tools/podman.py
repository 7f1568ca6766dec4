"""Podman: the only module that runs it and knows its options.

Images are pulled and run by digest only, whatever tags point to meanwhile. Every call is for one
storage: this user's, or another one (``in_storage``, ``in_temporary_storage``).
"""

import os
import secrets
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, Self, cast

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.build.job import SignalEnd, Trial, TrialOutcome
from imagekit.build.tools.podman_faults import explained
from imagekit.build.tools.podman_output import (
    LocalImage,
    LocalStorage,
    inspected_digests,
    inspected_names,
    local_storage,
    parse_local_images,
)
from imagekit.errors import DocumentError, IntegrityError, ToolError
from imagekit.files import storage_errors
from imagekit.inputs import read_input
from imagekit.oci.codec import index_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutReader, LayoutStore
from imagekit.oci.location import REGISTRY, LayoutLocation, Location, RegistryLocation
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import INDEX, REF_NAME, Index
from imagekit.paths import SHARED, plain, temporary_place
from imagekit.process import Outcome, as_third
from imagekit.progress import Done, Progress, Started, silent
from imagekit.recipe.image_test import EndSignal

_MAX_AUTHORITIES = 4 << 20
_QUICK = 60.0
_INFO_SECONDS = 30.0
PULL_SECONDS = 3600.0
_REMOVE_SECONDS = 600.0
_FILES_SECONDS = 4 * 3600.0
_LONGEST_PLACE = 30
"""Podman takes no runroot of more than 50 characters."""
_PULL = "pull"
_ENGINE_FAILED = 125
_NOT_STARTED = 126
_HEX = frozenset("0123456789abcdef")
_ID = 64

# "$1" is the product, "$2" the image's id; what follows is Podman with its storage.
_MOUNTED = """
set -eu
product=$1 image=$2
shift 2
make() {{ {make}; }}
make "$("$@" image mount "$image")" "$product"
"$@" image unmount "$image" >/dev/null
"""

_TICKS = 10
"""How often in a second it is looked whether a program has ended."""
# "$@" is Podman that runs the container. The last line says how the program met the signal.
_SIGNALLED = """
"$@" &
run=$!
until {running} >/dev/null 2>&1; do
  kill -0 $run 2>/dev/null || break
  sleep 0.1
done
sleep {after}
end=early
if kill -0 $run 2>/dev/null && {kill} {signal} >/dev/null 2>&1; then
  end=late
  for tick in $(seq {ticks}); do
    kill -0 $run 2>/dev/null || {{ end=ended; break; }}
    sleep 0.1
  done
  [ $end = ended ] || {kill} KILL >/dev/null 2>&1
fi
wait $run
status=$?
printf '\\n%s\\n' $end >&2
exit $status
"""


class Programs(Protocol):
    """Runs programs, as ``imagekit.process.Runner`` does."""

    def run(
        self, argv: Sequence[str], *, stage: str = ..., limit: float = ..., check: bool = ...
    ) -> Outcome:
        """Run a program to its end; another exit code than 0 is a ToolError, unless unchecked."""
        ...

    def foreground(self, argv: Sequence[str]) -> int:
        """Run a program with this process's own streams; return its exit code."""
        ...


class ContainerOptions(Struct, frozen=True, kw_only=True):
    """What a host needs so that a container starts, and what its caller chose."""

    runtime: str = ""
    """The OCI runtime; empty for Podman's own choice."""
    limits: tuple[tuple[str, int, int], ...] = ()
    """Name (``nofile``, ``nproc``), soft and hard limit, where Podman's own are not allowed."""
    network: str = ""
    """The value of Podman's option ``--network``; empty for Podman's own choice."""
    chosen: tuple[str, ...] = ()
    """What the caller chose besides, as ``podman run`` has it: each option in one word."""
    entrypoint: str | None = None
    """What takes the place of the image's entrypoint: empty for none."""
    descriptor: int | None = None
    """An open descriptor of this process, which is the container's descriptor 3."""

    @property
    def words(self) -> tuple[str, ...]:
        """The options of ``podman run`` that every container gets."""
        options: list[str] = ["--runtime", self.runtime] if self.runtime else []
        for name, soft, hard in self.limits:
            options += ["--ulimit", f"{name}={soft}:{hard}"]
        options += ["--network", self.network] if self.network else []
        return tuple(options)

    @property
    def last_words(self) -> tuple[str, ...]:
        """The options that the caller chose; they override others by standing behind them."""
        replaced = () if self.entrypoint is None else (f"--entrypoint={self.entrypoint}",)
        kept = () if self.descriptor is None else ("--preserve-fds=1",)
        return (*self.chosen, *kept, *replaced)


class RootFolder(Struct, frozen=True, kw_only=True):
    """An unpacked root file system, and what its container is started with."""

    path: Path
    uid: int
    gid: int
    cwd: str
    env: tuple[str, ...] = ()
    binds: tuple[tuple[Path, Path], ...] = ()
    """What is mounted from the host, each with its place in the container."""


class Podman(Struct, frozen=True, kw_only=True):
    """One storage of Podman, and how containers are run from it."""

    programs: Programs
    options: RegistryOptions = field(default_factory=RegistryOptions)
    """How registries are reached."""
    location: Location = REGISTRY
    """Where it pulls from."""
    container: ContainerOptions = field(default_factory=ContainerOptions)
    terminal: bool = False
    """Whether the container gets a terminal, as its caller has one."""
    storage: tuple[str, ...] = ()
    """The options that choose another storage than this user's."""
    driver: str = ""
    """Of the storage; empty where that is not known."""
    show: Callable[[Sequence[str]], None] | None = None
    """Gets the command of a container in the place of running it; nothing is pulled for it then."""
    policy: Path | None = None
    """What pulls from registries are judged by (containers-policy.json(5)); None for the host's."""
    progress: Progress = silent
    """Told of pulls."""
    draw: Callable[[Sequence[str]], Outcome] | None = None
    """Runs a pull that draws how far it is on a terminal; None where its lines are told."""

    def in_storage(self, root: Path, run: Path, driver: str) -> Self:
        """Return Podman with a storage of its own, whatever others do on this host meanwhile.

        Args:
            root: where images lie.
            run: for locks and the like; gone afterwards.
            driver: of the storage.

        Raises:
            InputError: Podman or the kernel would read the folder's path as something else.
        """
        root, run = plain(root.absolute(), "the folder"), run.absolute()
        words = ["--root", str(root), "--runroot", str(run), "--tmpdir", f"{run}/libpod"]
        words += ["--storage-driver", driver]
        if driver == "overlay" and _superuser():
            # Else it mounts its folder upon itself, and leaves it so where it is killed.
            words += ["--storage-opt", "overlay.skip_mount_home=true"]
        return replace(self, storage=tuple(words), driver=driver)

    @contextmanager
    def in_temporary_storage(self, beside: Path, driver: str) -> Iterator[Self]:
        """Yield Podman with a storage for one image, which is gone afterwards.

        Args:
            beside: the folder in which it is made.
            driver: of the storage.

        Raises:
            InputError: Podman or the kernel would read the folder's path as something else.
            ToolError: it cannot be removed.
        """
        with (
            tempfile.TemporaryDirectory(prefix=".store-", dir=beside.absolute()) as store,
            run_folder() as run,
        ):
            own = self.in_storage(Path(store), run, driver)
            if not _superuser():
                # Its owners are not kept, and a user without subordinate ids cannot write others'.
                lax = ("--storage-opt", f"{driver}.ignore_chown_errors=true")
                own = replace(own, storage=(*own.storage, *lax))
            try:
                yield own
            finally:
                clear_folder(self.programs, Path(store))

    def with_images_of(self, store: Path) -> Self:
        """Return Podman that reads the images of another store of the same driver, too.

        Raises:
            InputError: Podman would read the folder's path as something else.
        """
        folder = plain(store.absolute(), "the store")
        more = ("--storage-opt", f"{self.driver}.imagestore={folder}")
        return replace(self, storage=(*self.storage, *more))

    def find_storage(self) -> LocalStorage:
        """Return the storage; an empty value where Podman does not report it."""
        try:
            return local_storage(self._run("info", "--format", "json", limit=_INFO_SECONDS))
        except (ToolError, DocumentError):
            return LocalStorage()

    def images(self) -> tuple[LocalImage, ...]:
        """Return the images of the storage; one of two names twice, each time with both.

        Raises:
            ToolError: Podman is missing or failed.
            DocumentError: it did not list images.
        """
        return parse_local_images(self._run("images", "--format", "json").encode())

    def pulling(self, location: Location) -> Self:
        """Return one that pulls from the location."""
        return replace(self, location=location)

    def pull(self, reference: PinnedReference, *, among: Collection[Digest] | None = None) -> str:
        """Pull by digest and return the image's id in the local storage.

        Podman chooses a manifest of an index by itself, and its registry may have more of them by
        now than when the index was judged: what it chose is compared afterwards.

        Args:
            reference: the image or index.
            among: manifests of which the stored one must be; None allows any.

        Raises:
            ToolError: Podman failed.
            IntegrityError: what it stored has another digest.
        """
        began = time.monotonic()
        if self.draw is None:
            self.progress(Started(stage=_PULL, detail=self._shown(reference)))
        image = self._pulled(reference).strip().rpartition("\n")[2].strip()
        if len(image) != _ID or not _HEX.issuperset(image):
            raise ToolError(f"podman pull did not tell the id of {self._shown(reference)}")
        self._check(image, reference, among)
        took = time.monotonic() - began
        self.progress(Done(stage=_PULL, summary=self._shown(reference), seconds=took))
        return image

    def name(self, image: str, name: str) -> None:
        """Give an image in the storage a name, and remove that of a folder it came from.

        Raises:
            ToolError: Podman failed.
        """
        self._run("tag", image, name)
        shown = self._run("image", "inspect", image)
        for other in inspected_names(shown):
            # Podman makes a name of the folder's path where an image comes from a layout.
            if other.startswith("localhost/") and "/imagekit-" in other:
                self._run("untag", image, other)

    def run(
        self,
        reference: PinnedReference,
        arguments: Sequence[str],
        *,
        among: Collection[Digest] | None = None,
    ) -> int:
        """Pull what is not there, run it in the foreground, and return its exit code.

        Raises:
            ToolError: Podman is missing or the pull failed.
            IntegrityError: what it stored is not ``among`` what was judged.
        """
        if self.show is not None:
            return self.start(self._shown(reference), arguments)
        # By id: names in the storage can be moved by its owner.
        return self.start(self.pull(reference, among=among), arguments)

    def start(self, image: str, arguments: Sequence[str]) -> int:
        """Run an image of the storage in the foreground and return the container's exit code.

        Args:
            image: its id.
            arguments: what goes to the entrypoint.

        Raises:
            ToolError: Podman is missing.
        """
        return self._foreground((), image, arguments)

    def start_folder(self, root: RootFolder, command: Sequence[str]) -> int:
        """Run an unpacked image in the foreground and return the container's exit code.

        What the container writes to it is gone afterwards.

        Raises:
            InputError: Podman would read a path as something else.
            ToolError: Podman is missing.
        """
        words = ["--user", f"{root.uid}:{root.gid}", "--workdir", root.cwd]
        for variable in root.env:
            words += ["--env", variable]
        for place in root.binds:
            source, target = (plain(path, "the bound folder") for path in place)
            words += ["--volume", f"{source}:{target}:rbind,nosuid,nodev"]
        folder = f"{plain(root.path.absolute(), 'the bundle')}:O"
        return self._foreground((*words, "--rootfs"), folder, command)

    def run_test(self, image: str, trial: Trial, *, name: str) -> TrialOutcome:
        """Run a command in a new container without capabilities.

        Args:
            image: its id in the storage.
            trial: the command, and how it is run.
            name: of the container, while there is one.

        Raises:
            ToolError: Podman could not start it, or it took too long.
        """
        own = replace(self.container, network="host" if trial.network else "none")
        words = ["run", *own.words, "--name", name, "--rm", "--pull", "never"]
        words += ["--http-proxy=false", "--log-driver", "none", "--no-healthcheck"]
        words += ["--cap-drop", "all", "--security-opt", "no-new-privileges"]
        # A user whom the image does not know has no line in its passwd either, as on a cluster.
        words += ["--passwd=false", "--user", trial.user] if trial.user else []
        words += ["--read-only"] if trial.read_only else []
        words += ["--entrypoint", ""] if trial.around_entrypoint else []
        for variable in trial.env.items():
            words += ["--env", "=".join(variable)]
        argv = self._argv("--cgroup-manager", "cgroupfs", *words, image, *trial.command)
        if trial.signal is not None:
            argv = self._signalled(argv, trial.signal, name)
        outcome = self.programs.run(argv, stage="tests", limit=trial.limit, check=False)
        if outcome.status in {_ENGINE_FAILED, _NOT_STARTED}:
            failed = ToolError(
                "Podman could not start the test's container",
                hint="imagekit doctor shows what this host lacks",
                argv=outcome.argv,
                status=outcome.status,
                output=outcome.last_lines,
            )
            told = explained(failed)
            # A command that cannot be started is also what a test may expect.
            if outcome.status == _ENGINE_FAILED or told is not failed:
                raise told
        stderr, end = outcome.stderr, None
        if trial.signal is not None:
            stderr, end = _signal_end(stderr)
        return TrialOutcome(status=outcome.status, stdout=outcome.stdout, stderr=stderr, end=end)

    def _signalled(self, argv: Sequence[str], signal: EndSignal, name: str) -> tuple[str, ...]:
        """Return the command that runs a container and sends it a signal."""
        podman = shlex.join(self._argv("--cgroup-manager", "cgroupfs"))
        script = _SIGNALLED.format(
            running=f"{podman} wait --condition running {name}",
            kill=f"{podman} kill {name} --signal",
            signal=signal.name,
            after=signal.after,
            ticks=signal.within * _TICKS,
        )
        return ("sh", "-c", script, "signalled", *argv)

    def remove(self, image: str) -> None:
        """Remove an image with all of its names.

        Raises:
            ToolError: Podman failed.
        """
        self._run("rmi", "--force", image, limit=_REMOVE_SECONDS)

    def pull_named(self, name: str, *, limit: float) -> None:
        """Pull what a name stands for, as this host's configuration says; nothing is judged.

        Raises:
            ToolError: Podman refused, or failed.
        """
        self._run("pull", "--quiet", name, limit=limit)

    def save(self, image: str, file: Path) -> None:
        """Write an image of the storage into a file, with its layers as they are unpacked.

        Raises:
            ToolError: there is no such image, or Podman failed.
        """
        words = ("image", "save", "--quiet", "--format", "docker-archive")
        self._run(*words, "--output", str(file), "--", image, limit=_FILES_SECONDS)

    def make_from(self, image: str, product: Path, make: str) -> None:
        """Make a product of an image's root file system.

        Args:
            image: its id in the storage.
            product: what is made.
            make: a command of the shell: "$1" is the root file system, "$2" the product.

        Raises:
            ToolError: Podman or the command failed.
        """
        script = _MOUNTED.format(make=make)
        argv = ("sh", "-c", script, "stage", str(product.absolute()), image, *self._argv())
        self.programs.run(in_namespace(argv), limit=_FILES_SECONDS)

    def _argv(self, *words: str) -> tuple[str, ...]:
        return ("podman", *self.storage, *words)

    def _run(self, *words: str, limit: float = _QUICK) -> str:
        try:
            return self.programs.run(self._argv(*words), limit=limit).stdout
        except ToolError as error:
            raise explained(error) from error

    def _foreground(self, more: Sequence[str], root: str, arguments: Sequence[str]) -> int:
        terminal = ("--tty",) if self.terminal else ()
        # Podman may pull nothing itself: only what was judged is run.
        fixed = ("--rm", "--interactive", *terminal, "--read-only", "--pull", "never")
        # Else what a container sees would depend on who starts it.
        fixed = (*fixed, "--http-proxy=false")
        options = (*fixed, *self.container.words, *more, *self.container.last_words)
        argv = as_third(self._argv("run", *options, root, *arguments), self.container.descriptor)
        if self.show is None:
            return self.programs.foreground(argv)
        self.show(argv)
        return 0

    def _pulled(self, reference: PinnedReference) -> str:
        match self.location:
            case LayoutLocation(path=folder):
                return self._pull_layout(folder, reference)
            case RegistryLocation():
                return self._pull_registry(reference)

    def _pull_registry(self, reference: PinnedReference) -> str:
        repository = reference.repository
        insecure = self.options.plain_http or repository.is_loopback
        words = [f"--tls-verify={'false' if insecure else 'true'}"]
        words += [] if self.policy is None else ["--signature-policy", str(self.policy)]
        pinned = f"{repository.name}@{reference.digest}"
        if self.options.ca_file is None:
            return self._pull(*words, pinned)
        with tempfile.TemporaryDirectory(prefix="imagekit-ca-") as folder:
            with storage_errors(f"the certificates {self.options.ca_file}"):
                # containers-certs.d(5): a file that ends in .crt is an authority.
                raw = read_input(self.options.ca_file, limit=_MAX_AUTHORITIES)
                (Path(folder) / "ca.crt").write_bytes(raw)
            words += ["--cert-dir", folder]
            return self._pull(*words, pinned)

    def _pull_layout(self, layout: Path, reference: PinnedReference) -> str:
        with one_image(layout, reference) as folder:
            return self._pull(f"oci:{folder}")

    def _pull(self, *words: str) -> str:
        """Pull, show how far it is, and return what Podman prints: at its end, the image's id."""
        argv = self._argv("pull", *words)
        try:
            if self.draw is not None:
                return self.draw(argv).stdout
            return self.programs.run(argv, stage=_PULL, limit=PULL_SECONDS).stdout
        except ToolError as error:
            raise explained(error) from error

    def _check(
        self, image: str, reference: PinnedReference, among: Collection[Digest] | None
    ) -> None:
        """Compare what the storage says it holds with what was asked for, and may be chosen."""
        shown = self._run("image", "inspect", image)
        stored = inspected_digests(shown)
        if str(reference.digest) not in stored:
            message = f"podman stored another image than {self._shown(reference)}"
        elif among is not None and stored.isdisjoint(map(str, among)):
            shown = self._shown(reference)
            message = f"podman chose a manifest of {shown} that was not judged with it"
        else:
            return
        # An image that containers use stays, and then the hint says what to do.
        with suppress(ToolError):
            self._run("rmi", image)
        raise IntegrityError(
            message, hint=f"remove it: podman rmi {image[:12]}", code="CONTENT_DIGEST_MISMATCH"
        )

    def _shown(self, reference: PinnedReference) -> str:
        return self.location.shown(str(reference))


@contextmanager
def one_image(layout: Path, reference: PinnedReference) -> Iterator[Path]:
    """Make a layout with this one image, for programs that cannot choose by digest themselves.

    Args:
        layout: the folder of the layout that it is in.
        reference: the image.

    Raises:
        RegistryError: the layout cannot be read.
    """
    wanted = LayoutReader(LayoutStore(layout)).manifest(reference).descriptor
    # Without a name Podman makes one of the folder's path, which may not be a valid one.
    tag = f"{reference.digest.algorithm}-{reference.digest.hex}"
    named = {REF_NAME: f"{reference.repository.name}:{tag}"}
    with _folder() as folder:
        with storage_errors(f"the layout {layout}"):
            (folder / "blobs").symlink_to(layout.resolve() / "blobs")
            (folder / "oci-layout").write_bytes((layout / "oci-layout").read_bytes())
            index = Index(media_type=INDEX, manifests=(replace(wanted, annotations=named),))
            (folder / "index.json").write_bytes(index_bytes(index))
        yield folder


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder whose name is a valid repository's: Podman makes one of it."""
    folder = temporary_place() / f"imagekit-{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def run_folder() -> Iterator[Path]:
    """Make a folder for Podman's locks, with a path as short as Podman requires."""
    place = temporary_place()
    if len(str(place)) > _LONGEST_PLACE:
        place = SHARED
    with tempfile.TemporaryDirectory(prefix="ik-", dir=place) as folder:
        yield Path(folder)


def clear_folder(programs: Programs, folder: Path) -> None:
    """Remove what is in a folder, files of a user's subordinate ids as well.

    Raises:
        ToolError: it cannot be removed.
    """
    # Only root of the user namespace can remove them.
    clear = ("sh", "-c", 'rm -rf -- "$1"/*', "clear", str(folder))
    programs.run(in_namespace(clear), limit=_FILES_SECONDS)


def in_namespace(argv: Sequence[str]) -> Sequence[str]:
    """Return the command that runs another one as root, or in the user namespace of a user."""
    return argv if _superuser() else ("podman", "unshare", *argv)


def _superuser() -> bool:
    return os.geteuid() == 0


def _signal_end(stderr: str) -> tuple[str, SignalEnd]:
    """Return what the program wrote, and how it met the signal, which stands behind it."""
    written, _, end = stderr.strip().rpartition("\n")
    return written.strip("\n"), cast("SignalEnd", end)

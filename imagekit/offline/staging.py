"""Makes of an image in a layout what nodes can use: by Podman's own unpacking, and mksquashfs.

A superuser keeps the owners of files. Anybody else works inside ``podman unshare`` and owns all of
them, as root does in the container: so the folder can be read, moved and removed without it. None
of these files lends its owner's rights: on the host that would be the user's, and not root's.
"""

import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagekit.build.tools.podman import Podman, Programs, one_image
from imagekit.errors import ToolNotFoundError
from imagekit.oci.reference import PinnedReference
from imagekit.paths import SHARED, plain, temporary_place

_SECONDS = 4 * 3600.0
_LONGEST_PLACE = 30
"""Podman takes no runroot of more than 50 characters."""

# "$1" is the mounted root file system, "$2" the product.
_COPY = {
    True: 'cp -a -- "$1" "$2"',
    False: 'cp -R -P --preserve=mode,timestamps,links -- "$1" "$2" && chmod -R u+rwX,ug-s -- "$2"',
}
_SQUASH = 'mksquashfs "$1" "$2" -noappend -no-progress -quiet -mkfs-time 0 -comp {comp} {owner}'

_SCRIPT = """
set -eu
product=$1 image=$2
shift 2
make() {{ {make}; }}
make "$("$@" image mount "$image")" "$product"
"$@" image unmount "$image" >/dev/null
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stager:
    """Unpacks images in a storage of its own, which is gone afterwards."""

    programs: Programs
    driver: str = "overlay"
    compression: str = "gzip"

    def folder(self, image: PinnedReference, product: Path) -> None:
        """Unpack the image's root file system into a new folder.

        Raises:
            ToolError: a program failed.
        """
        self._made(image, product, _COPY[_superuser()])

    def squashfs(self, image: PinnedReference, product: Path) -> None:
        """Write the image's root file system as squashfs.

        Raises:
            ToolNotFoundError: mksquashfs is not installed.
            ToolError: a program failed.
        """
        self._wants("mksquashfs", "squashfs-tools")
        owner = "" if _superuser() else "-all-root"
        self._made(image, product, _SQUASH.format(comp=shlex.quote(self.compression), owner=owner))

    def sif(self, image: PinnedReference, product: Path) -> None:
        """Write an image as SIF, by Apptainer.

        Raises:
            ToolNotFoundError: neither apptainer nor singularity is installed.
            ToolError: it failed.
        """
        program = next((each for each in ("apptainer", "singularity") if _which(each)), "")
        if not program:
            raise ToolNotFoundError(
                "neither apptainer nor singularity is installed, and nothing else writes SIF",
                hint="stage squashfs:FILE instead",
            )
        with one_image(image) as folder:
            words = (program, "build", str(product.absolute()), f"oci:{folder}")
            self.programs.run(words, limit=_SECONDS)

    def _wants(self, program: str, package: str) -> None:
        if not _which(program):
            raise ToolNotFoundError(
                f"{program} is not installed", hint=f"on Debian: apt-get install {package}"
            )

    def _made(self, image: PinnedReference, product: Path, make: str) -> None:
        with own_storage(self.programs, product.parent, self.driver) as words:
            podman = Podman(programs=self.programs, words=words)
            found = podman.pull(image)
            script = _SCRIPT.format(make=make)
            argv = ("sh", "-c", script, "stage", str(product.absolute()), found, *words)
            self.programs.run(in_namespace(argv), limit=_SECONDS)


@contextmanager
def own_storage(programs: Programs, beside: Path, driver: str) -> Iterator[tuple[str, ...]]:
    """Make a storage for one image, and yield Podman with it; it is gone afterwards.

    Args:
        programs: runs Podman.
        beside: the folder in which it is made.
        driver: of the storage.

    Raises:
        InputError: Podman and the kernel would take the folder's path for something else.
        ToolError: it cannot be removed.
    """
    with (
        tempfile.TemporaryDirectory(prefix=".store-", dir=beside.absolute()) as store,
        run_folder() as run,
    ):
        words = store_words(Path(store), run, driver)
        if not _superuser():
            # Its owners are not kept, and a user without subordinate ids cannot write any other's.
            words = (*words, "--storage-opt", f"{driver}.ignore_chown_errors=true")
        try:
            yield words
        finally:
            clear_folder(programs, Path(store))


def clear_folder(programs: Programs, folder: Path) -> None:
    """Remove what is in a folder, files of a user's subordinate ids as well.

    Raises:
        ToolError: it cannot be removed.
    """
    # Nobody else can remove them.
    clear = ("sh", "-c", 'rm -rf -- "$1"/*', "clear", str(folder))
    programs.run(in_namespace(clear), limit=_SECONDS)


@contextmanager
def run_folder() -> Iterator[Path]:
    """Make a folder for Podman's locks, with a name as short as Podman wants it."""
    place = temporary_place()
    if len(str(place)) > _LONGEST_PLACE:
        place = SHARED
    with tempfile.TemporaryDirectory(prefix="ik-", dir=place) as folder:
        yield Path(folder)


def store_words(root: Path, run: Path, driver: str) -> tuple[str, ...]:
    """Return Podman with a storage of its own, whatever others do on this host meanwhile.

    Args:
        root: where images lie.
        run: for locks and the like; gone afterwards.
        driver: of the storage.

    Raises:
        InputError: Podman and the kernel would take the folder's path for something else.
    """
    root, run = plain(root.absolute(), "the folder"), run.absolute()
    own = ("--root", str(root), "--runroot", str(run), "--tmpdir", f"{run}/libpod")
    words = ("podman", *own, "--storage-driver", driver)
    if driver == "overlay" and _superuser():
        # Else it mounts its folder upon itself, and leaves it so where it is killed.
        return (*words, "--storage-opt", "overlay.skip_mount_home=true")
    return words


def remove_tree(programs: Programs, path: Path) -> None:
    """Remove what was staged, whatever permissions its folders have.

    Raises:
        ToolError: it cannot be removed.
    """
    script = '[ ! -d "$1" ] || chmod -R u+rwX -- "$1"; rm -rf -- "$1"'
    programs.run(("sh", "-c", script, "remove", str(path.absolute())), limit=_SECONDS)


def in_namespace(argv: Sequence[str]) -> Sequence[str]:
    """Return the command that runs another one as root, or in the user namespace of a user."""
    return argv if _superuser() else ("podman", "unshare", *argv)


def _superuser() -> bool:
    return os.geteuid() == 0


def _which(program: str) -> Path | None:
    from imagekit.process import which

    return which(program)

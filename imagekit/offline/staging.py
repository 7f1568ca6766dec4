"""Makes of an image in a layout what nodes can use: by Podman's own unpacking, and mksquashfs.

A superuser keeps the owners of files. Any other user works inside ``podman unshare`` and owns all
of them, as root does in the container: so the folder can be read, moved and removed without it.
None of these files stays setuid or setgid: on the host it would run with the user's rights.
"""

import os
import shlex
from pathlib import Path

from msgspec import Struct

from imagekit.build.tools.podman import Podman, Programs, one_image
from imagekit.errors import ToolNotFoundError
from imagekit.oci.location import LayoutLocation
from imagekit.oci.reference import PinnedReference

_SECONDS = 4 * 3600.0

# "$1" is the mounted root file system, "$2" the product.
_COPY = {
    True: 'cp -a -- "$1" "$2"',
    False: 'cp -R -P --preserve=mode,timestamps,links -- "$1" "$2" && chmod -R u+rwX,ug-s -- "$2"',
}
_SQUASH = 'mksquashfs "$1" "$2" -noappend -no-progress -quiet -mkfs-time 0 -comp {comp} {owner}'


class Stager(Struct, frozen=True, kw_only=True):
    """Unpacks images in a storage of its own, which is gone afterwards."""

    programs: Programs
    layout: Path
    """The folder of the layout that the images are in."""
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
        program = next((name for name in ("apptainer", "singularity") if _which(name)), "")
        if not program:
            raise ToolNotFoundError(
                "neither apptainer nor singularity is installed, and nothing else writes SIF",
                hint="stage squashfs:FILE instead",
            )
        with one_image(self.layout, image) as folder:
            words = (program, "build", str(product.absolute()), f"oci:{folder}")
            self.programs.run(words, limit=_SECONDS)

    def _wants(self, program: str, package: str) -> None:
        if not _which(program):
            raise ToolNotFoundError(
                f"{program} is not installed", hint=f"on Debian: apt-get install {package}"
            )

    def _made(self, image: PinnedReference, product: Path, make: str) -> None:
        podman = Podman(programs=self.programs, location=LayoutLocation(self.layout))
        with podman.in_temporary_storage(product.parent, self.driver) as own:
            own.make_from(own.pull(image), product, make)


def remove_tree(programs: Programs, path: Path) -> None:
    """Remove what was staged, whatever permissions its folders have.

    Raises:
        ToolError: it cannot be removed.
    """
    script = '[ ! -d "$1" ] || chmod -R u+rwX -- "$1"; rm -rf -- "$1"'
    programs.run(("sh", "-c", script, "remove", str(path.absolute())), limit=_SECONDS)


def _superuser() -> bool:
    return os.geteuid() == 0


def _which(program: str) -> Path | None:
    from imagekit.process import which

    return which(program)

"""Makes of an image in a layout what nodes can use: by Podman's own unpacking, and mksquashfs.

Whoever runs an image must be able to check all of it: so whatever is written belongs to whoever
stages it, and everybody may read it. No file stays setuid or setgid, is a device, or keeps
extended attributes such as capabilities: on the host it would lend somebody's rights. Nobody else
may write to a folder.
"""

import shlex
from pathlib import Path

from msgspec import Struct

from imagekit.build.tools.podman import Podman, Programs, one_image
from imagekit.errors import ToolNotFoundError
from imagekit.files import storage_errors
from imagekit.oci.location import LayoutLocation
from imagekit.oci.reference import PinnedReference
from imagekit.offline.mount_stubs import STUBS, pseudo_files
from imagekit.offline.stage_target import CONFIGURATION, INSIDE

_SECONDS = 4 * 3600.0

# "$1" is the mounted root file system, "$2" the product.
# A device of the image would be one of the host that everybody may read.
_COPY = f"""
{STUBS}
cp -R -P --preserve=mode,timestamps,links -- "$1" "$2"
find "$2" "(" -type b -o -type c ")" -delete
stubs "$2"
chmod -R u+rwX,go+rX,go-w,ug-s -- "$2"
""".strip()
# mksquashfs leaves what a pseudo file names as it is where the image has it: so what the image has
# in the place of its configuration is left out.
_SQUASH = """
export configuration="$2{suffix}"
mksquashfs "$1" "$2" -noappend -no-progress -quiet -mkfs-time 0 -comp {comp} \\
  -all-root -root-mode 0755 -no-xattrs {points} \\
  -action 'exclude@type(b)||type(c)' -action 'chmod(a+rX,ug-s)@true' \\
  -p '{inside} D 0 755 0 0' -p '{inside}/{name} F 0 644 0 0 cat "$configuration"' -e '{left_out}'
""".strip()
_SUFFIX = ".config.json"


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
        self._made(image, product, _COPY)

    def squashfs(self, image: PinnedReference, product: Path, *, configuration: bytes) -> None:
        """Write the image's root file system as squashfs, with its configuration in it.

        Args:
            image: the image.
            product: the file.
            configuration: the image's, as it is in the registry (image-spec config.md).

        Raises:
            ToolNotFoundError: mksquashfs is not installed.
            ToolError: a program failed.
            RegistryError: a file cannot be written.
        """
        self._wants("mksquashfs", "squashfs-tools")
        beside = product.with_name(product.name + _SUFFIX)
        with storage_errors(f"the file {beside}"):
            beside.write_bytes(configuration)
        make = _SQUASH.format(
            suffix=_SUFFIX,
            comp=shlex.quote(self.compression),
            points=pseudo_files(),
            inside=INSIDE,
            name=CONFIGURATION,
            left_out=INSIDE.lstrip("/"),
        )
        self._made(image, product, make)

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


def _which(program: str) -> Path | None:
    from imagekit.process import which

    return which(program)

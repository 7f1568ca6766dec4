"""SBOMs of what lies on this machine: folders, layouts, archives, and Podman's store."""

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from imagekit.oci.location import LayoutLocation
from imagekit.progress import Progress, silent
from imagekit.sbom.contents import Sbom, Subject
from imagekit.sbom.sbom import catalogue_reference, render

if TYPE_CHECKING:
    from imagekit.oci.layout import ReadStore


def sbom_of_folder(folder: Path, *, progress: Progress = silent) -> bytes:
    """Return the CycloneDX SBOM of a root file system, or of the one image of an OCI layout.

    Raises:
        InputError: the folder cannot be read, or is a layout of several images.
        DocumentError: it holds more than is read of an image.
        IntegrityError: bytes of the layout are not what their digest says.
        RegistryError: the layout cannot be read.
    """
    return render(catalogue_folder(folder, progress=progress))


def catalogue_folder(folder: Path, *, progress: Progress = silent) -> Sbom:
    """Return what a root file system, or the one image of an OCI layout, is made of.

    Raises:
        InputError: the folder cannot be read, or is a layout of several images.
        DocumentError: it holds more than is read of an image.
        IntegrityError: bytes of the layout are not what their digest says.
        RegistryError: the layout cannot be read.
    """
    from imagekit.sbom.catalogue import catalogue, owned_files
    from imagekit.sbom.folder import read_folder, read_programs

    if (folder / "oci-layout").is_file() and (folder / "blobs").is_dir():
        from imagekit.oci.layout import LayoutStore

        prefix = f"{LayoutLocation(folder)}:"
        return _sole(
            LayoutStore(folder), place=f"the layout {folder}", prefix=prefix, progress=progress
        )
    files = read_folder(folder)
    files = read_programs(folder, files, owned=owned_files(files))
    return catalogue([files], subject=Subject(name=folder.resolve().name or "root"))


def catalogue_archive(file: Path, *, progress: Progress = silent) -> Sbom:
    """Return what the one image of an archive is made of: an OCI layout, or Docker's form.

    Raises:
        InputError: it holds several images.
        DocumentError: it is no archive of an image, or damaged.
        IntegrityError: bytes are not what their digest says.
        RegistryError: it cannot be read.
    """
    from imagekit.oci.archive import INDEX_FILE, open_archive
    from imagekit.oci.docker_archive import MANIFEST_FILE, read_docker_archive

    with open_archive(file, links=True) as archive:
        # Docker writes both: only in a layout does an image have its own digest.
        if INDEX_FILE in archive.members or MANIFEST_FILE not in archive.members:
            return _sole(archive, place=f"the archive {file}", prefix="", progress=progress)
        store = read_docker_archive(archive)
        sbom = _sole(store, place=f"the archive {file}", prefix="", progress=progress)
        return replace(sbom, subject=replace(sbom.subject, digest=""))


def catalogue_stored(name: str, *, progress: Progress = silent) -> Sbom:
    """Return what an image of this user's Podman is made of: it is saved to a temporary file.

    Raises:
        ToolError: Podman has no such image, or is not there.
        DocumentError: a layer is not one.
    """
    from tempfile import TemporaryDirectory

    from imagekit.build.tools.podman import Podman
    from imagekit.process import Runner

    with TemporaryDirectory(prefix="imagekit-") as folder:
        file = Path(folder) / "image.tar"
        Podman(programs=Runner()).save(name, file)
        return catalogue_archive(file, progress=progress)


def _sole(store: "ReadStore", *, place: str, prefix: str, progress: Progress) -> Sbom:
    from imagekit.oci.layout import LayoutReader, entries
    from imagekit.sbom.sole_image import sole_image

    reader = LayoutReader(store)
    image = sole_image(reader, entries(store), place=place, prefix=prefix)
    return catalogue_reference(reader, image, progress=progress)

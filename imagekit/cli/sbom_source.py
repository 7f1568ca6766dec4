"""What a word of ``imagekit sbom`` means: an image, a folder, or a file that holds an SBOM."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.image_words import image_or_no_folder
from imagekit.cli.options import add_registry_options, configured, registry_of
from imagekit.errors import InputError
from imagekit.sbom.contents import Sbom

if TYPE_CHECKING:
    from imagekit.sbom.sbom_listing import SbomListing
    from imagekit.sbom.sbom_options import CycloneDxVersion, SbomOptions, SbomProfile

_STORED = "containers-storage:"
"""What begins the name of an image in Podman's store (containers-transports(5))."""
WORD = "IMAGE-FOLDER-or-ARCHIVE"
LISTED_WORD = "IMAGE-FOLDER-or-FILE"
LISTED_HELP = "an image, a root file system, an archive of an image, or CycloneDX of any tool"


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of how images are reached."""
    add_registry_options(parser)


def catalogued(text: str, arguments: argparse.Namespace, console: Console) -> Sbom:
    """Return what an image or folder is made of.

    Raises:
        InputError: there is no such folder, and it is no reference either.
        ImagekitError: the image cannot be read or catalogued.
    """
    from imagekit.oci.registry import connect
    from imagekit.sbom.sbom import catalogue_reference
    from imagekit.sbom.unregistered import catalogue_archive, catalogue_folder, catalogue_stored

    if text.startswith(_STORED):
        return catalogue_stored(text.removeprefix(_STORED), progress=console.progress)
    folder = Path(text)
    if not text.startswith("oci:") and folder.is_dir():
        return catalogue_folder(folder, progress=console.progress)
    if not text.startswith("oci:") and folder.is_file():
        return catalogue_archive(folder, progress=console.progress)
    wanted = image_or_no_folder(text)
    reader = connect.reader(wanted.location, registry_of(arguments))
    return catalogue_reference(reader, wanted.reference, progress=console.progress)


def listed(text: str, arguments: argparse.Namespace, console: Console) -> "SbomListing":
    """Return what a file lists that holds an SBOM; of an image or folder, what it is made of.

    Raises:
        DocumentError: the file is no CycloneDX.
        ImagekitError: the image cannot be read or catalogued.
    """
    from imagekit.sbom.sbom_listing import parse_listing

    if is_document(text):
        return parse_listing(_read(Path(text)), what=text)
    from imagekit.sbom.sbom import listing_of

    sbom = catalogued(text, arguments, console)
    for note in sbom.notes:
        console.note(f"  ! {note}")
    return listing_of(sbom)


def is_document(text: str) -> bool:
    """Return whether a word names a file that begins as JSON does."""
    path = Path(text)
    try:
        if text.startswith("oci:") or not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(64).lstrip()[:1] == b"{"
    except OSError as error:
        raise InputError(f"{text}: {error.strerror}", hint="is it yours?") from error


def sbom_options_of(
    arguments: argparse.Namespace,
    *,
    version: "CycloneDxVersion | None" = None,
    profile: "SbomProfile | None" = None,
) -> "SbomOptions":
    """Return how an SBOM is written: what the command line, a variable or a file says.

    Raises:
        InputError: a name cannot be read, or the profile cannot be fulfilled.
    """
    from imagekit.sbom.sbom_options import SbomOptions, parse_party

    author, maker = (configured(arguments, f"sbom-{who}") for who in ("author", "manufacturer"))
    options = SbomOptions(
        version=version or ("1.7" if profile else "1.6"),
        profile=profile,
        author=parse_party(author) if author else None,
        manufacturer=parse_party(maker) if maker else None,
    )
    if profile == "bsi":
        from imagekit.sbom.bsi import check_options

        check_options(options)
    return options


def _read(path: Path) -> bytes:
    from imagekit.inputs import read_regular
    from imagekit.sbom.sbom_listing import MAX_DOCUMENT

    try:
        return read_regular(path, limit=MAX_DOCUMENT)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="is it yours?") from error

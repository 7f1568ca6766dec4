"""Where an image is read from, when that is not where its name says: a layout, or one file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from imagekit.errors import InvalidReferenceError
from imagekit.oci.location import REGISTRY, LayoutLocation, LocatedReference, parse_layout
from imagekit.oci.registry import connect
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader

_FOLDER, _ARCHIVE = "oci:", "oci-archive:"


@contextmanager
def source(
    wanted: LocatedReference, text: str, options: RegistryOptions
) -> Iterator[tuple[LocatedReference, RegistryReader]]:
    """Open where an image is read from.

    What is judged keeps its name, ``HOST/PATH:TAG``; only its bytes come from elsewhere.

    Args:
        wanted: the image as it was asked for.
        text: ``oci:FOLDER``, ``oci-archive:FILE`` or ``FILE.tar``; empty for where the name says.
        options: how the registry is reached.

    Raises:
        InvalidReferenceError: the text is none of these, or the reference names a folder itself.
        DocumentError: the archive is none.
        RegistryError: it cannot be read.
    """
    if not text:
        yield wanted, connect.reader(wanted.location, options)
        return
    if wanted.location != REGISTRY:
        raise InvalidReferenceError(
            f"{wanted} names a folder already", hint="name the image HOST/PATH:TAG with --from"
        )
    if text.startswith(_FOLDER):
        layout = parse_layout(text)
        yield replace(wanted, location=layout), connect.reader(layout, options)
        return
    from imagekit.oci.archive import open_archive

    file = archive_of(text)
    with open_archive(file) as archive:
        yield replace(wanted, location=LayoutLocation(file)), archive.registry


def archive_of(text: str) -> Path:
    """Return the file of ``oci-archive:FILE``, or of a path that ends with ``.tar``.

    Raises:
        InvalidReferenceError: it is neither.
    """
    file = text.removeprefix(_ARCHIVE)
    if not file or "\0" in file or (not text.startswith(_ARCHIVE) and not file.endswith(".tar")):
        raise InvalidReferenceError(
            f"{text[:120]!r} names no archive", hint="write FILE.tar or oci-archive:FILE"
        )
    return Path(file)


def saved_reader(folder: Path) -> RegistryReader:
    """Return what reads saved evidence as if it were every reference's registry.

    Args:
        folder: a layout that ``imagekit policy save`` or another tool wrote.
    """
    from imagekit.verify.saved import SavedReader

    return SavedReader(folder)


def recorder(inner: RegistryReader, folder: Path) -> RegistryReader:
    """Return a reader that keeps what is read through it, for ``saved_reader``.

    Raises:
        RegistryError: the folder cannot be made.
    """
    from imagekit.verify.saved import EvidenceRecorder

    return EvidenceRecorder(inner, folder)

"""Words of the command line that name an image where they name no folder."""

from imagekit.errors import InputError, InvalidReferenceError
from imagekit.oci.location import LocatedReference, parse_located


def image_or_no_folder(text: str) -> LocatedReference:
    """Read a reference; what looks like a path was meant as a folder that is not there.

    Raises:
        InputError: it looks like a path.
        InvalidReferenceError: it is no reference.
    """
    try:
        return parse_located(text)
    except InvalidReferenceError as error:
        if text.startswith("oci:") or not text.startswith((".", "/")):
            raise
        raise InputError(
            f"there is no folder {text}",
            hint="name a root file system, HOST/NAME:TAG or oci:FOLDER:NAME:TAG",
        ) from error

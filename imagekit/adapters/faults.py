"""How faults of this machine's disk are told."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from imagekit.errors import RegistryError

HINTS = {
    errno.ENOSPC: "the disk is full: make room and run it again, nothing is half done",
    errno.EDQUOT: "your quota is used up: make room and run it again, nothing is half done",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "the file system is read-only: choose another folder",
}


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn an OSError into one that says what could not be written and what to do.

    Args:
        what: what was written to, for the message.

    Raises:
        RegistryError: instead of OSError.
    """
    try:
        yield
    except OSError as error:
        hint = HINTS.get(error.errno or 0, "")
        raise RegistryError(f"{what}: {error.strerror or error}", hint=hint) from error

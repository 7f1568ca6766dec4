"""The configuration files of a host, below a root folder: read whole, written at once."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath

from imagekit.errors import InputError, ToolError
from imagekit.model.digest import Digest

MAX_FILE = 1 << 20
_KEPT = PurePosixPath("/var/lib/imagekit/trust")
_MODE = 0o644


class HostFiles:
    """The files below a root: ``/``, or that of an image which nodes will boot.

    Args:
        root: the folder that paths are taken from.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def read(self, path: PurePosixPath) -> bytes | None:
        """Return a file's bytes, or None where there is none.

        Raises:
            InputError: it is no plain file, too large, or cannot be read.
        """
        place = self._place(path)
        try:
            with place.open("rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise InputError(f"{place} is no plain file", code="BAD_FILE")
                raw = file.read(MAX_FILE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(
                f"{place} cannot be read: {error.strerror or error}", code="BAD_FILE"
            ) from error
        if len(raw) > MAX_FILE:
            raise InputError(f"{place} has more than {MAX_FILE} bytes", code="BAD_FILE")
        return raw

    def write(self, path: PurePosixPath, content: bytes) -> None:
        """Write a file at once: a reader sees the old bytes or the new ones, also after a crash.

        A link in its place is kept, and what it points to is replaced.

        Raises:
            ToolError: it cannot be written.
        """
        place = Path(os.path.realpath(self._place(path)))
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else _MODE
            handle, name = tempfile.mkstemp(dir=place.parent, prefix=".imagekit-")
        except OSError as error:
            raise _unwritable(place, error) from error
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            Path(name).replace(place)
        except OSError as error:
            with suppress(OSError):
                Path(name).unlink()
            raise _unwritable(place, error) from error

    def remove(self, path: PurePosixPath) -> None:
        """Remove a file, and the folders that are empty without it.

        Raises:
            ToolError: it cannot be removed.
        """
        place = self._place(path)
        try:
            place.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(place, error) from error
        for folder in place.parents[:3]:
            with suppress(OSError):
                folder.rmdir()

    def keep(self, content: bytes) -> Digest:
        """Keep the bytes of a file that is about to be replaced; return their digest."""
        digest = Digest.of(content)
        self.write(_KEPT / digest.hex, content)
        return digest

    def kept(self, digest: Digest) -> bytes:
        """Return bytes that were kept.

        Raises:
            InputError: they are gone, or others.
        """
        raw = self.read(_KEPT / digest.hex)
        if raw is None or Digest.of(raw) != digest:
            raise InputError(
                f"the copy {self._place(_KEPT / digest.hex)} of a replaced file is gone",
                code="BAD_FILE",
            )
        return raw

    def forget(self, digest: Digest) -> None:
        """Remove bytes that were kept."""
        self.remove(_KEPT / digest.hex)

    def _place(self, path: PurePosixPath) -> Path:
        if not path.is_absolute() or ".." in path.parts:
            raise InputError(f"{path} is not a path from the root", code="BAD_FILE")
        return self._root / path.relative_to("/")


def _unwritable(place: Path, error: OSError) -> ToolError:
    hint = "run it as root" if isinstance(error, PermissionError) else ""
    return ToolError(f"{place} cannot be written: {error.strerror or error}", hint=hint)

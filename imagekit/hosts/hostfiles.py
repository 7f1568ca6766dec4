"""The configuration files of a host, below a root folder: read whole, replaced atomically."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath

from msgspec import Struct

from imagekit import rooted
from imagekit.errors import InputError, ToolError
from imagekit.oci.digest import Digest
from imagekit.rooted import OpenPlace

MAX_FILE = 1 << 20
_MODE = 0o644
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDERS_REMOVED = 3
"""Most folders above a removed file that are removed with it, where they are empty."""


class FilePlaces(Struct, frozen=True, kw_only=True):
    """Where engines and imagekit look for their files, from the root of :class:`HostFiles`."""

    containers: PurePosixPath
    """The folder of containers-registries.conf(5) and containers-policy.json(5)."""
    record: PurePosixPath
    """What was installed."""
    kept: PurePosixPath
    """The folder of the bytes that were there before."""


HOST = FilePlaces(
    containers=PurePosixPath("/etc/containers"),
    record=PurePosixPath("/etc/imagekit/trust.json"),
    kept=PurePosixPath("/var/lib/imagekit/trust"),
)
"""Those of all users of a host."""
HOME = FilePlaces(
    containers=PurePosixPath("/.config/containers"),
    record=PurePosixPath("/.config/imagekit/trust.json"),
    kept=PurePosixPath("/.local/state/imagekit/trust"),
)
"""Those of one user, from the home folder: engines take ``$HOME/.config`` and no XDG folder."""


class HostFiles:
    """The files below a root: ``/``, that of an image which nodes will boot, or a home folder.

    Links in the tree are followed as they will be there: an absolute one starts at the root.

    Args:
        root: the folder that paths are taken from.
        places: where files are looked for below it.
    """

    def __init__(self, root: Path = Path("/"), places: FilePlaces = HOST) -> None:
        self._root = root
        self.places = places

    def read(self, path: PurePosixPath) -> bytes | None:
        """Return a file's bytes, or None where there is none.

        Raises:
            InputError: it is no plain file, too large, or cannot be read.
        """
        shown = self.shown(path)
        try:
            raw = rooted.read(self._root, _inner(path), limit=MAX_FILE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(
                f"{shown} cannot be read: {error.strerror or error}", code="BAD_FILE"
            ) from error
        if len(raw) > MAX_FILE:
            raise InputError(f"{shown} has more than {MAX_FILE} bytes", code="BAD_FILE")
        return raw

    def write(self, path: PurePosixPath, content: bytes, *, mode: int = _MODE) -> None:
        """Write a file atomically: a reader sees the old bytes or the new ones, after a crash too.

        A link in its place is kept, and what it points to, below the root, is replaced.

        Args:
            path: where it goes.
            content: what it holds.
            mode: of a new file; one that is there keeps its own.

        Raises:
            ToolError: it cannot be written, or something else than a file is there.
        """
        try:
            with rooted.place(self._root, _inner(path), make=True) as place:
                _replace(place, content, mode=_mode_there(place, mode))
        except OSError as error:
            raise self._unwritable(path, error) from error

    def remove(self, path: PurePosixPath) -> None:
        """Remove a file, and the folders that are empty without it; a link to it is kept.

        Raises:
            ToolError: it cannot be removed.
        """
        try:
            with rooted.place(self._root, _inner(path)) as place:
                os.unlink(place.name, dir_fd=place.folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._unwritable(path, error) from error
        for folder in list(path.parents)[:-1][:_FOLDERS_REMOVED]:
            with (
                suppress(OSError),
                rooted.place(self._root, _inner(folder), follow=False) as place,
            ):
                os.rmdir(place.name, dir_fd=place.folder)

    def keep(self, content: bytes) -> Digest:
        """Keep the bytes of a file that is about to be replaced; return their digest.

        Only their owner may read them: the file may have been one of root's own.
        """
        digest = Digest.of(content)
        self.write(self.places.kept / digest.hex, content, mode=0o600)
        return digest

    def kept(self, digest: Digest) -> bytes:
        """Return bytes that were kept.

        Raises:
            InputError: they are gone, or other bytes.
        """
        raw = self.read(self.places.kept / digest.hex)
        if raw is None or Digest.of(raw) != digest:
            raise InputError(
                f"the copy {self.shown(self.places.kept / digest.hex)} of a replaced file is gone",
                code="BAD_FILE",
            )
        return raw

    def forget(self, digest: Digest) -> None:
        """Remove bytes that were kept."""
        self.remove(self.places.kept / digest.hex)

    def shown(self, path: PurePosixPath) -> Path:
        """Return where a file is, from this process's own root."""
        return self._root / _inner(path)

    def _unwritable(self, path: PurePosixPath, error: OSError) -> ToolError:
        hint = "run it as root" if isinstance(error, PermissionError) else ""
        if isinstance(error, FileNotFoundError):
            hint = f"a link above it leads to nothing below {self._root}: make what it leads to"
        return ToolError(
            f"{self.shown(path)} cannot be written: {error.strerror or error}", hint=hint
        )


def _inner(path: PurePosixPath) -> str:
    if not path.is_absolute() or ".." in path.parts:
        raise InputError(f"{path} is not a path from the root", code="BAD_FILE")
    return str(path).lstrip("/")


def _mode_there(place: OpenPlace, new: int) -> int:
    """Return the mode of the file that is to be replaced, or that of a new one."""
    try:
        status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        return new
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "something else than a file is there")
    return stat.S_IMODE(status.st_mode)


def _replace(place: OpenPlace, content: bytes, *, mode: int) -> None:
    temporary = f".imagekit-{secrets.token_hex(8)}"
    handle = os.open(temporary, _NEW, 0o600, dir_fd=place.folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=place.folder)
        raise

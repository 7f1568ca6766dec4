"""Small content that was read from registries by its digest, kept on this machine for a day.

What must hold:

1. Bytes are compared with their digest whenever they are taken from here.
2. Content is kept for the repository that it was read from: another one may not have it, or not
   for this user.
3. What is kept proves what a digest stands for, and nothing else: never what a tag points to, what
   is attached to an image, or that something is not there. That a registry still has what it lists
   is believed for a day.
4. Whatever is wrong with the folder, the registry is asked instead.
"""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from imagekit.errors import ImagekitError, ToolError
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutReader, LayoutStore
from imagekit.oci.location import Location
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.types import Descriptor, RawManifest
from imagekit.paths import expanded

MAX_AGE = 24 * 3600
MAX_KEPT = 256 << 20
"""Most bytes of all content together, when the folder is opened."""
MAX_ONE = 32 << 20
_MAX_FILES = 10_000


class KeptContent:
    """Content by digest, in a folder for each repository.

    Args:
        folder: the folder; made where something is kept.
        now: the time in seconds, as files have it.
    """

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now
        with suppress(OSError):
            self._trim()

    def manifest(self, reference: PinnedReference) -> RawManifest | None:
        """Return a manifest, or None where it is not kept."""
        if not self._is_young(reference.repository, reference.digest):
            return None
        try:
            return LayoutReader(self._store(reference.repository)).manifest(reference)
        except (ImagekitError, OSError):
            return None

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes | None:
        """Return a blob, or None where it is not kept."""
        if not self._is_young(repository, descriptor.digest):
            return None
        try:
            layout = LayoutReader(self._store(repository))
            return layout.blob(repository, descriptor, limit=limit)
        except (ImagekitError, OSError):
            return None

    def keep(self, repository: Repository, digest: Digest, raw: bytes) -> None:
        """Keep content that was just read."""
        if len(raw) > MAX_ONE:
            return
        with suppress(ImagekitError, OSError):
            # An image's SBOM is not for other users of this machine.
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            LayoutStore.create(self._store(repository).folder).add(digest, iter((raw,)))

    def _store(self, repository: Repository) -> LayoutStore:
        # By a digest: a name has slashes, and may be longer than the name of a folder.
        return LayoutStore(self._folder / Digest.of(repository.name.encode()).hex)

    def _is_young(self, repository: Repository, digest: Digest) -> bool:
        try:
            written = self._store(repository).path(digest).stat().st_mtime
        except OSError:
            return False
        # From the future is not young: a clock that was set back would keep it so.
        return 0 <= self._now() - written < MAX_AGE

    def _trim(self) -> None:
        """Remove what is too old, and of the rest what is too much, the oldest first."""
        files = [(file, file.stat()) for file in self._folder.glob("*/blobs/*/*")]
        files.sort(key=lambda entry: -entry[1].st_mtime)
        size, used = 0, set[Path]()
        for number, (file, status) in enumerate(files):
            size += status.st_size
            young = 0 <= self._now() - status.st_mtime < MAX_AGE
            if young and size <= MAX_KEPT and number < _MAX_FILES:
                used.add(file.parents[2])
            else:
                file.unlink(missing_ok=True)
        for folder in set(self._folder.glob("*")) - used:
            shutil.rmtree(folder, ignore_errors=True)


def kept_content(location: Location) -> KeptContent | None:
    """Return what earlier runs kept of the location, or None where nothing is kept of it.

    It is kept by names, so of registries only: what a layout has is as near as what is kept.
    """
    folder = default_folder() if location.is_remote else None
    return None if folder is None else KeptContent(folder)


def default_folder() -> Path | None:
    """Return where a user's content is kept, $XDG_CACHE_HOME/imagekit/content."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        cache = cache_home if cache_home.is_absolute() else expanded("~/.cache", os.environ)
    except ToolError:
        return None
    return cache / "imagekit" / "content"

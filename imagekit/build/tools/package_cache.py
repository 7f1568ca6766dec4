"""Packages, wheels and fetched files, each once, by the digest that a lock or a recipe states.

What must hold:

1. A file has its name only when it is whole and has that digest: it is written beside it and
   renamed. Two processes that get one file at once write the same bytes.
2. Nothing of it is used before it was hashed again: a program of an earlier build may have changed
   it, as a container can be left where steps are contained by chroot only.
3. The time of a file is when a build used it last, which is how long ``prune`` keeps it.
"""

import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.tools.fetch import download, is_there
from imagekit.documents.quantity import count
from imagekit.errors import BuildError, ImagekitError
from imagekit.oci.digest import Digest
from imagekit.progress import Advanced, Progress

DOWNLOADS = "downloads"
"""The name of its folder below imagekit's cache."""
_AT_ONCE = 4


class WantedFile(Struct, frozen=True, kw_only=True):
    """A file that a build needs."""

    digest: Digest
    size: int
    title: str
    """What it is, for people: ``apt 2.6.1 (amd64)``."""
    url: str
    """Where it is got from; empty where only a registry may have it."""


class Elsewhere(Protocol):
    """Has files that may have left the mirrors, by their digests."""

    def get(self, wanted: WantedFile, target: Path) -> bool:
        """Write a file and return true; return false where it is not there."""
        ...


class PackageCache(Struct, frozen=True):
    """A folder of files that are named by their SHA-256."""

    folder: Path
    elsewhere: Elsewhere | None = None
    """Asked for what its own place does not have any more."""

    def path(self, digest: Digest) -> Path:
        """Return where a file is, or will be."""
        return self.folder / digest.hex

    def has(self, wanted: WantedFile) -> bool:
        """Return whether a file is there, whole and unchanged."""
        return is_there(self.path(wanted.digest), wanted.digest)

    def bring(
        self, wanted: Iterable[WantedFile], *, stage: str, limit: float, progress: Progress
    ) -> None:
        """Download what is not there, several files at once; all else is hashed again.

        Args:
            wanted: the files.
            stage: for which stage of a build.
            limit: seconds that each may take.
            progress: told of the bytes of all.

        Raises:
            BuildError: a file cannot be had any more; it names the file and the ways out.
        """
        missing = [file for file in _each_once(wanted) if not self._use(file.digest)]
        if not missing:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        meter = _Meter(missing, stage, progress)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            running = [pool.submit(self._get, file, limit=limit, meter=meter) for file in missing]
            try:
                for download in running:
                    download.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def place(self, digest: Digest, target: Path) -> None:
        """Put a file of the cache somewhere else: as a link where that can be, else as a copy.

        Raises:
            OSError: it is not there, or cannot be written.
        """
        try:
            os.link(self.path(digest), target)
        except OSError:
            shutil.copyfile(self.path(digest), target)
            target.chmod(0o644)

    def place_all(self, files: Mapping[str, Digest], folder: Path) -> bool:
        """Put files of the cache into a folder by their names, and return true, if it has them all.

        Raises:
            OSError: the folder cannot be written.
        """
        if not files or not all(self._use(digest) for digest in files.values()):
            return False
        for name, digest in files.items():
            self.place(digest, folder / Path(name).name)
        return True

    def keep(self, file: Path) -> None:
        """Take a copy of a file whose digest was checked.

        Raises:
            OSError: it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self.folder, prefix=".part-", delete=False) as part:
            try:
                shutil.copyfile(file, part.name)
                self._settle(Path(part.name), Digest.of(Path(part.name).read_bytes()))
            finally:
                Path(part.name).unlink(missing_ok=True)

    def _settle(self, part: Path, digest: Digest) -> None:
        # apt reads packages as its own user; who may read them at all, the folders above say.
        part.chmod(0o644)
        part.rename(self.path(digest))

    def _use(self, digest: Digest) -> bool:
        path = self.path(digest)
        if not is_there(path, digest):
            return False
        with suppress(OSError):
            os.utime(path)
        return True

    def _get(self, wanted: WantedFile, *, limit: float, meter: "_Meter") -> None:
        target = self.path(wanted.digest)
        try:
            self._download(wanted, target, limit=limit, meter=meter)
        except ImagekitError as error:
            self._get_elsewhere(wanted, target, error)
        target.chmod(0o644)
        meter.advanced(wanted, wanted.size)

    def _get_elsewhere(self, wanted: WantedFile, target: Path, error: ImagekitError) -> None:
        """Get a file that its own place does not have.

        Raises:
            BuildError: it is not to be had elsewhere either.
        """
        if self.elsewhere is None:
            raise _gone(wanted, error.message) from error
        why = "the registry has it neither"
        try:
            if self.elsewhere.get(wanted, target) and is_there(target, wanted.digest):
                return
        except ImagekitError as other:
            why = f"nor from the registry: {other.message}"
        target.unlink(missing_ok=True)
        raise _gone(wanted, f"{error.message}; {why}") from error

    def _download(self, wanted: WantedFile, target: Path, *, limit: float, meter: "_Meter") -> None:
        if not wanted.url:
            raise BuildError("no mirror is known")
        download(
            wanted.url,
            wanted.digest,
            target,
            where=wanted.title,
            limit=limit,
            progress=lambda event: (
                meter.advanced(wanted, event.done) if isinstance(event, Advanced) else None
            ),
            largest=wanted.size,
        )


class _Meter:
    """Adds up the bytes of several downloads."""

    def __init__(self, wanted: Sequence[WantedFile], stage: str, progress: Progress) -> None:
        self._told = Advanced(
            stage=stage,
            done=0,
            total=sum(file.size for file in wanted),
            doing=f"downloading {count(len(wanted), 'file')},",
        )
        self._progress = progress
        self._done: dict[Digest, int] = {}
        self._lock = threading.Lock()

    def advanced(self, wanted: WantedFile, done: int) -> None:
        """Tell that so many bytes of one are there."""
        with self._lock:
            self._done[wanted.digest] = done
            self._progress(replace(self._told, done=sum(self._done.values())))


def _each_once(wanted: Iterable[WantedFile]) -> Iterator[WantedFile]:
    yield from {file.digest: file for file in wanted}.values()


def _gone(wanted: WantedFile, why: str) -> BuildError:
    name = wanted.title.partition(" ")[0]
    return BuildError(
        f"{wanted.title} ({wanted.digest.short}) cannot be had: {why}",
        hint="take it from a registry that has it (imagekit cache pull, or --cache-from), or let "
        f"the lock have another version: imagekit lock RECIPE --update {name}",
        code="build/package-gone",
    )

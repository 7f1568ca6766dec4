"""What steps changed in their trees, kept for the next build: an archive and a record for each.

Unlike a layer, it never leaves this host: it has the times that files had, and what no layer holds.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from msgspec import Struct

from imagekit.build.job import CachedStep
from imagekit.documents import strictjson
from imagekit.documents.record import from_document, to_document
from imagekit.errors import ImagekitError
from imagekit.inputs import read_regular
from imagekit.oci.digest import Digest
from imagekit.oci.layout import write_whole

MAX_BYTES = 16 << 30
"""Most bytes of all archives together; the oldest go first."""
KEPT_SECONDS = 7 * 86400
"""How long an archive is kept, also of a locked step; its layer is there longer."""
_MAX_RECORD = 1 << 20
_RECORD, _ARCHIVE, _PART = ".json", ".tar.gz", ".part-"


class StepCache(Struct, frozen=True, kw_only=True):
    """A folder of archives and of small documents beside them."""

    folder: Path
    max_age: float
    """Seconds that a step is used that is not locked: then the network may have something else."""
    contained: bool = False
    """Whether only steps are used whose commands were contained by more than chroot."""

    def find(self, key: Digest) -> CachedStep | None:
        """Return what is known of a step, if it is new enough and its archive is complete."""
        try:
            raw = read_regular(self.folder / f"{key.hex}{_RECORD}", limit=_MAX_RECORD)
            cached: CachedStep = from_document(
                CachedStep, strictjson.loads(raw, what="a remembered step")
            )
            size = self.archive(key).stat().st_size
        except (OSError, ValueError, ImagekitError):
            return None
        longest = math.inf if cached.locked else self.max_age
        fresh = 0 <= time.time() - cached.made < longest
        weak = self.contained and cached.isolation == "chroot"
        return cached if fresh and size == cached.size and not weak else None

    def archive(self, key: Digest) -> Path:
        """Return where the archive of a step lies."""
        return self.folder / f"{key.hex}{_ARCHIVE}"

    def keep(
        self,
        key: Digest,
        step: CachedStep,
        fill: Callable[[IO[bytes]], None],
    ) -> None:
        """Keep a step.

        Args:
            key: its key.
            step: what is known of it, without the size of its archive.
            fill: writes the archive.

        Raises:
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with NamedTemporaryFile(dir=self.folder, prefix=_PART, delete=False) as part:
            try:
                fill(part.file)
                part.flush()
                size = os.fstat(part.fileno()).st_size
                Path(part.name).rename(self.archive(key))
            finally:
                Path(part.name).unlink(missing_ok=True)
        record = {**to_document(step), "size": size}
        write_whole(self.folder / f"{key.hex}{_RECORD}", json.dumps(record).encode())

    def drop(self, key: Digest) -> None:
        """Remove a step, if it is there.

        Raises:
            OSError: it cannot be removed.
        """
        for suffix in (_RECORD, _ARCHIVE):
            (self.folder / f"{key.hex}{suffix}").unlink(missing_ok=True)

    def tidy(self, *, most: int = MAX_BYTES) -> None:
        """Remove what is old, and the oldest where all is too large."""
        files = sorted(self._files(), reverse=True)
        left, now = most, time.time()
        for written, size, path in files:
            left -= size
            if left < 0 or now - written >= KEPT_SECONDS:
                # Another build may do it at the same time.
                with suppress(OSError):
                    path.unlink()

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith((_RECORD, _ARCHIVE)) or entry.name.startswith(_PART):
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        yield status.st_mtime, status.st_size, Path(entry.path)

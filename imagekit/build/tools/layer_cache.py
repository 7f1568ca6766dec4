"""Layers that were made before, by the key of everything that determines them."""

import json
import math
import time
from pathlib import Path

from msgspec import Struct

from imagekit.build.job import CachedLayer
from imagekit.documents import strictjson
from imagekit.documents.record import from_document, to_document
from imagekit.errors import ImagekitError
from imagekit.inputs import read_regular
from imagekit.oci.digest import Digest
from imagekit.oci.layout import write_whole

_MAX_RECORD = 1 << 20


class LayerCache(Struct, frozen=True, kw_only=True):
    """A folder of small documents, beside the layout that has the layers themselves."""

    folder: Path
    blobs: Path
    max_age: float
    """Seconds that a layer is used: after that the mirrors may have newer packages."""
    max_locked_age: float = math.inf
    """The same of layers of a lock, which no time makes another one."""
    contained: bool = False
    """Whether only layers are used whose commands were contained by more than chroot."""

    def find(self, key: Digest) -> CachedLayer | None:
        """Return the layer of the key, if it is new enough and its blob is complete."""
        try:
            cached: CachedLayer = from_document(
                CachedLayer,
                strictjson.loads(
                    read_regular(self._path(key), limit=_MAX_RECORD), what="a remembered layer"
                ),
            )
        except (OSError, ValueError, ImagekitError):
            return None
        blob = self.blobs / cached.layer.descriptor.digest.hex
        longest = self.max_locked_age if cached.locked else self.max_age
        fresh = 0 <= time.time() - cached.made < longest
        whole = blob.is_file() and blob.stat().st_size == cached.layer.descriptor.size
        weak = self.contained and cached.isolation == "chroot"
        return cached if fresh and whole and not weak else None

    def keep(self, key: Digest, layer: CachedLayer) -> None:
        """Write the record of a layer.

        Raises:
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(key), json.dumps(to_document(layer)).encode())

    def _path(self, key: Digest) -> Path:
        return self.folder / f"{key.hex}.json"

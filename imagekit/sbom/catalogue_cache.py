"""What was read of layers before, so that a base is not unpacked again for each image on it.

What must hold:

1. A record is found by the digest of the layer's blob, whose bytes were compared with it when they
   were read. A diffID would not do: a foreign image may name any one as its layer's.
2. It is used only by the very code that made it, and only where its bytes are those written then.
3. What is counted over all layers of an image is counted as if the layer had been read; one that
   had to leave anything out is read again each time.
4. Whatever is wrong with the folder, the layer is read.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.catalogued import Budget
from imagekit.build.image import Origin
from imagekit.errors import ImagekitError
from imagekit.inputs import read_regular
from imagekit.oci.digest import Digest
from imagekit.oci.layout import write_whole
from imagekit.sbom.contents import LayerFiles

MAX_KEPT = 512 << 20
"""Most bytes of all records together."""
MAX_ONE = 64 << 20
"""Largest record: of a layer with a hundred thousand programs, or all licence texts of Debian."""
_MAX_FILES = 2000
_SHA256 = 32
# All that decides what is kept of a layer.
_CODE = (
    ("imagekit.build", "catalogued.py"),
    ("imagekit.needs", "elf.py"),
    ("imagekit.oci", "layer_stream.py"),
    ("imagekit.oci", "tar.py"),
    ("imagekit.sbom", "contents.py"),
    ("imagekit.sbom", "elf_sections.py"),
    ("imagekit.sbom", "layer_files.py"),
)


class _Record(Struct, frozen=True, kw_only=True):
    used: Mapping[str, int]
    """What reading it took of the budget."""
    files: LayerFiles


class CatalogueCache:
    """A folder of records, one for each layer.

    Args:
        folder: the folder; made where something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(
        self,
        blob: Digest,
        *,
        layer: str,
        origin: Origin | None,
        digest_programs: bool,
        budget: Budget,
        make: Callable[[], LayerFiles],
    ) -> LayerFiles:
        """Return what is kept of a layer; where nothing is, read and keep it.

        Args:
            blob: the digest of the layer as it lies in the layout or registry.
            layer: its diffID.
            origin: which part of a recipe it came from.
            digest_programs: whether its programs have digests.
            budget: what is still read of the image's layers.
            make: reads the layer, on this budget.
        """
        path = self._folder / _key(blob, digest_programs=digest_programs)
        record = _load(path)
        if record is not None and budget.take(record.used):
            with suppress(OSError):
                # What was used last goes last.
                os.utime(path)
            return replace(record.files, layer=layer, origin=origin)
        before = budget.left()
        files = make()
        if not budget.exceeded:
            after = budget.left()
            self._keep(path, {name: before[name] - after[name] for name in before}, files)
        return files

    def _keep(self, path: Path, used: Mapping[str, int], files: LayerFiles) -> None:
        try:
            raw = msgspec.msgpack.encode(_Record(used=used, files=files), enc_hook=_plain)
        except UnicodeEncodeError:
            # A path that is no UTF-8.
            return
        if len(raw) + _SHA256 > MAX_ONE:
            return
        with suppress(OSError):
            # What is in a user's images is not for other users of this machine.
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, hashlib.sha256(raw).digest() + raw)
            self._trim()

    def _trim(self) -> None:
        """Remove what is too much, that which was not used longest first."""
        files = [(file, file.stat()) for file in self._folder.iterdir()]
        files.sort(key=lambda entry: -entry[1].st_mtime)
        size = 0
        for number, (file, status) in enumerate(files):
            size += status.st_size
            if size > MAX_KEPT or number >= _MAX_FILES:
                file.unlink(missing_ok=True)


def _plain(value: object) -> object:
    # A mapping that nobody may change: msgspec knows none of these.
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise TypeError(type(value).__name__)


def _load(path: Path) -> _Record | None:
    try:
        raw = read_regular(path, limit=MAX_ONE)
        if hashlib.sha256(raw[_SHA256:]).digest() != raw[:_SHA256]:
            return None
        return msgspec.msgpack.decode(raw[_SHA256:], type=_Record)
    except (OSError, ImagekitError, msgspec.DecodeError):
        return None


def _key(blob: Digest, *, digest_programs: bool) -> str:
    return hashlib.sha256(f"{_code()} {blob} {digest_programs}".encode()).hexdigest()


@cache
def _code() -> str:
    """Return the digest of the code that reads layers: another one may keep something else."""
    cataloguers = resources.files("imagekit.sbom.cataloguers").iterdir()
    files = [
        *(resources.files(room).joinpath(name) for room, name in _CODE),
        *sorted((file for file in cataloguers if file.is_file()), key=lambda file: file.name),
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

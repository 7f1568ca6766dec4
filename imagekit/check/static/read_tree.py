"""From layers, or a folder, to what is checked of an image: one pass, nothing on a disk."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from imagekit import rooted
from imagekit.build.catalogued import MAX_DEPTH
from imagekit.build.image import BuiltImage
from imagekit.check.image_files import ImageFiles
from imagekit.check.static.examined import Examined
from imagekit.check.static.image_tree import ImageTree
from imagekit.errors import DocumentError, InputError
from imagekit.oci.codec import parse_config
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.layer_stream import Stream
from imagekit.oci.layout import LayoutReader, LayoutStore
from imagekit.oci.reference import LAYOUT_HOST, PinnedReference, Reference, Repository
from imagekit.oci.registry.host_image import host_image
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.tar import CAPABILITY, EntryKind, Source, TarEntry, entries
from imagekit.oci.types import LAYER_TYPES, MAX_MANIFEST, Descriptor, ImageConfig
from imagekit.progress import Advanced, Progress, silent

STAGE = "check"
MAX_IMAGE = 256 << 30
"""Most bytes that all layers of an image may unpack to."""
_PIECE = 1 << 20
_CAPABILITY = CAPABILITY.removeprefix("SCHILY.xattr.")
_KINDS = {
    stat.S_IFREG: EntryKind.FILE,
    stat.S_IFDIR: EntryKind.FOLDER,
    stat.S_IFLNK: EntryKind.SYMLINK,
}


def tree_of_image(image: BuiltImage, *, progress: Progress = silent) -> ImageTree:
    """Read an image that was built here.

    Raises:
        DocumentError: a layer is not one.
        IntegrityError: the layout's bytes are not what the image says.
        RegistryError: the layout cannot be read.
    """
    store = LayoutStore(image.layout)
    layers = tuple(layer.descriptor for layer in image.layers)
    config = parse_config(store.path(image.config.digest).read_bytes())
    place = _Layers(LayoutReader(store), Repository(LAYOUT_HOST, "x"), layers, progress)
    return place.tree(config)


def tree_of_reference(
    reader: RegistryReader, reference: Reference, *, progress: Progress = silent
) -> tuple[PinnedReference, ImageTree]:
    """Read an image of a registry, layout or archive; of an index that of this host's platform.

    Raises:
        InputError: the reference names an index without an image for this host.
        DocumentError: manifest, configuration or a layer is not one.
        IntegrityError: bytes are not what their digest says.
        RegistryError: the registry gives no good answer.
    """
    pinned, _, manifest = host_image(reader, reference)
    raw = reader.blob(pinned.repository, manifest.config, limit=MAX_MANIFEST)
    place = _Layers(reader, pinned.repository, manifest.layers, progress)
    return pinned, place.tree(parse_config(raw))


def tree_of_folder(folder: Path) -> ImageTree:
    """Read a root file system, without ever leaving it; it has no configuration.

    Raises:
        InputError: it is no folder, or a file of it cannot be read.
    """
    examined = Examined()
    files = ImageFiles.read(1, lambda _: _folder_entries(folder), look=examined.look)
    config = ImageConfig(platform=host_platform(), created="", diff_ids=())
    return ImageTree(files=files, examined=examined, config=config)


class _Layers(Struct, frozen=True):
    """The layers of an image in a registry or layout."""

    reader: RegistryReader
    repository: Repository
    layers: Sequence[Descriptor]
    progress: Progress

    def tree(self, config: ImageConfig) -> ImageTree:
        """Read all of them."""
        examined = Examined()
        left = [MAX_IMAGE]
        files = ImageFiles.read(
            len(self.layers), lambda number: self._entries(number, left), look=examined.look
        )
        return ImageTree(files=files, examined=examined, config=config)

    def _entries(self, number: int, left: list[int]) -> Iterator[tuple[TarEntry, Source]]:
        layer = self.layers[number]
        self.progress(Advanced(stage=STAGE, done=number, total=len(self.layers), unit="layer"))
        if layer.media_type not in LAYER_TYPES:
            raise DocumentError(
                f"layer {layer.digest.short} is of the media type {layer.media_type!r}",
                hint="only layers of container images can be checked",
                code="UNSUPPORTED_LAYER",
            )
        with self.reader.stream(self.repository, layer) as pieces:
            before = left[0]
            stream = Stream(pieces, where=f"layer {layer.digest.short}", limit=before)
            for entry in entries(stream):
                yield entry, stream
            # To the end: whoever sends the bytes checks their digest there.
            stream.drain()
            left[0] = stream.left


def _folder_entries(folder: Path) -> Iterator[tuple[TarEntry, Source]]:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(
            f"the folder {folder} cannot be read: {error.strerror}",
            hint="name a root file system, HOST/NAME:TAG or oci:FOLDER:NAME:TAG",
        ) from error
    try:
        yield from _walk(handle, "", os.fstat(handle).st_dev)
    finally:
        os.close(handle)


def _walk(handle: int, path: str, device: int) -> Iterator[tuple[TarEntry, Source]]:
    """Yield what an open folder holds, depth first; other file systems are not entered."""
    with os.scandir(handle) as scan:
        names = sorted(entry.name for entry in scan)
    for name in names:
        below = f"{path}/{name}" if path else name
        try:
            yield from _one(_Place(handle, name, below), device)
        except OSError as error:
            raise InputError(
                f"/{below} cannot be read: {error.strerror}",
                hint="check it as the user who may read all of it, or while nothing changes it",
            ) from error


class _Place(Struct, frozen=True):
    """An entry of an open folder."""

    folder: int
    name: str
    path: str


def _one(place: _Place, device: int) -> Iterator[tuple[TarEntry, Source]]:
    handle, name, path = place.folder, place.name, place.path
    status = os.stat(name, dir_fd=handle, follow_symlinks=False)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), EntryKind.OTHER)
    if kind is EntryKind.FILE:
        yield from _file(place)
        return
    target = os.readlink(name, dir_fd=handle) if kind is EntryKind.SYMLINK else ""
    yield _entry(path, status, kind, target=target), _Rest(-1, path)
    if kind is EntryKind.FOLDER and status.st_dev == device and path.count("/") < MAX_DEPTH:
        inner = os.open(name, rooted.FOLDER, dir_fd=handle)
        try:
            yield from _walk(inner, path, device)
        finally:
            os.close(inner)


def _file(place: _Place) -> Iterator[tuple[TarEntry, Source]]:
    opened = os.open(place.name, rooted.FILE, dir_fd=place.folder)
    try:
        status = os.fstat(opened)
        kind = EntryKind.FILE if stat.S_ISREG(status.st_mode) else EntryKind.OTHER
        records = {}
        if _CAPABILITY in os.listxattr(opened):
            value = os.getxattr(opened, _CAPABILITY).decode("utf-8", "surrogateescape")
            records = {CAPABILITY: value}
        yield _entry(place.path, status, kind, records=records), _Rest(opened, place.path)
    finally:
        os.close(opened)


def _entry(
    path: str,
    status: os.stat_result,
    kind: EntryKind,
    *,
    target: str = "",
    records: dict[str, str] | None = None,
) -> TarEntry:
    return TarEntry(
        path=path,
        kind=kind,
        size=status.st_size if kind is EntryKind.FILE else 0,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        target=target,
        records=records or {},
    )


class _Rest:
    """The bytes of an open file, from front to end."""

    def __init__(self, handle: int, path: str) -> None:
        self._handle = handle
        self._path = path

    def exactly(self, size: int) -> bytes:
        """Return the next bytes."""
        pieces = []
        while size:
            piece = os.read(self._handle, min(size, _PIECE))
            if not piece:
                raise self.broken("it became shorter while it was read")
            size -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Pass over the next bytes."""
        if size:
            os.lseek(self._handle, size, os.SEEK_CUR)

    def broken(self, what: str) -> DocumentError:
        """Return the error that says what is wrong."""
        return DocumentError(f"/{self._path} cannot be read: {what}", code="BAD_LAYER")

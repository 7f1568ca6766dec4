"""The files of an image as its layers say, read without unpacking or running anything."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from msgspec import Struct

from imagekit.build.image import BuiltImage
from imagekit.errors import DocumentError
from imagekit.oci.layer_stream import Stream
from imagekit.oci.layout import LayoutReader, LayoutStore
from imagekit.oci.reference import LAYOUT_HOST, Repository
from imagekit.oci.tar import EntryKind, Source, TarEntry, entries, normal_path

MAX_ENTRIES = 2_000_000
MAX_PATH = 4096
"""PATH_MAX of Linux: no program opens a longer one."""
MAX_CONTENT = 16 << 20
"""Most bytes that are read of the files of one test."""
_MAX_LINKS = 40
"""As Linux follows (path_resolution(7))."""
LOOP = "\0"
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


class ImageFile(Struct, frozen=True, kw_only=True):
    """One path of an image."""

    kind: EntryKind
    mode: int
    uid: int
    gid: int
    target: str
    """Where a symbolic link leads."""
    size: int
    layer: int
    source: str
    """The path of the entry in that layer that has its bytes."""


Look = Callable[[int, TarEntry, Source], None]
"""Takes exactly the bytes of an entry of the layer of a number."""


def pass_over(number: int, entry: TarEntry, source: Source) -> None:
    """Look at nothing of an entry."""
    del number
    source.skip(entry.size)


class ImageFiles(Struct, frozen=True, kw_only=True):
    """All files of an image; paths are absolute."""

    files: Mapping[str, ImageFile]
    open_layer: Callable[[int], Iterator[tuple[TarEntry, Source]]]

    @classmethod
    def of(cls, image: BuiltImage) -> "ImageFiles":
        """Return the files of an image that was built here.

        Raises:
            DocumentError: a layer is not one.
            IntegrityError: the layout's bytes are not what the image says.
        """
        reader, repository = LayoutReader(LayoutStore(image.layout)), Repository(LAYOUT_HOST, "x")

        def open_layer(number: int) -> Iterator[tuple[TarEntry, Source]]:
            layer = image.layers[number]
            with reader.stream(repository, layer.descriptor) as pieces:
                stream = Stream(pieces, where=f"layer {layer.diff_id.short}")
                for entry in entries(stream):
                    yield entry, stream

        return cls.read(len(image.layers), open_layer)

    @classmethod
    def read(
        cls,
        count: int,
        open_layer: Callable[[int], Iterator[tuple[TarEntry, Source]]],
        *,
        look: Look = pass_over,
    ) -> "ImageFiles":
        """Return the files of an image whose layers are read by a function.

        Args:
            count: how many layers it has.
            open_layer: yields the entries of the layer of a number, the lowest being 0.
            look: looks at the content of each entry.

        Raises:
            DocumentError: a layer is not one.
        """
        files: dict[str, ImageFile] = {}
        for number in range(count):
            files = _Layer(number, files, look).laid_over(open_layer(number))
        return cls(files=_with_folders(files), open_layer=open_layer)

    def find(self, path: str) -> ImageFile | None:
        """Return what is at a path, which may be a link itself; None where nothing is."""
        return self.files.get(self.resolved(path, follow=False))

    def names(self, folder: str) -> Sequence[str]:
        """Return the names of what a folder holds, sorted."""
        above = f"{self.resolved(folder, follow=True)}/"
        below = (path.removeprefix(above) for path in self.files if path.startswith(above))
        return sorted(name for name in below if "/" not in name)

    def contents(self, paths: Collection[str]) -> Mapping[str, bytes]:
        """Return what the regular files at some of the paths hold, links followed.

        Raises:
            DocumentError: they are larger together than what is read, or a layer is not one.
        """
        wanted: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        size = 0
        for path in paths:
            file = self.files.get(self.resolved(path, follow=True))
            if file is not None and file.kind is EntryKind.FILE:
                wanted[file.layer][file.source].append(path)
                size += file.size
        if size > MAX_CONTENT:
            raise DocumentError(f"{size} bytes of files to read; at most {MAX_CONTENT} are")
        return {
            path: raw
            for layer, sources in wanted.items()
            for source, raw in self._read(layer, sources).items()
            for path in sources[source]
        }

    def _read(self, layer: int, sources: Collection[str]) -> Mapping[str, bytes]:
        found: dict[str, bytes] = {}
        for entry, stream in self.open_layer(layer):
            if entry.kind is EntryKind.FILE and entry.path in sources:
                # The last entry of a path counts, as where the layer is unpacked.
                found[entry.path] = stream.exactly(entry.size) if entry.size else b""
            else:
                stream.skip(entry.size)
        return found

    def resolved(self, path: str, *, follow: bool = True) -> str:
        """Return where a path leads: its links followed in the image, never out of it.

        Args:
            path: the path; its result has no slash in front.
            follow: whether the last part is followed, too, where it is a link.

        Returns:
            The path; where links loop, ``LOOP``.
        """
        todo, current, links = path.split("/")[::-1], "", 0
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                current = current.rpartition("/")[0]
                continue
            current = f"{current}/{part}" if current else part
            file = self.files.get(current)
            last = not any(rest not in {"", "."} for rest in todo)
            if file is not None and file.kind is EntryKind.SYMLINK and (follow or not last):
                links += 1
                if links > _MAX_LINKS:
                    return LOOP
                current = "" if file.target.startswith("/") else current.rpartition("/")[0]
                todo += file.target.split("/")[::-1]
        return current


class _Layer:
    """Lays one layer over those below (OCI image-spec, layer.md "Applying Changesets")."""

    def __init__(self, number: int, below: Mapping[str, ImageFile], look: Look) -> None:
        self._number = number
        self._look = look
        self._below = below
        self._own: dict[str, ImageFile] = {}
        self._gone: set[str] = set()
        self._emptied: set[str] = set()

    def laid_over(self, listed: Iterator[tuple[TarEntry, Source]]) -> dict[str, ImageFile]:
        """Return what is seen of both."""
        for entry, stream in listed:
            if len(self._own) + len(self._below) > MAX_ENTRIES or len(entry.path) > MAX_PATH:
                raise stream.broken("it has more or longer paths than are read")
            self._take(entry, stream)
            self._look(self._number, entry, stream)
        self._gone |= {p for p, f in self._own.items() if f.kind is not EntryKind.FOLDER}
        seen = {path: file for path, file in self._below.items() if self._shows(path)}
        return seen | self._own

    def _take(self, entry: TarEntry, stream: Source) -> None:
        folder, _, name = entry.path.rpartition("/")
        if name == _OPAQUE:
            self._emptied.add(folder)
        elif name.startswith(_WHITEOUT):
            hidden = name.removeprefix(_WHITEOUT)
            self._gone.add(f"{folder}/{hidden}" if folder else hidden)
        elif entry.kind is EntryKind.HARDLINK:
            target = normal_path(entry.target, stream)
            file = self._own.get(target) or self._below.get(target)
            if file is None:
                raise stream.broken(f"a hard link to {target[:60]!r}, which is not there")
            self._own[entry.path] = file
        else:
            self._own[entry.path] = self._file(entry)

    def _file(self, entry: TarEntry) -> ImageFile:
        return ImageFile(
            kind=entry.kind,
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            target=entry.target,
            size=entry.size,
            layer=self._number,
            source=entry.path,
        )

    def _shows(self, path: str) -> bool:
        if not self._gone and not self._emptied:
            return True
        folder = path
        while folder:
            if folder in self._gone:
                return False
            folder = folder.rpartition("/")[0]
            if folder in self._emptied:
                return False
        return True


def _with_folders(files: Mapping[str, ImageFile]) -> dict[str, ImageFile]:
    """Add the folders that no layer names and that are made all the same."""
    made = ImageFile(
        kind=EntryKind.FOLDER, mode=0o755, uid=0, gid=0, target="", size=0, layer=0, source=""
    )
    whole = {"": made, **files}
    for path in files:
        folder = path.rpartition("/")[0]
        while folder not in whole:
            whole[folder] = made
            folder = folder.rpartition("/")[0]
    return whole

"""From the bytes of a layer to what cataloguing needs of it, in one pass and flat memory."""

import hashlib
import sys
from collections.abc import Iterable
from types import MappingProxyType

from imagekit.formats.catalogued import Budget, Notes, rule_for
from imagekit.formats.tarstream import Entry, EntryKind, entries, normal_path
from imagekit.formats.unpack import MAX_UNPACKED, Stream
from imagekit.model.image import Origin
from imagekit.model.sbom import LayerFiles, RegularFile

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_ELF = b"\x7fELF"
_PIECE = 1 << 20


def read_layer(
    pieces: Iterable[bytes],
    *,
    layer: str,
    origin: Origin | None = None,
    list_files: bool = False,
    limit: int = MAX_UNPACKED,
) -> LayerFiles:
    """Read a layer as it lies in a registry or layout (OCI image-spec, layer.md).

    Args:
        pieces: the tar archive, plain or compressed with gzip.
        layer: the layer's diffID.
        origin: which part of a recipe it came from, where that is known.
        list_files: also list all regular files, programs with their digests.
        limit: most bytes that the layer may unpack to.

    Raises:
        DocumentError: it is no layer that an honest tool writes (code ``BAD_LAYER``), or
            compressed in a way that cannot be read (``UNSUPPORTED_LAYER``).
    """
    where = f"layer {layer[:19]}"
    stream = Stream(pieces, where=where, limit=limit)
    reader = _Reader(stream, where=where, list_files=list_files)
    for entry in entries(stream):
        reader.take(entry)
    stream.drain()
    return reader.result(layer=layer, origin=origin)


class _Reader:
    """Collects what matters of one archive; a later entry replaces an earlier one."""

    def __init__(self, stream: Stream, *, where: str, list_files: bool) -> None:
        self._stream = stream
        self._list_files = list_files
        self._budget = Budget(where)
        self._notes = Notes()
        self._documents: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._removed: set[str] = set()
        self._emptied: set[str] = set()
        self._files: dict[str, RegularFile] = {}

    def take(self, entry: Entry) -> None:
        self._budget.entry()
        path = entry.path
        if WHITEOUT in path and self._whiteout(path):
            self._stream.skip(entry.size)
            return
        self._forget(path)
        match entry.kind:
            case EntryKind.FILE:
                self._file(entry)
            case EntryKind.SYMLINK:
                self._budget.link()
                self._links[path] = entry.target
            case EntryKind.HARDLINK:
                self._hard_link(path, normal_path(entry.target, self._stream))
            case EntryKind.SPARSE:
                self._unreadable(path, "a sparse file")
                self._stream.skip(entry.size)
            case EntryKind.OTHER:
                self._unreadable(path, "no regular file")
            case EntryKind.FOLDER:
                self._stream.skip(entry.size)

    def result(self, *, layer: str, origin: Origin | None) -> LayerFiles:
        return LayerFiles(
            layer=layer,
            origin=origin,
            documents=MappingProxyType(self._documents),
            links=MappingProxyType(self._links),
            removed=frozenset(self._removed),
            emptied=frozenset(self._emptied),
            files=MappingProxyType(self._files),
            notes=self._notes.all(),
        )

    def _whiteout(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        if name == OPAQUE:
            self._emptied.add(folder)
        elif name.startswith(WHITEOUT):
            gone = name.removeprefix(WHITEOUT)
            self._removed.add(f"{folder}/{gone}" if folder else gone)
        else:
            return False
        return True

    def _forget(self, path: str) -> None:
        self._documents.pop(path, None)
        self._links.pop(path, None)
        self._files.pop(path, None)

    def _file(self, entry: Entry) -> None:
        rule = rule_for(entry.path)
        if rule is not None:
            kept = self._budget.wanted(entry.path, entry.size, rule)
            if kept is None:
                self._unreadable(entry.path, f"{entry.size} bytes long")
                self._stream.skip(entry.size)
                return
            if kept < entry.size and rule.limit:
                self._notes.add(f"only the first {kept} bytes of {shown(entry.path)} were read")
            self._documents[entry.path] = self._stream.exactly(kept) if kept else b""
            self._stream.skip(entry.size - kept)
        elif self._list_files:
            self._files[sys.intern(entry.path)] = self._listed(entry)
        else:
            self._stream.skip(entry.size)

    def _listed(self, entry: Entry) -> RegularFile:
        left = entry.size
        first = self._stream.exactly(min(left, len(_ELF))) if left else b""
        left -= len(first)
        elf = first == _ELF
        sha256 = ""
        if elf or entry.executable:
            hasher = hashlib.sha256(first)
            while left:
                piece = self._stream.some(min(left, _PIECE))
                hasher.update(piece)
                left -= len(piece)
            sha256 = hasher.hexdigest()
        self._stream.skip(left)
        return RegularFile(
            path=entry.path, size=entry.size, sha256=sha256, executable=entry.executable, elf=elf
        )

    def _hard_link(self, path: str, target: str) -> None:
        file = self._files.get(target)
        if target in self._documents and rule_for(path) is not None:
            self._budget.document(len(self._documents[target]))
            self._documents[path] = self._documents[target]
        elif file is not None and rule_for(path) is None:
            self._files[path] = RegularFile(
                path=path,
                size=file.size,
                sha256=file.sha256,
                executable=file.executable,
                elf=file.elf,
            )
        else:
            self._unreadable(path, f"a hard link to {shown(target)}")

    def _unreadable(self, path: str, why: str) -> None:
        # It hides what lower layers have there, so that nothing stale is listed.
        if rule_for(path) is not None:
            self._removed.add(path)
            self._notes.add(f"{shown(path)} was not read: {why}")


def shown(path: str) -> str:
    """Return a path for a person and for JSON: without what no terminal or encoder can take."""
    limit = 200
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return f"/{text[:limit]}"

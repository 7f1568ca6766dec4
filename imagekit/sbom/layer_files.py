"""From the bytes of a layer to what cataloguing needs of it, in one pass and flat memory."""

import hashlib
import sys
from collections.abc import Iterable
from types import MappingProxyType

from msgspec.structs import replace

from imagekit.build.catalogued import (
    MAX_LINK,
    Budget,
    Notes,
    foreign_database,
    kept_bytes,
    rule_for,
    shown,
)
from imagekit.build.image import Origin
from imagekit.needs.elf import HEAD, MAGIC, ElfNotes, elf_notes
from imagekit.oci.layer_stream import MAX_UNPACKED, Stream
from imagekit.oci.tar import EntryKind, TarEntry, entries, normal_path
from imagekit.sbom.contents import LayerFiles, RegularFile

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_PIECE = 1 << 20


def read_layer(
    pieces: Iterable[bytes],
    *,
    layer: str,
    origin: Origin | None = None,
    list_files: bool = False,
    limit: int = MAX_UNPACKED,
    budget: Budget | None = None,
) -> LayerFiles:
    """Read a layer as it lies in a registry or layout (OCI image-spec, layer.md).

    Args:
        pieces: the tar archive, plain or compressed with gzip.
        layer: the layer's diffID.
        origin: which part of a recipe it came from, where that is known.
        list_files: also list all regular files, programs with their digests.
        limit: most bytes that the layer may unpack to.
        budget: what is still read of the image's layers; that of one layer by default.

    Raises:
        DocumentError: it is no valid layer (code ``BAD_LAYER``), or
            compressed in a way that cannot be read (``UNSUPPORTED_LAYER``).
    """
    where = f"layer {layer[:19]}"
    budget = budget or Budget()
    stream = Stream(pieces, where=where, limit=min(limit, budget.unpacked))
    reader = _Reader(stream, list_files=list_files, budget=budget)
    for entry in entries(stream):
        if not budget.entries.take():
            break
        reader.take(entry)
    stream.drain()
    budget.unpacked -= min(limit, budget.unpacked) - stream.left
    return reader.result(layer=layer, origin=origin)


class _Reader:
    """Collects what matters of one archive; a later entry replaces an earlier one."""

    def __init__(self, stream: Stream, *, list_files: bool, budget: Budget) -> None:
        self._stream = stream
        self._list_files = list_files
        self._budget = budget
        self._notes = Notes()
        self._documents: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._removed: set[str] = set()
        self._emptied: set[str] = set()
        self._files: dict[str, RegularFile] = {}
        self._elf: dict[str, ElfNotes] = {}

    def take(self, entry: TarEntry) -> None:
        path = entry.path
        if not self._budget.looked_at(path):
            self._stream.skip(entry.size)
            return
        if WHITEOUT in path and self._whiteout(path):
            self._stream.skip(entry.size)
            return
        self._forget(path)
        match entry.kind:
            case EntryKind.FILE:
                self._file(entry)
            case EntryKind.SYMLINK:
                self._symlink(path, entry.target)
            case EntryKind.HARDLINK:
                self._hard_link(path, normal_path(entry.target, self._stream))
            case EntryKind.SPARSE:
                self._sparse(entry)
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
            elf=MappingProxyType(self._elf),
            notes=(*self._notes.all(), *self._budget.notes()),
        )

    def _whiteout(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        if not name.startswith(WHITEOUT):
            return False
        if not self._budget.path(path):
            return True
        if name == OPAQUE:
            self._emptied.add(folder)
        else:
            gone = name.removeprefix(WHITEOUT)
            self._removed.add(f"{folder}/{gone}" if folder else gone)
        return True

    def _symlink(self, path: str, target: str) -> None:
        if len(target) > MAX_LINK:
            self._hide(path)
            self._notes.add(f"{shown(path)} was not read: a link to {len(target)} characters")
        elif self._budget.links.take() and self._budget.path(path, len(target)):
            self._links[path] = target

    def _sparse(self, entry: TarEntry) -> None:
        self._stream.skip(entry.size)
        if self._list_files:
            # Its digest would be that of the holes too; it hides what lower layers have there.
            self._hide(entry.path)
        if self._list_files and entry.executable:
            self._notes.add(f"{shown(entry.path)} was not read: a sparse file")
        else:
            self._unreadable(entry.path, "a sparse file")

    def _forget(self, path: str) -> None:
        self._documents.pop(path, None)
        self._links.pop(path, None)
        self._files.pop(path, None)
        self._elf.pop(path, None)

    def _file(self, entry: TarEntry) -> None:
        rule = rule_for(entry.path)
        if rule is None:
            self._other(entry)
            return
        kept = kept_bytes(entry.size, rule)
        if kept is None:
            self._unreadable(entry.path, f"{entry.size} bytes long")
        elif not self._budget.document(entry.path, kept):
            self._hide(entry.path)
        else:
            if kept < entry.size:
                self._notes.add(f"only the first {kept} bytes of {shown(entry.path)} were read")
            raw = self._stream.exactly(kept) if kept else b""
            self._note_elf(entry.path, raw[:HEAD])
            self._documents[entry.path] = rule.whole(raw) if kept < entry.size else raw
            if self._list_files and raw.startswith(MAGIC) and self._budget.path(entry.path):
                # A program is one under any name.
                self._files[entry.path] = self._digested(entry, raw, elf=True)
            else:
                self._stream.skip(entry.size - kept)
            return
        self._stream.skip(entry.size)

    def _other(self, entry: TarEntry) -> None:
        """Take a file that is no document: a program, or a sign of another package manager."""
        self._mark(entry.path)
        head = self._head(entry)
        if self._list_files and self._budget.path(entry.path):
            self._files[sys.intern(entry.path)] = self._listed(entry, head)
        else:
            self._stream.skip(entry.size - len(head))

    def _head(self, entry: TarEntry) -> bytes:
        """Return the first bytes of a file: those with the notes of an ELF file."""
        first = self._stream.exactly(min(entry.size, len(MAGIC))) if entry.size else b""
        if first != MAGIC:
            return first
        head = first + self._stream.exactly(min(entry.size, HEAD) - len(first))
        self._note_elf(entry.path, head)
        return head

    def _note_elf(self, path: str, head: bytes) -> None:
        if head.startswith(MAGIC) and self._budget.path(path):
            self._elf[sys.intern(path)] = elf_notes(head)

    def _mark(self, path: str) -> None:
        if foreign_database(path) and self._budget.marks.take() and self._budget.path(path):
            self._documents[path] = b""

    def _listed(self, entry: TarEntry, head: bytes) -> RegularFile:
        elf = head.startswith(MAGIC)
        if elf or entry.executable:
            return self._digested(entry, head, elf=elf)
        self._stream.skip(entry.size - len(head))
        return RegularFile(path=entry.path, size=entry.size)

    def _digested(self, entry: TarEntry, first: bytes, *, elf: bool) -> RegularFile:
        hasher = hashlib.sha256(first)
        left = entry.size - len(first)
        while left:
            piece = self._stream.some(min(left, _PIECE))
            hasher.update(piece)
            left -= len(piece)
        return RegularFile(
            path=entry.path,
            size=entry.size,
            sha256=hasher.hexdigest(),
            executable=entry.executable,
            elf=elf,
        )

    def _hard_link(self, path: str, target: str) -> None:
        file = self._files.get(target)
        document = self._documents.get(target)
        if rule_for(path) is None:
            self._mark(path)
            if file is not None and self._budget.path(path):
                self._files[path] = replace(file, path=path)
            if target in self._elf and self._budget.path(path):
                self._elf[path] = self._elf[target]
        elif document is None or rule_for(target) is None:
            self._unreadable(path, f"a hard link to {shown(target)}")
        elif self._budget.document(path, len(document)):
            self._documents[path] = document
        else:
            self._hide(path)

    def _unreadable(self, path: str, why: str) -> None:
        if rule_for(path) is not None:
            self._hide(path)
            self._notes.add(f"{shown(path)} was not read: {why}")
        else:
            self._mark(path)

    def _hide(self, path: str) -> None:
        # It hides what lower layers have there, so that nothing stale is listed.
        if self._budget.path(path):
            self._removed.add(path)

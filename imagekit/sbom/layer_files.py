"""From the bytes of a layer to what cataloguing needs of it, in one pass and flat memory."""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from types import MappingProxyType
from typing import BinaryIO, cast

from msgspec.structs import replace

from imagekit.build.catalogued import (
    MAX_LINK,
    Budget,
    Notes,
    shown,
)
from imagekit.build.image import Origin
from imagekit.needs.elf import HEAD, MAGIC, ElfNotes, elf_notes
from imagekit.oci.layer_stream import MAX_UNPACKED, Stream
from imagekit.oci.tar import EntryKind, TarEntry, entries, normal_path
from imagekit.sbom.cataloguers.all_cataloguers import SECTIONS, rule_for
from imagekit.sbom.cataloguers.catalogue_rule import CatalogueRule
from imagekit.sbom.contents import LayerFiles, RegularFile
from imagekit.sbom.elf_sections import MAX_ELF, sections

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_PIECE = 1 << 20
_IN_MEMORY = 16 << 20
"""Of a file that is read at any place; a larger one lies in a file without a name meanwhile."""


def read_layer(
    pieces: Iterable[bytes],
    *,
    layer: str,
    origin: Origin | None = None,
    digest_programs: bool = False,
    limit: int = MAX_UNPACKED,
    budget: Budget | None = None,
) -> LayerFiles:
    """Read a layer as it lies in a registry or layout (OCI image-spec, layer.md).

    Args:
        pieces: the tar archive, plain or compressed with gzip.
        layer: the layer's diffID.
        origin: which part of a recipe it came from, where that is known.
        digest_programs: also compute the digests of programs.
        limit: most bytes that the layer may unpack to.
        budget: what is still read of the image's layers; that of one layer by default.

    Raises:
        DocumentError: it is no valid layer (code ``BAD_LAYER``), or
            compressed in a way that cannot be read (``UNSUPPORTED_LAYER``).
    """
    where = f"layer {layer[:19]}"
    budget = budget or Budget()
    stream = Stream(pieces, where=where, limit=min(limit, budget.unpacked))
    reader = _Reader(stream, digest_programs=digest_programs, budget=budget)
    for entry in entries(stream):
        if not budget.entries.take():
            break
        reader.take(entry)
    stream.drain()
    budget.unpacked -= min(limit, budget.unpacked) - stream.left
    return reader.result(layer=layer, origin=origin)


class _Reader:
    """Collects what matters of one archive; a later entry replaces an earlier one."""

    def __init__(self, stream: Stream, *, digest_programs: bool, budget: Budget) -> None:
        self._stream = stream
        self._digest_programs = digest_programs
        self._budget = budget
        self._notes = Notes()
        self._documents: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._removed: set[str] = set()
        self._emptied: set[str] = set()
        self._files: dict[str, RegularFile] = {}
        self._elf: dict[str, ElfNotes] = {}
        self._sections: dict[str, Mapping[str, bytes]] = {}

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
            sections=MappingProxyType(self._sections),
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
        # Its digest would be that of the holes too; it hides what lower layers have there.
        self._unreadable(entry.path, "a sparse file", noted=entry.executable)

    def _forget(self, path: str) -> None:
        self._documents.pop(path, None)
        self._links.pop(path, None)
        self._files.pop(path, None)
        self._elf.pop(path, None)
        self._sections.pop(path, None)

    def _file(self, entry: TarEntry) -> None:
        rule = rule_for(entry.path)
        kept = rule.kept(entry.size) if rule else 0
        first = b""
        if rule is None:
            pass
        elif kept is None:
            self._unreadable(entry.path, f"{entry.size} bytes long")
        elif rule.extract is not None:
            self._extracted(entry, rule.extract)
            return
        elif not self._budget.document(entry.path, kept):
            self._hide(entry.path)
        else:
            first = self._document(entry, rule, kept)
        self._listed(entry, first)

    def _document(self, entry: TarEntry, rule: CatalogueRule, kept: int) -> bytes:
        """Keep the first bytes of a file, and return them."""
        if kept < entry.size:
            self._notes.add(f"only the first {kept} bytes of {shown(entry.path)} were read")
        raw = self._stream.exactly(kept) if kept else b""
        self._documents[entry.path] = rule.whole(raw) if kept < entry.size else raw
        return raw

    def _listed(self, entry: TarEntry, first: bytes) -> None:
        """List a file of which the first bytes were read; a program is one under any name."""
        path, left = sys.intern(entry.path), entry.size - len(first)
        if len(first) < len(MAGIC):
            first += self._stream.exactly(min(left, len(MAGIC) - len(first))) if left else b""
        elf = first.startswith(MAGIC)
        if not self._budget.path(path):
            self._stream.skip(entry.size - len(first))
            return
        if elf and len(first) < HEAD:
            first += self._stream.exactly(min(entry.size, HEAD) - len(first))
        sha256 = ""
        if elf:
            self._elf[path] = elf_notes(first[:HEAD])
        if elf and self._is_looked_into(entry):
            sha256 = self._look_into(entry, first)
        elif self._digest_programs and (elf or entry.executable):
            sha256 = self._digested(entry, first)
        else:
            self._stream.skip(entry.size - len(first))
        self._files[path] = RegularFile(
            path=path, size=entry.size, sha256=sha256, executable=entry.executable, elf=elf
        )

    def _is_looked_into(self, entry: TarEntry) -> bool:
        small = bool(SECTIONS) and entry.size <= MAX_ELF
        return small and self._budget.looked_into.take(entry.size)

    def _look_into(self, entry: TarEntry, head: bytes) -> str:
        """Keep what an ELF file states of packages; return its digest where that is asked for."""
        with self._copied(entry, head) as (file, sha256):
            found = sections(file, entry.size, SECTIONS)
        if found and self._budget.document(entry.path, sum(map(len, found.values()))):
            self._sections[entry.path] = found
        return sha256

    def _extracted(self, entry: TarEntry, extract: Callable[[BinaryIO, int], bytes]) -> None:
        """Keep what is made of a file that is read at any place."""
        if not self._budget.looked_into.take(entry.size):
            self._hide(entry.path)
            self._stream.skip(entry.size)
            return
        with self._copied(entry, b"") as (file, sha256):
            made = extract(file, entry.size)
        if self._budget.document(entry.path, len(made)):
            self._documents[entry.path] = made
        if self._budget.path(entry.path):
            self._files[entry.path] = RegularFile(
                path=entry.path, size=entry.size, sha256=sha256, executable=entry.executable
            )

    @contextmanager
    def _copied(self, entry: TarEntry, first: bytes) -> Iterator[tuple[BinaryIO, str]]:
        """Yield a file that is read at any place, and its digest where that is asked for."""
        hasher = hashlib.sha256() if self._digest_programs else None
        with SpooledTemporaryFile(_IN_MEMORY) as copy:
            for piece in self._pieces(entry, first):
                copy.write(piece)
                if hasher:
                    hasher.update(piece)
            copy.seek(0)
            yield cast("BinaryIO", copy), hasher.hexdigest() if hasher else ""

    def _digested(self, entry: TarEntry, first: bytes) -> str:
        hasher = hashlib.sha256()
        for piece in self._pieces(entry, first):
            hasher.update(piece)
        return hasher.hexdigest()

    def _pieces(self, entry: TarEntry, first: bytes) -> Iterator[bytes | memoryview]:
        """Yield the content of a file, of which the first bytes were read."""
        yield first
        left = entry.size - len(first)
        while left:
            piece = self._stream.some(min(left, _PIECE))
            left -= len(piece)
            yield piece

    def _hard_link(self, path: str, target: str) -> None:
        rule, document = rule_for(path), self._documents.get(target)
        file = self._files.get(target)
        if file is not None and self._budget.path(path):
            self._files[path] = replace(file, path=path)
        if target in self._elf and self._budget.path(path):
            self._elf[path] = self._elf[target]
            self._sections[path] = self._sections.get(target, {})
        if rule is None:
            return
        if document is None or _made_by(rule_for(target)) != _made_by(rule):
            self._unreadable(path, f"a hard link to {shown(target)}")
        elif self._budget.document(path, len(document)):
            self._documents[path] = document
        else:
            self._hide(path)

    def _unreadable(self, path: str, why: str, *, noted: bool = False) -> None:
        self._hide(path)
        if noted or rule_for(path) is not None:
            self._notes.add(f"{shown(path)} was not read: {why}")

    def _hide(self, path: str) -> None:
        # It hides what lower layers have there, so that nothing stale is listed.
        if self._budget.path(path):
            self._removed.add(path)


def _made_by(rule: CatalogueRule | None) -> object:
    """Return what makes the document of a file, to tell whether two rules make the same."""
    return rule and (rule.extract or b"")

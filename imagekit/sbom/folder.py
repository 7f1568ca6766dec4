"""A folder as an image's root: read without ever leaving it, and regular files only.

The folder may be hostile: device nodes that block, FIFOs, links that loop or lead to /etc of the
host, files that are swapped while they are looked at. So every step is relative to an open
folder and follows no link, and what was opened is looked at again before a byte is read.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Self

from msgspec import Struct
from msgspec.structs import replace

from imagekit import rooted
from imagekit.build.catalogued import (
    MAX_DEPTH,
    MAX_LINK,
    Budget,
    Notes,
    shown,
)
from imagekit.errors import InputError
from imagekit.needs.elf import HEAD, MAGIC, ElfNotes, elf_notes
from imagekit.sbom.cataloguers.all_cataloguers import SECTIONS, rule_for
from imagekit.sbom.cataloguers.catalogue_rule import CatalogueRule
from imagekit.sbom.contents import LayerFiles, RegularFile
from imagekit.sbom.elf_sections import MAX_ELF, sections

_PIECE = 1 << 20


class _Place(Struct, frozen=True):
    """An entry of an open folder."""

    folder: int
    name: str
    path: str


def read_folder(root: Path) -> LayerFiles:
    """Read a folder as one layer; its regular files are listed by name only.

    Raises:
        InputError: it is no folder, or cannot be read.
    """
    return _Walk(root).run()


def read_programs(root: Path, files: LayerFiles, *, owned: Callable[[str], bool]) -> LayerFiles:
    """Return the folder with the digests of all programs that no package owns.

    Args:
        root: the folder.
        files: what ``read_folder`` made of it.
        owned: returns whether a package owns the file at a path.

    Raises:
        InputError: the folder cannot be read any more.
    """
    budget = Budget()
    with _Way(_open_root(root)) as way:
        examined = {
            path: file if owned(path) else _examined(way, file, budget)
            for path, file in files.files.items()
        }
    notes = (*files.notes, *budget.notes())
    return replace(files, files=MappingProxyType(examined), notes=notes)


class _Walk:
    """One walk over a folder, depth first, in the order of names."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._budget = Budget()
        self._notes = Notes()
        self._documents: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._files: dict[str, RegularFile] = {}
        self._elf: dict[str, ElfNotes] = {}
        self._sections: dict[str, Mapping[str, bytes]] = {}
        self._device = 0

    def run(self) -> LayerFiles:
        handle = _open_root(self._root)
        try:
            self._device = os.fstat(handle).st_dev
            self._folder(handle, "", 0)
        finally:
            os.close(handle)
        return LayerFiles(
            documents=MappingProxyType(self._documents),
            links=MappingProxyType(self._links),
            files=MappingProxyType(self._files),
            elf=MappingProxyType(self._elf),
            sections=MappingProxyType(self._sections),
            notes=(*self._notes.all(), *self._budget.notes()),
        )

    def _folder(self, handle: int, path: str, depth: int) -> None:
        for entry in self._entries(handle):
            place = _Place(handle, entry.name, f"{path}/{entry.name}" if path else entry.name)
            if entry.is_symlink():
                self._link(place)
            elif entry.is_dir(follow_symlinks=False):
                self._descend(place, depth)
            elif entry.is_file(follow_symlinks=False):
                self._file(place, entry)
            elif rule_for(place.path) is not None:
                self._notes.add(f"{shown(place.path)} was not read: no regular file")

    def _entries(self, handle: int) -> list["os.DirEntry[str]"]:
        """Return the entries in the order of names, as many as are still looked at."""
        with os.scandir(handle) as scan:
            entries = takewhile(lambda _: self._budget.entries.take(), scan)
            return sorted(entries, key=lambda entry: entry.name)

    def _descend(self, place: _Place, depth: int) -> None:
        if depth >= MAX_DEPTH:
            self._budget.deep.take()
            return
        try:
            handle = os.open(place.name, rooted.FOLDER, dir_fd=place.folder)
        except OSError as error:
            self._notes.add(f"{shown(place.path)} was not read: {error.strerror}")
            return
        try:
            if os.fstat(handle).st_dev == self._device:
                self._folder(handle, place.path, depth + 1)
            else:
                self._notes.add(f"{shown(place.path)} was not read: another file system")
        finally:
            os.close(handle)

    def _link(self, place: _Place) -> None:
        try:
            target = os.readlink(place.name, dir_fd=place.folder)
        except OSError as error:
            self._notes.add(f"{shown(place.path)} was not read: {error.strerror}")
            return
        if len(target) > MAX_LINK:
            self._notes.add(f"{shown(place.path)} was not read: {len(target)} characters")
        elif self._budget.links.take() and self._budget.path(place.path, len(target)):
            self._links[place.path] = target

    def _file(self, place: _Place, entry: "os.DirEntry[str]") -> None:
        path = place.path
        rule = rule_for(path)
        try:
            executable = bool(entry.stat(follow_symlinks=False).st_mode & stat.S_IXUSR)
            if self._budget.path(path):
                self._files[path] = RegularFile(path=path, size=0, executable=executable)
            # Every file may be a program; none is opened that is not called or marked as one.
            if rule is not None or executable or ".so" in entry.name:
                with _regular(place) as handle:
                    if rule is not None:
                        self._document(handle, path, rule)
                    self._program(handle, path)
        except OSError as error:
            if rule is not None:
                self._notes.add(f"{shown(path)} was not read: {error.strerror}")

    def _document(self, handle: "_Regular", path: str, rule: CatalogueRule) -> None:
        size = handle.status.st_size
        kept = rule.kept(size)
        if kept is None:
            self._notes.add(f"{shown(path)} was not read: {size} bytes long")
        elif rule.extract is not None:
            if self._budget.looked_into.take(size):
                made = rule.extract(handle.file(), size)
                if self._budget.document(path, len(made)):
                    self._documents[path] = made
        elif self._budget.document(path, kept):
            if kept < size:
                self._notes.add(f"only the first {kept} bytes of {shown(path)} were read")
            raw = b"".join(handle.pieces(kept))
            self._documents[path] = rule.whole(raw) if kept < size else raw

    def _program(self, handle: "_Regular", path: str) -> None:
        """Take what an ELF file says of itself; a program is one under any name."""
        size = handle.status.st_size
        head = os.pread(handle.handle, HEAD, 0)
        if not head.startswith(MAGIC) or not self._budget.path(path):
            return
        self._elf[path] = elf_notes(head)
        if SECTIONS and size <= MAX_ELF:
            found = sections(handle.file(), size, SECTIONS)
            if found and self._budget.document(path, sum(map(len, found.values()))):
                self._sections[path] = found


class _Regular:
    """An open regular file; anything else is refused before a byte is read."""

    def __init__(self, handle: int, status: os.stat_result) -> None:
        self.handle = handle
        self.status = status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)

    def file(self) -> BinaryIO:
        """Return it as a file that is read at any place, from its beginning; closed with this."""
        os.lseek(self.handle, 0, os.SEEK_SET)
        return os.fdopen(self.handle, "rb", closefd=False)

    def pieces(self, most: int) -> Iterator[bytes]:
        """Yield at most so many bytes."""
        while most and (piece := os.read(self.handle, min(most, _PIECE))):
            most -= len(piece)
            yield piece


def _regular(place: _Place) -> _Regular:
    """Open a regular file.

    Raises:
        OSError: it cannot be opened, or is none (any more).
    """
    handle = os.open(place.name, rooted.FILE, dir_fd=place.folder)
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode):
        return _Regular(handle, status)
    os.close(handle)
    raise OSError(0, "no regular file")


class _Way:
    """The folders above the file that was looked at last, open.

    In the order of the walk each folder is opened once: a million names in a folder that lies
    250 levels deep would be 250 million steps if each were walked to from the root.
    """

    def __init__(self, root: int) -> None:
        self._names: list[str] = []
        self._handles = [root]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            os.close(handle)

    def to(self, path: str) -> _Place:
        """Go to the folder that holds the path.

        Raises:
            OSError: a folder is gone, or became something else.
        """
        *folders, name = path.split("/")
        while self._names != folders[: len(self._names)]:
            self._back()
        for folder in folders[len(self._names) :]:
            self._handles.append(os.open(folder, rooted.FOLDER, dir_fd=self._handles[-1]))
            self._names.append(folder)
        return _Place(self._handles[-1], name, path)

    def _back(self) -> None:
        self._names.pop()
        os.close(self._handles.pop())


def _examined(way: _Way, file: RegularFile, budget: Budget) -> RegularFile:
    """Return the file with its digest, where it is a program."""
    try:
        with _regular(way.to(file.path)) as handle:
            return _digested(handle, file, budget)
    except OSError:
        # Gone or changed since the walk: there is nothing left to list.
        return RegularFile(path=file.path, size=0)


def _digested(handle: _Regular, file: RegularFile, budget: Budget) -> RegularFile:
    elf = os.pread(handle.handle, len(MAGIC), 0) == MAGIC
    sha256 = ""
    # A sparse file can have any size: it is counted before it is read.
    if (elf or file.executable) and budget.digested.take(handle.status.st_size):
        hasher = hashlib.sha256()
        for piece in handle.pieces(handle.status.st_size):
            hasher.update(piece)
        sha256 = hasher.hexdigest()
    return RegularFile(
        path=file.path,
        size=handle.status.st_size,
        sha256=sha256,
        executable=file.executable,
        elf=elf,
    )


def _open_root(root: Path) -> int:
    try:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(
            f"the folder {root} cannot be read: {error.strerror}",
            hint="name a root file system, an OCI layout, or an image",
        ) from error

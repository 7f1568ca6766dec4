"""One tar file that holds an OCI layout (oci-archive), and what goes with it.

Nothing of an archive is ever written to a path that the archive names: its members are looked up by
name and read at their place. What must hold, before anything is read of it:

1. Only regular files and folders, each path once, all below the archive; no links, no devices.
2. Every member ends within the file, and nothing but zeros follows the end mark.
3. The number of members is bounded; their bytes are, by the size of the file itself.
"""

import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct

from imagekit.errors import DocumentError, InputError, NotFoundError, RegistryError
from imagekit.files import HINTS, OutputFile, output, storage_errors
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutReader
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.tar import BLOCK, EntryKind, TarEntry, entries
from imagekit.oci.types import Descriptor

BAD_ARCHIVE = "BAD_ARCHIVE"
# The table is held in memory. Nearly all members are blobs, of which one document lists 1000 at
# most: there is room for twenty such.
MAX_MEMBERS = 20_000

BLOBS = "blobs"
INDEX_FILE = "index.json"
LAYOUT_FILE = "oci-layout"
_PIECE = 1 << 20
_RECORD = 20 * BLOCK
"""Tar writers fill up to a multiple of this."""
# ``tar -b`` makes longer records than the usual ones, and zeros fill up the last of them.
_MAX_TAIL = 1 << 20


class MemberPlace(Struct, frozen=True, kw_only=True):
    """Where a member's bytes lie in the file."""

    offset: int
    size: int


class Archive(Struct, frozen=True, kw_only=True):
    """An open archive, its table of members checked: a store of a layout."""

    folder: Path
    """The file, by the name that a layout's folder has elsewhere."""
    handle: int
    members: Mapping[str, MemberPlace]
    links: Mapping[str, str] = MappingProxyType({})
    """Symbolic links and what they say; none where they are not accepted."""

    def open(self, digest: Digest) -> AbstractContextManager["MemberReader"]:
        """Open a blob."""
        return self._open(f"{BLOBS}/{digest.algorithm}/{digest.hex}")

    def index(self) -> bytes | None:
        """Return the bytes of index.json; None where there is none."""
        return self.read(INDEX_FILE, limit=64 << 20) if INDEX_FILE in self.members else None

    def read(self, path: str, *, limit: int) -> bytes:
        """Return a small member whole.

        Raises:
            NotFoundError: there is no such member.
            DocumentError: it is larger than ``limit``.
        """
        with self._open(path) as part:
            if self.members[path].size > limit:
                raise DocumentError(
                    f"{path} in {self.folder} has more than {limit} bytes", code=BAD_ARCHIVE
                )
            return b"".join(iter(lambda: part.read(_PIECE), b""))

    @property
    def registry(self) -> RegistryReader:
        """The archive as a registry."""
        return LayoutReader(self)

    @contextmanager
    def _open(self, path: str) -> Iterator["MemberReader"]:
        place = self.members.get(path)
        if place is None:
            raise NotFoundError(f"the archive {self.folder} has no {path}")
        yield MemberReader(self.handle, place)


class MemberReader:
    """The bytes of one member; several may be read at once."""

    def __init__(self, handle: int, place: MemberPlace) -> None:
        self._handle = handle
        self._at = place.offset
        self._end = place.offset + place.size

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""
        # By offset: readers of several members share the handle, and so its position.
        raw = os.pread(self._handle, min(size, self._end - self._at), self._at)
        self._at += len(raw)
        return raw


@contextmanager
def open_archive(path: Path, *, links: bool = False) -> Iterator[Archive]:
    """Open an archive and check the table of what is in it.

    Args:
        path: the file.
        links: whether symbolic links are kept, which older archives of Docker's have.

    Raises:
        DocumentError: it is none, damaged or made to mislead (code ``BAD_ARCHIVE``).
        RegistryError: it cannot be read.
    """
    with storage_errors(f"the archive {path}"):
        # Without O_NONBLOCK, opening a FIFO would wait for a writer before it can be refused.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        with storage_errors(f"the archive {path}"):
            # By the open handle: by its path the file could be exchanged between the check and the
            # reading.
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise RegistryError(f"{path} is not a regular file", hint="pipes are not read")
            members, found = _table(handle, path, links=links)
        yield Archive(
            folder=path,
            handle=handle,
            members=MappingProxyType(members),
            links=MappingProxyType(found),
        )
    finally:
        os.close(handle)


def _table(
    handle: int, path: Path, *, links: bool
) -> tuple[dict[str, MemberPlace], dict[str, str]]:
    source = _Headers(handle, path)
    members: dict[str, MemberPlace] = {}
    folders = set()
    linked: dict[str, str] = {}
    for entry in entries(source):
        if links and entry.kind is EntryKind.SYMLINK:
            linked[entry.path] = entry.target
            if len(linked) > MAX_MEMBERS:
                raise source.broken(f"it holds more than {MAX_MEMBERS} links")
            continue
        _check(entry, source)
        if entry.kind is EntryKind.FOLDER:
            folders.add(entry.path)
            continue
        # Of two members with one path, extraction keeps the last, and a reader that searches takes
        # the first.
        if entry.path in members:
            raise source.broken(f"it holds {entry.path[:80]!r} twice")
        members[entry.path] = MemberPlace(offset=source.position, size=entry.size)
        source.skip(entry.size)
        if len(members) + len(folders) > MAX_MEMBERS:
            raise source.broken(f"it holds more than {MAX_MEMBERS} files")
    source.end()
    # Which of both is left after extraction depends on the order of the members.
    if folders & set(members):
        raise source.broken("a path in it is a file and a folder")
    if linked.keys() & (folders | set(members)):
        raise source.broken("a path in it is a link and something else")
    return members, linked


def _check(entry: TarEntry, source: "_Headers") -> None:
    if entry.kind not in {EntryKind.FILE, EntryKind.FOLDER}:
        raise source.broken(
            f"{entry.path[:80]!r} is a {entry.kind.name.lower()}; only files belong into it"
        )
    if entry.kind is EntryKind.FILE and not entry.path:
        raise source.broken("a file in it has no name")
    # Paths stand in messages: control characters would reach the terminal.
    if not entry.path.isprintable():
        raise source.broken("a path in it cannot be printed")


class _Headers:
    """Walks over the headers of a tar file, past the contents."""

    def __init__(self, handle: int, path: Path) -> None:
        self._handle = handle
        self._path = path
        self._size = os.fstat(handle).st_size
        self.position = 0

    def exactly(self, size: int) -> bytes:
        raw = os.pread(self._handle, size, self.position)
        if len(raw) != size:
            raise self.broken("it is cut short")
        self.position += size
        return raw

    def skip(self, size: int) -> None:
        if self.position + size > self._size:
            raise self.broken("it is cut short")
        self.position += size

    def end(self) -> None:
        """Check that nothing but zeros follows the end mark."""
        # POSIX.1-2001 pax, "ustar Interchange Format": two zero blocks end an archive. ``entries``
        # has read the first one.
        left = self._size - self.position
        if left < BLOCK or left > _MAX_TAIL or any(self.exactly(left)):
            raise self.broken("its end is not that of an archive")

    def broken(self, what: str) -> DocumentError:
        return DocumentError(
            f"{self._path} is not an archive that can be accepted: {what}",
            hint="export the image again and copy the file whole; compare sha256sum at both ends",
            code=BAD_ARCHIVE,
        )


class MemberContent(Struct, frozen=True, kw_only=True):
    """A member to be written: its size is known before its bytes are read."""

    path: str
    size: int
    pieces: Callable[[], AbstractContextManager[Iterator[bytes]]]


def blob_path(blob: Descriptor) -> str:
    """Return where a blob lies in a layout."""
    return f"{BLOBS}/{blob.digest.algorithm}/{blob.digest.hex}"


def whole(path: str, raw: bytes) -> MemberContent:
    """Return a member that is in memory."""

    @contextmanager
    def pieces() -> Iterator[Iterator[bytes]]:
        yield iter((raw,))

    return MemberContent(path=path, size=len(raw), pieces=pieces)


def write_archive(
    path: Path, contents: Sequence[MemberContent], *, written: Callable[[int], None]
) -> bool:
    """Write an archive: the same contents in the same order give the same bytes.

    It appears whole under its name, or not at all, unless that is a device, a FIFO or ``-``.

    Args:
        path: the file; replaced where it is there, unless its bytes are the same.
        contents: the members.
        written: is called with the number of bytes that came to it.

    Returns:
        Whether the file is new or another one now.

    Raises:
        InputError: nothing can be written there.
        ToolError: the disk is full, or fails.
        IntegrityError: a member is not what it should be.
    """
    try:
        with output(path) as part:
            for content in contents:
                _write(part, content, written)
            part.write(bytes(_padding(part.size)))
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}",
            hint=HINTS.get(error.errno or 0, "name a file that you may write"),
        ) from error
    return part.changed


def _write(part: OutputFile, content: MemberContent, written: Callable[[int], None]) -> None:
    header = tarfile.TarInfo(content.path)
    # The defaults stay: owner 0 and time 0, so that the same contents give the same bytes.
    header.size, header.mode = content.size, 0o644
    # ustar's size has eleven octal digits, 8 GiB; GNU's format goes on in base-256.
    part.write(header.tobuf(format=tarfile.GNU_FORMAT, errors="strict"))
    began = part.size
    with content.pieces() as pieces:
        for piece in pieces:
            part.write(piece)
            written(len(piece))
    # The header is written by now, and standard output cannot be written again.
    if part.size - began != content.size:
        raise RegistryError(f"{content.path} changed its size while it was written")
    part.write(bytes(-content.size % BLOCK))


def _padding(size: int) -> int:
    """Return how many zeros end an archive of so many bytes: two blocks, and a full record."""
    zeros = -size % _RECORD
    return zeros if zeros >= 2 * BLOCK else zeros + _RECORD

"""The files of a folder of advisories: exports of OSV, zipped or not, and of Debian's tracker.

A folder may be what somebody downloaded: files, entries and bytes are counted, and an archive that
unpacks to more than a real one is refused whole. What is no JSON is passed over.
"""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from imagekit.errors import InputError
from imagekit.inputs import read_regular
from imagekit.scan.osv import MAX_ADVISORY

MAX_FILES = 500_000
"""Files of a folder, and entries of an archive: OSV's largest, of all ecosystems, has as many."""
MAX_FILE = 1 << 30
"""Bytes of an archive, and of a document that is not in one: Debian's tracker has 70 MB."""
MAX_UNPACKED = 16 << 30
"""Bytes of all documents of a folder."""
MAX_RATIO = 60
"""How many times an archive may unpack to its own size: OSV's are at 5 to 20, a bomb at 1,000."""
_MAX_DEPTH = 4
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_SUFFIXES = (".json", ".zip")
_FAULTS = (
    zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, KeyError, OverflowError,
)  # fmt: skip


class DatabaseDocument(Struct, frozen=True):
    """A document, and where it is from, for messages."""

    place: str
    raw: bytes
    is_entry: bool = False
    """Whether it is one of many of an archive."""


def database_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder and those below it, in one order; hidden ones are left out.

    Raises:
        InputError: it cannot be read, has no such file, or too many.
    """
    try:
        files = sorted(_below(folder, depth=0))
    except OSError as error:
        raise InputError(
            f"the advisories {folder} cannot be read: {error.strerror}", code="scan/database"
        ) from error
    if not files:
        raise InputError(
            f"there are no advisories in {folder}: no .zip and no .json",
            hint="put OSV's exports there (ECOSYSTEM/all.zip), or Debian's tracker as JSON",
            code="scan/database",
        )
    return tuple(files)


def folder_digest(folder: Path, files: tuple[Path, ...]) -> str:
    """Return a SHA-256 of the names and bytes of files, in hexadecimal.

    Raises:
        InputError: one cannot be read.
    """
    total = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").digest()
        except OSError as error:
            raise _unreadable(file, error.strerror or "") from error
        name = os.fsencode(file.relative_to(folder))
        total.update(len(name).to_bytes(4, "big") + name + digest)
    return total.hexdigest()


def documents(files: tuple[Path, ...]) -> Iterator[DatabaseDocument]:
    """Yield each document of files and of archives among them, one after the other.

    Raises:
        InputError: one cannot be read, or there is more than a database holds.
    """
    left = MAX_UNPACKED
    for file in files:
        found = _entries(file) if file.name.lower().endswith(".zip") else _whole(file)
        for document in found:
            left -= len(document.raw)
            if left < 0:
                raise _too_much(file, f"the folder unpacks to more than {MAX_UNPACKED} bytes")
            yield document


def _below(folder: Path, *, depth: int) -> Iterator[Path]:
    count = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            # A link to a folder could lead in a circle.
            if entry.is_dir(follow_symlinks=False) and depth < _MAX_DEPTH:
                found: Iterator[Path] = _below(Path(entry.path), depth=depth + 1)
            elif entry.name.lower().endswith(_SUFFIXES) and entry.is_file():
                found = iter((Path(entry.path),))
            else:
                continue
            for path in found:
                count += 1
                if count > MAX_FILES:
                    raise _too_much(folder, f"it has more than {MAX_FILES} files")
                yield path


def _whole(file: Path) -> Iterator[DatabaseDocument]:
    try:
        yield DatabaseDocument(str(file), read_regular(file, limit=MAX_FILE))
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from error


def _entries(file: Path) -> Iterator[DatabaseDocument]:
    try:
        size = file.stat().st_size
        if size > MAX_FILE:
            raise _too_much(file, f"it has more than {MAX_FILE} bytes")
        with zipfile.ZipFile(file) as archive:
            listed = archive.infolist()
            if len(listed) > MAX_FILES:
                raise _too_much(file, f"it has more than {MAX_FILES} entries")
            left = size * MAX_RATIO
            for entry in listed:
                if entry.filename.lower().endswith(".json"):
                    raw = _entry(archive, entry, min(left, MAX_ADVISORY))
                    left -= len(raw)
                    yield DatabaseDocument(f"{file}!/{entry.filename}", raw, is_entry=True)
    except _FAULTS as error:
        raise _unreadable(file, f"it is no good ZIP archive: {error}") from error
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from error


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    if entry.compress_type not in _METHODS or entry.flag_bits & 1:
        raise ValueError(f"{entry.filename[:80]!r} is encrypted, or compressed in an unusual way")
    # What the directory says is not believed.
    with archive.open(entry) as content:
        raw = content.read(limit + 1)
    if len(raw) > limit:
        raise ValueError(
            f"{entry.filename[:80]!r} has more than {MAX_ADVISORY} bytes, or the archive unpacks "
            f"to more than {MAX_RATIO} times its size"
        )
    return raw


def _unreadable(file: Path, why: str) -> InputError:
    return InputError(
        f"the advisories {file} cannot be read: {_plain(why)}",
        hint="download the file again",
        code="scan/database",
    )


def _too_much(place: Path, why: str) -> InputError:
    return InputError(
        f"the advisories {place} are not read: {why}",
        hint="leave in the folder only what the images need",
        code="scan/database",
    )


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:300]

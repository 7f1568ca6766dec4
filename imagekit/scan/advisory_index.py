"""Advisories by package: an index in SQLite, made once of a folder and kept beside its files.

What must hold:

1. The index is that of these very bytes: its name has their digest, and that of what reads them.
2. It is made in a file of its own and renamed, so that nobody reads half of one.
3. Memory does not grow with the number of advisories.
4. It is opened as a file that nobody changes: no lock, no journal, on NFS too.
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from imagekit.errors import DocumentError, InputError, ToolError
from imagekit.paths import xdg_folder
from imagekit.progress import Done, Progress, Started, silent
from imagekit.scan.advisory import Advisory, AdvisoryRecord
from imagekit.scan.database_files import (
    DatabaseDocument,
    database_files,
    documents,
    folder_digest,
)
from imagekit.scan.debian_tracker import parse_tracker
from imagekit.scan.ecosystems import advisory_name
from imagekit.scan.osv import parse_osv
from imagekit.scan.severity import Rating

_STAGE = "advisories"
_PREFIX, _SUFFIX = ".imagekit-advisories-", ".db"
# What decides what the index has.
_CODE = ("advisory.py", "advisory_index.py", "debian_tracker.py", "ecosystems.py", "osv.py")
_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE ecosystems (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE records (key TEXT PRIMARY KEY, number INTEGER, modified TEXT) WITHOUT ROWID;
CREATE TABLE packages (name TEXT, ecosystem INTEGER, record TEXT, number INTEGER, advisory BLOB);
CREATE TABLE ratings (id TEXT, ratings BLOB);
"""
_INDEXES = """
DELETE FROM packages WHERE number <> (SELECT number FROM records WHERE key = record);
CREATE INDEX by_name ON packages (name, ecosystem);
CREATE INDEX by_id ON ratings (id);
"""
_MAX_SHOWN_UNREAD = 3
_ADVISORY = msgspec.msgpack.Decoder(Advisory)
_RATINGS = msgspec.msgpack.Decoder(tuple[Rating, ...])


class DatabaseFacts(Struct, frozen=True, kw_only=True):
    """What an index says of itself."""

    digest: str
    """SHA-256 of the files that it was made of."""
    records: int
    newest: str
    """When the newest advisory was changed (RFC 3339); empty where none says it."""
    unread: int
    """Documents that are no advisories."""
    unread_places: tuple[str, ...] = ()
    """Some of them."""


class AdvisoryIndex:
    """An index that is open for reading, until it is closed.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = sqlite3.connect(
            f"file:{quote(os.fspath(path.absolute()))}?mode=ro&immutable=1",
            uri=True,
            check_same_thread=False,
        )
        self._connection.execute("PRAGMA trusted_schema = OFF")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @cached_property
    def facts(self) -> DatabaseFacts:
        """What it says of itself."""
        ((raw,),) = self._rows("SELECT value FROM facts WHERE name = 'facts'")
        return msgspec.json.decode(raw, type=DatabaseFacts)

    @cached_property
    def ecosystems(self) -> dict[str, int]:
        """The ecosystems that it knows anything of, with their numbers."""
        return dict(self._rows("SELECT name, id FROM ecosystems"))

    def advisories(self, name: str, ecosystems: Iterable[str]) -> Iterator[Advisory]:
        """Yield what is said of a package.

        Args:
            name: as ``advisory_name`` returns it.
            ecosystems: some of those that it knows.
        """
        for ecosystem in ecosystems:
            for (raw,) in self._rows(
                "SELECT advisory FROM packages WHERE name = ? AND ecosystem = ?",
                (name, self.ecosystems[ecosystem]),
            ):
                yield _ADVISORY.decode(raw)

    def ratings(self, ids: Iterable[str]) -> Iterator[Rating]:
        """Yield how bad a vulnerability is by any record of it."""
        for name in ids:
            for (raw,) in self._rows("SELECT ratings FROM ratings WHERE id = ?", (name,)):
                yield from _RATINGS.decode(raw)

    def _rows(self, question: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(question, values)
        except sqlite3.Error as error:
            raise ToolError(
                f"the index {self._path} cannot be read: {error}",
                hint="remove it; the next scan makes it anew",
                code="scan/index",
            ) from error


def open_index(folder: Path, *, progress: Progress = silent) -> AdvisoryIndex:
    """Return the index of a folder, which is made where there is none of these files.

    It lies in the folder, so that one admin makes it for all; where that cannot be written, in
    imagekit's folder below XDG_CACHE_HOME.

    Raises:
        InputError: the folder cannot be read, or is no database.
        ToolError: the index cannot be written anywhere.
    """
    files = database_files(folder)
    digest = folder_digest(folder, files)
    name = f"{_PREFIX}{_key(digest)}{_SUFFIX}"
    places = (folder, xdg_folder("XDG_CACHE_HOME", ".cache", os.environ) / "scan")
    for place in places:
        index = _opened(place / name)
        if index is not None:
            return index
    for place in places:
        with suppress(PermissionError, OSError):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(place, os.W_OK):
                return AdvisoryIndex(_made(place / name, files, digest=digest, progress=progress))
    raise ToolError(
        f"no index can be written, neither in {folder} nor in {places[1]}",
        hint="make room, or set XDG_CACHE_HOME to a folder of yours",
        code="scan/index",
    )


def _opened(path: Path) -> AdvisoryIndex | None:
    if not path.is_file():
        return None
    index = AdvisoryIndex(path)
    try:
        is_whole = index.facts.records >= 0 and index.ecosystems is not None
    except (ToolError, ValueError, msgspec.DecodeError):
        # Whatever is wrong with it, it is made again.
        is_whole = False
    if is_whole:
        return index
    index.close()
    return None


def _made(path: Path, files: tuple[Path, ...], *, digest: str, progress: Progress) -> Path:
    progress(Started(stage=_STAGE, detail=str(path.parent)))
    began = time.monotonic()
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        # nolock: nobody else knows this file, and some file systems have no locks.
        uri = f"file:{quote(os.fspath(part.absolute()))}?nolock=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            facts = _filled(connection, documents(files), digest)
        part.replace(path)
    except sqlite3.Error as error:
        raise ToolError(
            f"the index {path} cannot be written: {error}", hint="make room", code="scan/index"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    for old in path.parent.glob(f"{_PREFIX}*{_SUFFIX}"):
        if old != path:
            old.unlink(missing_ok=True)
    seconds = time.monotonic() - began
    progress(Done(stage=_STAGE, summary=f"{facts.records} advisories indexed", seconds=seconds))
    return path


def _filled(
    connection: sqlite3.Connection, found: Iterable[DatabaseDocument], digest: str
) -> DatabaseFacts:
    connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
    filling = _Filling(connection)
    for document in found:
        filling.take(document)
    if not filling.number:
        places = ", ".join(filling.unread_places)
        raise InputError(
            f"there is no advisory among the files, such as {places}",
            hint="put OSV's exports there (ECOSYSTEM/all.zip), or Debian's tracker as JSON",
            code="scan/database",
        )
    facts = DatabaseFacts(
        digest=digest,
        records=filling.number,
        newest=filling.newest,
        unread=filling.unread,
        unread_places=tuple(filling.unread_places),
    )
    connection.execute("INSERT INTO facts VALUES ('facts', ?)", (msgspec.json.encode(facts),))
    connection.executescript(_INDEXES)
    connection.commit()
    return facts


class _Filling:
    """Records on their way into an index."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ecosystems: dict[str, int] = {}
        self.number = 0
        self.newest = ""
        self.unread = 0
        self.unread_places: list[str] = []

    def take(self, document: DatabaseDocument) -> None:
        """Add the records of a document; what is none is counted."""
        try:
            for record in _records(document):
                self._add(record)
        except DocumentError:
            self.unread += 1
            if len(self.unread_places) < _MAX_SHOWN_UNREAD:
                self.unread_places.append(document.place)

    def _add(self, record: AdvisoryRecord) -> None:
        self.number += 1
        run = self._connection.execute
        known = run("SELECT modified FROM records WHERE key = ?", (record.key,)).fetchone()
        # OSV, "id, modified fields": the later one is authoritative.
        if known is not None and known[0] >= record.modified:
            return
        values = (record.key, self.number, record.modified)
        run("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", values)
        self.newest = max(self.newest, record.modified)
        self._connection.executemany(
            "INSERT INTO packages VALUES (?, ?, ?, ?, ?)",
            (
                (
                    advisory_name(ecosystem.partition(":")[0], name),
                    self._ecosystem(ecosystem),
                    record.key,
                    self.number,
                    msgspec.msgpack.encode(advisory),
                )
                for ecosystem, name, advisory in record.packages
            ),
        )
        if record.ratings:
            raw = msgspec.msgpack.encode(record.ratings)
            self._connection.executemany(
                "INSERT INTO ratings VALUES (?, ?)", ((name, raw) for name in record.ids)
            )

    def _ecosystem(self, name: str) -> int:
        if name not in self._ecosystems:
            self._ecosystems[name] = len(self._ecosystems)
            values = (self._ecosystems[name], name)
            self._connection.execute("INSERT INTO ecosystems VALUES (?, ?)", values)
        return self._ecosystems[name]


def _records(document: DatabaseDocument) -> Iterator[AdvisoryRecord]:
    try:
        yield parse_osv(document.raw)
    except DocumentError:
        if document.is_entry:
            raise
        yield from parse_tracker(document.raw)


def _key(digest: str) -> str:
    """Return what the name of an index has: another one of other files, and of other code."""
    code = resources.files("imagekit.scan")
    hasher = hashlib.sha256(digest.encode())
    for name in _CODE:
        hasher.update(code.joinpath(name).read_bytes())
    return hasher.hexdigest()[:32]

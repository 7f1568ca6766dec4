"""What a verifier has seen, in a small SQLite database: per user, or shared by a gate.

Releases of images, versions of policies and the time lie in one store, each under its name with the
highest sequence that was seen, and what it was. A write is one transaction that only ever raises:
several processes may verify at once, and a crash loses the last write at most.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.errors import InvalidReferenceError, RollbackStoreError, ToolError
from imagekit.oci.digest import Digest
from imagekit.paths import expanded
from imagekit.verify.ports import HighWaterMark, RollbackStore

if TYPE_CHECKING:
    import sqlite3

_SECONDS = 5.0
"""How long a write of another process is waited for."""
_VERSION = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS seen (
  name TEXT PRIMARY KEY,
  sequence INTEGER NOT NULL,
  digest TEXT NOT NULL
) WITHOUT ROWID
"""
# One statement, so that of two processes the higher sequence stays.
_RAISE = """
INSERT INTO seen (name, sequence, digest) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence, digest = excluded.digest
WHERE excluded.sequence > seen.sequence
"""


def default_path() -> Path:
    """Return where a user's memory lies: $XDG_STATE_HOME/imagekit/seen.db.

    Whoever has no home, not even in the system's list of users, has it below ``/``, which only
    root may write: it is never made in whatever folder happens to be the present one.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = (
            Path(state) if Path(state).is_absolute() else expanded("~/.local/state", os.environ)
        )
    except ToolError:
        folder = Path("/.local/state")
    return folder / "imagekit" / "seen.db"


def users_store() -> RollbackStore:
    """Return the store of this user; nothing is opened before it is asked."""
    return SqliteRollbackStore(default_path())


class NoRollbackStore:
    """Stands for a store where there is none: every look is a fault, for the policy to judge."""

    def highest(self, name: str) -> HighWaterMark | None:
        """Raise RollbackStoreError."""
        raise RollbackStoreError(f"this verifier has no memory, also none of {name}")

    def remember(self, name: str, seen: HighWaterMark) -> None:
        """Raise RollbackStoreError."""
        raise RollbackStoreError(f"this verifier has no memory for {name} ({seen.sequence})")


class ScratchRollbackStore:
    """An implementation of ``RollbackStore`` that ends with the process: for tests of policies.

    Args:
        seen: what it has seen to begin with.
    """

    def __init__(self, seen: Mapping[str, HighWaterMark] | None = None) -> None:
        self._seen = dict(seen or {})

    def highest(self, name: str) -> HighWaterMark | None:
        """Return the highest that was seen under a name, or None where it is new."""
        return self._seen.get(name)

    def remember(self, name: str, seen: HighWaterMark) -> None:
        """Keep what was seen, unless something as high is kept already."""
        known = self._seen.get(name)
        if known is None or seen.sequence > known.sequence:
            self._seen[name] = seen


class ReadOnlyRollbackStore:
    """Another store, of which nothing is changed: for a judgement that is not to be remembered."""

    def __init__(self, inner: RollbackStore) -> None:
        self._inner = inner

    def highest(self, name: str) -> HighWaterMark | None:
        """Return what the other store has seen."""
        return self._inner.highest(name)

    def remember(self, name: str, seen: HighWaterMark) -> None:
        """Do nothing."""


class SqliteRollbackStore:
    """An implementation of ``RollbackStore``; nothing is opened before it is asked.

    Args:
        path: the database; it and its folder are made when something is remembered.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Threads wait for each other here: SQLite lets whoever waits sleep, the longer the more of
        # them there are, and gives up after a while.
        self._turn = threading.Lock()

    def highest(self, name: str) -> HighWaterMark | None:
        """Return the highest that was seen under a name, or None where it is new.

        Raises:
            RollbackStoreError: the database is there and cannot be read, or could not be written.
        """
        with self._faults(), self._turn, self._open() as database:
            rows = database.execute("SELECT sequence, digest FROM seen WHERE name = ?", (name,))
            row = rows.fetchone()
        return None if row is None else self._seen(row)

    def remember(self, name: str, seen: HighWaterMark) -> None:
        """Keep what was seen, unless something as high is kept already.

        Raises:
            RollbackStoreError: it cannot be written.
        """
        with self._faults(), self._turn, self._open() as database:
            # Most looks at an image teach nothing new; a write would wait for the disk.
            if self._found(database, name, at_least=seen.sequence):
                return
            with database:
                database.execute(_RAISE, (name, seen.sequence, str(seen.digest)))

    @staticmethod
    def _found(database: "sqlite3.Connection", name: str, *, at_least: int) -> bool:
        words = "SELECT 1 FROM seen WHERE name = ? AND sequence >= ?"
        return database.execute(words, (name, at_least)).fetchone() is not None

    def _seen(self, row: tuple[object, ...]) -> HighWaterMark:
        sequence, digest = row
        try:
            if isinstance(sequence, int) and isinstance(digest, str):
                return HighWaterMark(sequence=sequence, digest=Digest.parse(digest))
        except InvalidReferenceError as error:
            raise self._broken(error.message) from error
        raise self._broken("a row of another kind")

    @contextlib.contextmanager
    def _open(self) -> "Iterator[sqlite3.Connection]":
        import sqlite3

        if self._path.exists() and not self._path.is_file():
            # SQLite would write its journal beside a device.
            raise self._broken("it is no plain file")
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = sqlite3.connect(self._path, timeout=_SECONDS)
        try:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version not in {0, _VERSION}:
                raise self._broken(f"it is of version {version}, which this imagekit does not know")
            if version == 0:
                self._prepare(database)
            yield database
        finally:
            database.close()

    def _prepare(self, database: "sqlite3.Connection") -> None:
        # What was remembered survives a crash of the machine, too.
        database.execute("PRAGMA synchronous = FULL")
        with database:
            database.execute(_TABLE)
            database.execute(f"PRAGMA user_version = {_VERSION}")

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        # Most policies ask for no freshness, and then nothing is remembered.
        import sqlite3

        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise self._broken(str(error)) from error

    def _broken(self, why: str) -> RollbackStoreError:
        return RollbackStoreError(
            f"{self._path} cannot be used: {why}",
            hint="it holds which releases were seen; name another file with --state",
            code="MEMORY",
        )

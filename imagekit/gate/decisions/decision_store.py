"""What was decided, on disk: SQLite with a write-ahead log.

A client that resumes asks for a blob without its manifest, so the closures of allowed manifests
have to survive a restart and kill -9. All of it can be made anew: a store that is lost costs
verifications and no more. Manifests are read back only with the digest that they are filed under.
"""

import os
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from imagekit.errors import ImagekitError, InputError, PolicyError
from imagekit.gate.decisions.decision import Decision, DecisionClosure, DecisionSubject
from imagekit.gate.folder_lock import hold
from imagekit.oci.digest import Digest
from imagekit.oci.location import LocatedReference, LocatedRepository
from imagekit.oci.reference import PinnedReference, TaggedReference
from imagekit.oci.types import RawManifest
from imagekit.policy.ruleset import Policy

_VERSION = 1
_SECONDS = 5.0
_MOST_ROOTS = 8
_TABLES = """
CREATE TABLE IF NOT EXISTS manifest (
  digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, raw BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decision (
  repository TEXT NOT NULL, digest TEXT NOT NULL, tag TEXT NOT NULL, pinned INTEGER NOT NULL,
  policy TEXT NOT NULL, policy_name TEXT NOT NULL,
  made REAL NOT NULL, fresh REAL NOT NULL, until REAL NOT NULL,
  PRIMARY KEY (repository, digest, tag)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS member (
  repository TEXT NOT NULL, digest TEXT NOT NULL, root TEXT NOT NULL, tag TEXT NOT NULL,
  size INTEGER,
  PRIMARY KEY (repository, digest, root, tag)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS member_of ON member (repository, root, tag);
CREATE TABLE IF NOT EXISTS accepted (
  name TEXT PRIMARY KEY, version INTEGER NOT NULL, digest TEXT NOT NULL
) WITHOUT ROWID;
"""


class DecisionStore:
    """The gate's own folder: decisions, and the lock that keeps a second gate out.

    Args:
        folder: made where it is not there yet.

    Raises:
        InputError: another gate uses it, or it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._held = hold(folder, option="--state")
            try:
                self._database = self._open()
            except BaseException:
                os.close(self._held)
                raise
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"the gate's folder {folder} cannot be used: {error}",
                hint="name another one with --state",
                code="gate/state",
            ) from error

    def close(self) -> None:
        """Let go of the folder."""
        with self._lock:
            self._database.close()
            os.close(self._held)

    def keep(self, subject: DecisionSubject, decision: Decision) -> None:
        """Keep an allowed image with its closure; a denied one takes its place away.

        Raises:
            OSError, sqlite3.Error: the disk is full or broken.
        """
        name, digest, tag = subject.place.key, str(subject.digest), subject.tag
        with self._lock, self._database:
            self._forget(name, digest, tag)
            if decision.allowed and decision.manifest is not None:
                self._insert(decision, decision.manifest, (name, digest, tag))

    def decision(self, subject: DecisionSubject) -> Decision | None:
        """Return the kept decision on an allowed image, or None."""
        key = (subject.place.key, str(subject.digest), subject.tag)
        with self._lock:
            row = self._database.execute(
                "SELECT pinned, policy, policy_name, made, fresh, until FROM decision "
                "WHERE repository = ? AND digest = ? AND tag = ?",
                key,
            ).fetchone()
            if row is None:
                return None
            members = self._database.execute(
                "SELECT digest, size FROM member WHERE repository = ? AND root = ? AND tag = ?",
                key,
            ).fetchall()
            try:
                return self._restored(subject, row, members)
            except (ImagekitError, ValueError, TypeError):
                # Whatever wrote that, it is no decision of ours.
                return None

    def latest(self, place: LocatedRepository, tag: str) -> DecisionSubject | None:
        """Return what a tag pointed to when it was allowed last."""
        with self._lock:
            row = self._database.execute(
                "SELECT digest FROM decision WHERE repository = ? AND tag = ? "
                "ORDER BY made DESC LIMIT 1",
                (place.key, tag),
            ).fetchone()
        return None if row is None else DecisionSubject(place, Digest.parse(row[0]), tag)

    def roots(self, place: LocatedRepository, digest: Digest) -> tuple[DecisionSubject, ...]:
        """Return the images that a blob or manifest is part of, those judged last first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT m.root, m.tag FROM member m JOIN decision d ON d.repository = m.repository "
                "AND d.digest = m.root AND d.tag = m.tag "
                "WHERE m.repository = ? AND m.digest = ? ORDER BY d.made DESC LIMIT ?",
                (place.key, str(digest), _MOST_ROOTS),
            ).fetchall()
        return tuple(DecisionSubject(place, Digest.parse(root), tag) for root, tag in rows)

    def repositories(self) -> tuple[str, ...]:
        """Return the keys of the repositories of which something was allowed."""
        with self._lock:
            rows = self._database.execute("SELECT DISTINCT repository FROM decision").fetchall()
        return tuple(name for (name,) in rows)

    def accept(self, policy: Policy) -> str:
        """Remember the version of a policy that is used from now on.

        Returns:
            A warning, or an empty text.

        Raises:
            PolicyError: a newer version was used here already (``POLICY_ROLLBACK``).
        """
        with self._lock, self._database:
            row = self._database.execute(
                "SELECT version, digest FROM accepted WHERE name = ?", (policy.name,)
            ).fetchone()
            if row is not None and row[0] > policy.version:
                raise PolicyError(
                    f"the policy {policy.name} is of version {policy.version}, and version "
                    f"{row[0]} was in force here already",
                    hint="to go back on purpose, publish the older text under a higher version",
                    code="POLICY_ROLLBACK",
                )
            self._database.execute(
                "INSERT INTO accepted VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
                "version = excluded.version, digest = excluded.digest",
                (policy.name, policy.version, str(policy.digest)),
            )
        if row is not None and row[0] == policy.version and row[1] != str(policy.digest):
            return (
                f"the policy {policy.name} changed and is still of version {policy.version}: "
                "raise metadata.version with every change"
            )
        return ""

    def prune(self, now: datetime, age: timedelta) -> None:
        """Forget decisions older than that, and what belongs to none."""
        with self._lock, self._database:
            oldest = (now - age).timestamp()
            self._database.execute("DELETE FROM decision WHERE made < ?", (oldest,))
            self._database.execute(
                "DELETE FROM member WHERE NOT EXISTS (SELECT 1 FROM decision d WHERE "
                "d.repository = member.repository AND d.digest = member.root "
                "AND d.tag = member.tag)"
            )
            self._database.execute(
                "DELETE FROM manifest WHERE NOT EXISTS (SELECT 1 FROM member "
                "WHERE member.digest = manifest.digest AND size IS NULL)"
            )

    def _open(self) -> sqlite3.Connection:
        # Threads take turns by a lock here, where SQLite would have one connection for each.
        database = sqlite3.connect(
            self.folder / "gate.db", timeout=_SECONDS, check_same_thread=False
        )
        try:
            _prepare(database)
        except BaseException:
            database.close()
            raise
        return database

    def _forget(self, name: str, digest: str, tag: str) -> None:
        key = (name, digest, tag)
        self._database.execute(
            "DELETE FROM decision WHERE repository = ? AND digest = ? AND tag = ?", key
        )
        self._database.execute(
            "DELETE FROM member WHERE repository = ? AND root = ? AND tag = ?", key
        )

    def _insert(self, decision: Decision, top: RawManifest, key: tuple[str, str, str]) -> None:
        name, digest, tag = key
        pinned = isinstance(decision.reference.reference, PinnedReference)
        times = [time.timestamp() for time in (decision.made, decision.fresh, decision.until)]
        self._database.execute(
            "INSERT INTO decision VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, pinned, decision.policy, decision.policy_name, *times),
        )
        manifests = {top.digest: top, **decision.closure.manifests}
        self._database.executemany(
            "INSERT OR IGNORE INTO manifest VALUES (?, ?, ?)",
            [
                (str(manifest.digest), manifest.media_type, manifest.raw)
                for manifest in manifests.values()
            ],
        )
        rows: list[tuple[str, int | None]] = [(str(member), None) for member in manifests]
        rows += [(str(member), size) for member, size in decision.closure.blobs.items()]
        self._database.executemany(
            "INSERT OR REPLACE INTO member VALUES (?, ?, ?, ?, ?)",
            [(name, member, digest, tag, size) for member, size in rows],
        )

    def _restored(
        self,
        subject: DecisionSubject,
        row: tuple[object, ...],
        members: list[tuple[str, int | None]],
    ) -> Decision | None:
        pinned, policy, policy_name, *times = row
        made, fresh, until = (datetime.fromtimestamp(float(str(t)), UTC) for t in times)
        manifests = {}
        for text in (digest for digest, size in members if size is None):
            manifest = self._manifest(Digest.parse(text))
            if manifest is None:
                return None
            manifests[manifest.digest] = manifest
        top = manifests.pop(subject.digest, None)
        if top is None:
            return None
        return Decision(
            reference=_reference(subject, pinned=bool(pinned)),
            digest=subject.digest,
            allowed=True,
            policy=str(policy),
            policy_name=str(policy_name),
            made=made,
            fresh=fresh,
            until=until,
            manifest=top,
            closure=DecisionClosure(
                manifests=manifests,
                blobs={Digest.parse(d): size for d, size in members if size is not None},
            ),
        )

    def _manifest(self, digest: Digest) -> RawManifest | None:
        row = self._database.execute(
            "SELECT media_type, raw FROM manifest WHERE digest = ?", (str(digest),)
        ).fetchone()
        if row is None:
            return None
        digest.check(row[1], what="a manifest in the gate's folder")
        return RawManifest(media_type=row[0], digest=digest, raw=row[1])


def _reference(subject: DecisionSubject, *, pinned: bool) -> LocatedReference:
    if pinned or not subject.tag:
        return subject.reference
    tagged = TaggedReference(subject.place.repository, subject.tag)
    return LocatedReference(subject.place.location, tagged)


def _prepare(database: sqlite3.Connection) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version not in {0, _VERSION}:
        raise sqlite3.DatabaseError(f"gate.db is of version {version}, which is not known")
    # With a log and NORMAL, a killed process loses nothing, and a crash of the machine the
    # last decisions at most.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(_TABLES)
    database.execute(f"PRAGMA user_version = {_VERSION}")

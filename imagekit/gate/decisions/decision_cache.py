"""Decisions in memory, those on disk behind them, and what is part of what."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol, TypeVar

from cachetools import LRUCache

from imagekit.gate.decisions.decision import Decision, DecisionSubject
from imagekit.gate.decisions.decision_store import DecisionStore
from imagekit.oci.digest import Digest
from imagekit.oci.location import LocatedRepository

T = TypeVar("T")
_log = logging.getLogger(__name__)
_KEPT_BYTES = 64 << 20
_KEPT_MEMBERS = 100_000
# Thousands of images may consist of one layer: the latest are the likeliest to be allowed now.
_MOST_ROOTS = 4
_OVERHEAD = 4096


class Shared(Protocol):
    """Decisions that other gates see, too; every method may be called in any thread."""

    def keep(self, subject: DecisionSubject, decision: Decision) -> None:
        """Share a decision."""
        ...

    def decision(self, subject: DecisionSubject) -> Decision | None:
        """Return a decision, or None."""
        ...

    def latest(self, place: LocatedRepository, tag: str) -> DecisionSubject | None:
        """Return what a tag pointed to when it was allowed last."""
        ...

    def roots(self, place: LocatedRepository, digest: Digest) -> tuple[DecisionSubject, ...]:
        """Return the images that something is part of."""
        ...


class DecisionCache:
    """Decisions; on one event loop, but for ``write``.

    Args:
        store: what is on disk.
        shared: what other gates decided, if they share it.
    """

    def __init__(self, store: DecisionStore, shared: Shared | None = None) -> None:
        self._store = store
        self._shared = shared
        self._disk = ThreadPoolExecutor(2, "gate-store")
        self._decisions: LRUCache[DecisionSubject, Decision] = LRUCache(_KEPT_BYTES, _weight)
        self._members: LRUCache[tuple[LocatedRepository, Digest], dict[DecisionSubject, None]] = (
            LRUCache(_KEPT_MEMBERS)
        )

    async def find(self, subject: DecisionSubject) -> Decision | None:
        """Return the decision on a subject, however old it is."""
        decision = self._decisions.get(subject)
        if decision is None:
            decision = await self._ask(lambda: self._newest(subject))
            if decision is not None:
                self.learn(decision)
        return decision

    async def latest(self, place: LocatedRepository, tag: str) -> Decision | None:
        """Return the decision on what a tag pointed to when it was allowed last."""
        subject = await self._ask(lambda: self._store.latest(place, tag))
        shared = self._shared
        if subject is None and shared is not None:
            subject = await self._ask(lambda: shared.latest(place, tag))
        return None if subject is None else await self.find(subject)

    async def roots(
        self, place: LocatedRepository, digest: Digest
    ) -> AsyncIterator[DecisionSubject]:
        """Yield the images that something is part of: those in memory, then those on disk."""
        members = tuple(self._members.get((place, digest)) or {})
        for root in reversed(members):
            yield root
        for root in await self._ask(lambda: self._store.roots(place, digest)) or ():
            if root not in members:
                yield root
        shared = self._shared
        if shared is not None:
            for root in await self._ask(lambda: shared.roots(place, digest)) or ():
                yield root

    def learn(self, decision: Decision) -> None:
        """Keep a decision in memory."""
        subject = decision.subject
        if subject is None:
            return
        # What is too large to be kept must not leave an older decision in its place.
        self._decisions.pop(subject, None)
        with suppress(ValueError):
            self._decisions[subject] = decision
        if not decision.allowed:
            return
        parts = (subject.digest, *decision.closure.manifests, *decision.closure.blobs)
        for digest in parts:
            key = (subject.place, digest)
            members = dict(self._members.get(key) or {})
            members.pop(subject, None)
            members[subject] = None
            while len(members) > _MOST_ROOTS:
                members.pop(next(iter(members)))
            self._members[key] = members

    def write(self, decision: Decision) -> None:
        """Keep a decision on disk, from any thread; where that fails it is said, and no more."""
        if decision.subject is None:
            return
        try:
            self._store.keep(decision.subject, decision)
        except (OSError, sqlite3.Error) as error:
            _log.error("decisions cannot be kept in %s: %s", self._store.folder, error)
        if self._shared is not None:
            self._shared.keep(decision.subject, decision)

    def close(self) -> None:
        """Let the threads end."""
        self._disk.shutdown(wait=True)

    def _newest(self, subject: DecisionSubject) -> Decision | None:
        """Return what is on disk, or what is shared where that is newer."""
        stored = self._store.decision(subject)
        shared = None if self._shared is None else self._shared.decision(subject)
        if stored is None or shared is None:
            return stored or shared
        return max(stored, shared, key=lambda decision: decision.made)

    async def _ask(self, ask: Callable[[], T]) -> T | None:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._disk, ask)
        except (OSError, sqlite3.Error) as error:
            _log.error("%s cannot be read: %s", self._store.folder, error)
            return None


def _weight(decision: Decision) -> int:
    manifests = [*decision.closure.manifests.values()]
    if decision.manifest is not None:
        manifests.append(decision.manifest)
    blobs = 200 * len(decision.closure.blobs)
    return _OVERHEAD + blobs + sum(len(manifest.raw) + 1024 for manifest in manifests)

"""A gate in a thread of the test: made in milliseconds, with the test's clock and policy."""

import asyncio
import io
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.gate.app import Gate
from imagekit.gate.audit import Audit
from imagekit.gate.auth.authenticate import Authenticator, Rights
from imagekit.gate.blobs.blob_cache import BlobCache
from imagekit.gate.blobs.blob_server import BlobServer
from imagekit.gate.clients import Clients, Network
from imagekit.gate.config import Address
from imagekit.gate.decisions.decide import ActivePolicy, VerifierDeps
from imagekit.gate.decisions.decision import fingerprint
from imagekit.gate.decisions.decision_cache import DecisionCache
from imagekit.gate.decisions.decision_store import DecisionStore
from imagekit.gate.decisions.service import DecisionService, Times
from imagekit.gate.limits import ListenerLimits
from imagekit.gate.listener import ListenerOptions, listen
from imagekit.gate.listing import Listings
from imagekit.gate.metrics import Metrics
from imagekit.gate.pace import Pace
from imagekit.gate.upstreams import Upstream, Upstreams
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.verify.rollback import SqliteRollbackStore
from tests.e2e.gate.kit import Reply, ask

OPEN = Rights(passwords={}, tokens={})


class Clock(Struct):
    """A clock that the test sets."""

    time: datetime

    def now(self) -> datetime:
        """Return the time."""
        return self.time


class Making(Struct, kw_only=True):
    """What a gate in a thread is made of."""

    folder: Path
    policy: OpenedPolicy
    upstreams: tuple[Upstream, ...]
    clock: Clock = field(default_factory=lambda: Clock(datetime.now(UTC)))
    times: Times = field(default_factory=Times)
    rights: Rights = OPEN
    listings: Listings = field(default_factory=Listings)
    cache_size: int = 64 << 20
    redirect: bool = False
    contact: str = "platform@site.example"
    limits: ListenerLimits = field(default_factory=ListenerLimits)
    proxies: tuple[Network, ...] = ()


class LocalGate:
    """A gate that serves from a thread of its own."""

    def __init__(self, making: Making) -> None:
        self.making = making
        self.policy = making.policy
        self.said = io.StringIO()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._fault: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(20)
        if self._fault is not None:
            raise self._fault
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    @property
    def audit(self) -> list[dict[str, Any]]:
        """What was decided."""
        return [json.loads(line) for line in self.said.getvalue().splitlines()]

    def get(
        self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Ask it something."""
        return ask(self.port, path, method=method, headers=headers)

    def on_loop(self, work: Callable[[], object]) -> None:
        """Do something on the gate's own loop."""
        done = threading.Event()

        def act() -> None:
            work()
            done.set()

        self._loop.call_soon_threadsafe(act)
        assert done.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 - the test's own thread shows it
            self._fault = error
            self._ready.set()
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        store = DecisionStore(self.making.folder / "state")
        gate = self._assemble(store)
        self.gate = gate
        options = ListenerOptions(
            limits=self.making.limits,
            clients=gate.clients,
            pace=gate.pace,
            malformed=gate.audit.malformed,
            ended=lambda why: gate.metrics.count("connection", why),
        )
        async with AsyncExitStack() as stack:
            address = await listen(
                stack, gate.handle, Address(host="127.0.0.1", port=0), options=options
            )
            self.port = address.port
            self.host = f"127.0.0.1:{self.port}"
            self._ready.set()
            await self._stop.wait()
        await gate.blob_server.close()
        gate.access.close()
        gate.decisions.close()
        store.close()
        await self._loop.shutdown_default_executor()

    def _assemble(self, store: DecisionStore) -> Gate:
        making, metrics = self.making, Metrics()
        audit = Audit(self.said, metrics)
        decisions = DecisionService(
            decision_cache=DecisionCache(store),
            deps=VerifierDeps(
                memory=SqliteRollbackStore(making.folder / "seen.db"),
                certificates=SigstoreVerifier(),
            ),
            times=replace(making.times, waiting=making.limits.waiting_per_client),
            active=lambda: ActivePolicy(policy=self.policy, fingerprint=fingerprint(self.policy)),
            heard=audit.decided,
            took=metrics.took,
            attachments=making.listings.with_referrers,
            now=making.clock.now,
        )
        size = making.cache_size
        cache = BlobCache(making.folder / "cache", size) if size else None
        return Gate(
            upstreams=Upstreams.of(making.upstreams),
            decisions=decisions,
            blob_server=BlobServer(
                cache,
                metrics,
                redirect=making.redirect,
                waiting=making.limits.waiting_per_client,
            ),
            access=Authenticator(making.rights, making.limits),
            audit=audit,
            metrics=metrics,
            listings=making.listings,
            policy=lambda: fingerprint(self.policy),
            probes={"metrics": metrics.answer},
            contact=making.contact,
            clients=Clients(making.proxies),
            pace=Pace(making.limits),
        )

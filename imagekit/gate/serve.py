"""Running a gate: listeners, signals, and an end that lets running pulls finish."""

import asyncio
import contextlib
import json
import logging
import signal
import sqlite3
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from aiohttp import web

from imagekit.adapters.memory import SqliteMemory
from imagekit.adapters.sigstore import SigstoreVerifier
from imagekit.errors import InputError
from imagekit.gate.answers import Answer
from imagekit.gate.app import Gate
from imagekit.gate.audit import Audit
from imagekit.gate.blobs.cache import BlobCache
from imagekit.gate.blobs.shelf import Shelf
from imagekit.gate.config import Address, Config, Tls
from imagekit.gate.decide import Senses
from imagekit.gate.desk import Desk
from imagekit.gate.guard import Guard
from imagekit.gate.ledger import Ledger, Shared
from imagekit.gate.logins import load_rights
from imagekit.gate.metrics import Metrics, Probes
from imagekit.gate.reload import PolicyInForce
from imagekit.gate.store import Store
from imagekit.gate.upstreams import Upstreams
from imagekit.verify.signed import PolicySigners

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 2.0
_PRUNE_SECONDS = 3600.0
_PRUNE_AGE = timedelta(days=30)
_END_SECONDS = 30.0
_KEEP_ALIVE = 75.0
_MAX_LINE = 8190


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What lives as long as the process."""

    setting: "Setting"
    store: Store
    metrics: Metrics
    audit: Audit
    policy: PolicyInForce
    shared: Shared | None = None


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a gate is run with."""

    policy: Path
    signers: PolicySigners | None = None
    """Who must have signed the policy; None obeys anybody's."""
    config: Config
    state: Path
    cache: Path
    cache_size: int


def run(setting: Setting, *, ready: Callable[[str], None]) -> None:
    """Run a gate until SIGTERM or SIGINT.

    Args:
        setting: what it is run with.
        ready: is told the address once it serves.

    Raises:
        ImagekitError: it cannot begin: a broken policy, a folder in use, an address in use.
    """
    with ExitStack() as stack:
        store = Store(setting.state)
        stack.callback(store.close)
        stream = stack.enter_context(_audit_stream(setting.config.audit))
        metrics = Metrics()
        audit = Audit(stream, metrics)
        policy = PolicyInForce(
            setting.policy,
            store,
            metrics=metrics,
            heard=audit.write,
            signers=setting.signers,
        )
        parts = _Parts(
            setting=setting,
            store=store,
            metrics=metrics,
            audit=audit,
            policy=policy,
            shared=_shared(setting.config.redis),
        )
        asyncio.run(_serve(parts, ready))


async def _serve(parts: _Parts, ready: Callable[[str], None]) -> None:
    config, policy = parts.setting.config, parts.policy
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        gate = _assemble(parts)
        stack.callback(gate.desk.close)
        stack.push_async_callback(gate.shelf.close)
        probes = _probes(policy, parts.metrics, stop)
        if config.admin is None:
            gate.probes = probes
        else:
            await listen(stack, _probe_handler(probes), config.admin)
        if config.listen is None:
            raise InputError("where shall the gate listen?", hint="say --listen HOST:PORT")
        tls = None if config.tls is None else tls_context(config.tls)
        address = await listen(stack, gate.handle, config.listen, tls=tls)
        _signals(stop, policy)
        keeping = asyncio.create_task(_keep_house(policy, parts.store))
        stack.callback(keeping.cancel)
        ready(f"{'https' if tls else 'http'}://{address}")
        await stop.wait()
        _log.info("stopping: running answers are finished first")


def _assemble(parts: _Parts) -> Gate:
    setting, metrics, audit, policy = parts.setting, parts.metrics, parts.audit, parts.policy
    config = setting.config
    desk = Desk(
        ledger=Ledger(parts.store, parts.shared),
        attachments=config.listings.with_referrers,
        senses=Senses(
            memory=SqliteMemory(setting.state / "seen.db"), certificates=SigstoreVerifier()
        ),
        times=config.times,
        rulebook=lambda: policy.book,
        heard=audit.decided,
        took=metrics.took,
    )
    size = setting.cache_size
    cache = BlobCache(setting.cache, size) if size else None
    if cache is not None:
        metrics.gauge("cache_bytes", "bytes of the cache in use", lambda: cache.used)
        metrics.gauge("cache_blobs", "blobs in the cache", lambda: len(cache))
    metrics.gauge("policy_kept", "1 where a new policy is broken", lambda: bool(policy.fault))
    certificates = config.tls is not None and config.tls.client_ca is not None
    rights = load_rights(
        htpasswd=config.htpasswd,
        tokens=config.tokens,
        certificates=certificates,
        grants=config.grants,
    )
    return Gate(
        upstreams=Upstreams.of(config.upstreams),
        desk=desk,
        shelf=Shelf(cache, metrics, redirect=config.redirect),
        guard=Guard(rights),
        audit=audit,
        metrics=metrics,
        listings=config.listings,
        policy=lambda: policy.book.fingerprint,
        probes={},
        contact=config.contact,
    )


async def listen(
    stack: AsyncExitStack, handler: Handler, address: Address, *, tls: ssl.SSLContext | None = None
) -> Address:
    """Serve on an address until the stack ends; return the address with its port.

    Raises:
        InputError: it cannot be listened on.
    """
    server = web.Server(
        handler,
        handler_cancellation=True,
        access_log=None,
        keepalive_timeout=_KEEP_ALIVE,
        max_line_size=_MAX_LINE,
        max_field_size=_MAX_LINE,
        tcp_keepalive=True,
    )
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=_END_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(
        runner, address.host, address.port, ssl_context=tls, backlog=1024, reuse_port=False
    )
    try:
        await site.start()
    except OSError as error:
        raise InputError(
            f"cannot listen on {address}: {error.strerror or error}",
            hint="is another program listening there?",
            code="gate/listen",
        ) from error
    return replace(address, port=runner.addresses[0][1])


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return the certificate of a server, and what clients must show.

    Raises:
        InputError: it cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            required = tls.client_required
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"the certificate {tls.certificate} with {tls.key} cannot be used: {error}",
            hint="both are files in PEM, and belong together",
            code="gate/tls",
        ) from error
    return context


def _probes(policy: PolicyInForce, metrics: Metrics, stop: asyncio.Event) -> Probes:
    def ready() -> Answer:
        expired = policy.book.policy.expires <= datetime.now(UTC)
        good = not expired and not stop.is_set()
        document = {
            "ready": good,
            "policy": policy.book.policy.name,
            "version": policy.book.policy.version,
            "expired": expired,
            "fault": policy.fault,
        }
        return Answer(status=200 if good else 503, body=json.dumps(document).encode())

    return {
        "healthz": lambda: Answer(body=b'{"alive":true}'),
        "readyz": ready,
        "metrics": metrics.answer,
    }


def _probe_handler(probes: Probes) -> Handler:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        probe = probes.get(request.raw_path.removeprefix("/"))
        answer = Answer(status=404) if probe is None else probe()
        return web.Response(
            status=answer.status, body=answer.body, headers={"Content-Type": answer.content_type}
        )

    return handle


def _signals(stop: asyncio.Event, policy: PolicyInForce) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.ensure_future(asyncio.to_thread(policy.reload))
        running.add(task)
        task.add_done_callback(running.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)


async def _keep_house(policy: PolicyInForce, store: Store) -> None:
    pruned = time.monotonic()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        await asyncio.to_thread(policy.refresh)
        if time.monotonic() - pruned > _PRUNE_SECONDS:
            pruned = time.monotonic()
            with contextlib.suppress(OSError, sqlite3.Error):
                await asyncio.to_thread(store.prune, datetime.now(UTC), _PRUNE_AGE)


def _shared(url: str) -> Shared | None:
    if not url:
        return None
    try:
        from imagekit.gate.shared import RedisShared  # noqa: PLC0415 - only where it is wanted
    except ImportError as error:
        raise InputError(
            "sharing decisions by Redis needs its library",
            hint="pip install 'imagekit[gate-redis]'",
            code="gate/not-installed",
        ) from error
    return RedisShared(url)


@contextmanager
def _audit_stream(file: Path | None) -> Iterator[TextIO]:
    if file is None:
        yield sys.stdout
        return
    try:
        # Opened to append, so that logrotate's copytruncate works.
        stream = file.open("a", encoding="utf-8")
    except OSError as error:
        raise InputError(f"the audit log {file} cannot be written: {error.strerror}") from error
    with stream:
        yield stream

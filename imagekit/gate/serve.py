"""Running a gate: listeners, signals, and an end that lets running pulls finish."""

import asyncio
import contextlib
import json
import logging
import resource
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from imagekit.errors import InputError
from imagekit.gate.answers import Answer
from imagekit.gate.app import Gate
from imagekit.gate.audit import Audit
from imagekit.gate.auth.authenticate import Authenticator
from imagekit.gate.auth.logins import load_rights
from imagekit.gate.blobs.blob_cache import BlobCache
from imagekit.gate.blobs.blob_server import BlobServer
from imagekit.gate.clients import Clients
from imagekit.gate.config import Config
from imagekit.gate.decisions.decide import VerifierDeps
from imagekit.gate.decisions.decision_cache import DecisionCache, Shared
from imagekit.gate.decisions.decision_store import DecisionStore
from imagekit.gate.decisions.service import DecisionService
from imagekit.gate.listener import Handler, ListenerOptions, listen, tls_context
from imagekit.gate.metrics import Metrics, Probes
from imagekit.gate.pace import Pace
from imagekit.gate.reload import PolicyInForce
from imagekit.gate.upstreams import Upstreams
from imagekit.oci.hostname import is_loopback
from imagekit.policy.signers import PolicySigners
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.verify.rollback import SqliteRollbackStore

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.5
_PRUNE_SECONDS = 3600.0
_PRUNE_AGE = timedelta(days=30)
_SWITCH_SECONDS = 0.001
"""Threads that verify hold the interpreter no longer than this while an answer is ready."""
_OWN_FILES = 256
_MOST_FILES = 1 << 19
_FILES_OF_CONNECTION = 3
"""Itself, what it is sent from, and a connection to an upstream."""


class _Parts(Struct, frozen=True, kw_only=True):
    """What lives as long as the process."""

    setting: "GateOptions"
    store: DecisionStore
    metrics: Metrics
    audit: Audit
    policy: PolicyInForce
    shared: Shared | None = None


class GateOptions(Struct, frozen=True, kw_only=True):
    """What a gate is run with."""

    policy: Path
    signers: PolicySigners | None = None
    """Who must have signed the policy; None obeys anybody's."""
    config: Config
    state: Path
    cache: Path
    cache_size: int


def run(setting: GateOptions, *, ready: Callable[[str], None]) -> None:
    """Run a gate until SIGTERM or SIGINT.

    Args:
        setting: what it is run with.
        ready: is called with the address once it serves.

    Raises:
        ImagekitError: it cannot begin: a broken policy, a folder in use, an address in use.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    setting = replace(setting, config=_with_files(setting.config))
    with ExitStack() as stack:
        store = DecisionStore(setting.state)
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
        stack.callback(gate.decisions.close)
        stack.push_async_callback(gate.blob_server.close)
        stack.callback(gate.access.close)
        probes = _probes(policy, parts.metrics, stop)
        options = ListenerOptions(
            limits=config.limits,
            clients=gate.clients,
            pace=gate.pace,
            malformed=parts.audit.malformed,
            ended=lambda why: parts.metrics.count("connection", why),
        )
        if config.admin is None:
            gate.probes = probes
        else:
            await listen(stack, _probe_handler(probes), config.admin, options=options)
        if config.listen is None:
            raise InputError("where shall the gate listen?", hint="say --listen HOST:PORT")
        tls = None if config.tls is None else tls_context(config.tls)
        address = await listen(stack, gate.handle, config.listen, tls=tls, options=options)
        if tls is None and not is_loopback(str(address)):
            _log.warning(
                "logins of clients cross the network as plain text: give --tls-cert and --tls-key, "
                "or listen on 127.0.0.1 behind a proxy that speaks TLS"
            )
        # A withdrawal waits for nobody: reading the policy has a thread of its own.
        reader = ThreadPoolExecutor(1, "gate-policy")
        stack.callback(reader.shutdown, wait=False, cancel_futures=True)
        _signals(stop, policy, reader)
        for work in (_look(policy, reader), _prune(parts.store)):
            stack.callback(asyncio.create_task(work).cancel)
        ready(f"{'https' if tls else 'http'}://{address}")
        await stop.wait()
        _log.info("stopping: running answers are finished first")


def _assemble(parts: _Parts) -> Gate:
    setting, metrics, audit, policy = parts.setting, parts.metrics, parts.audit, parts.policy
    config = setting.config
    decisions = DecisionService(
        decision_cache=DecisionCache(parts.store, parts.shared),
        attachments=config.listings.with_referrers,
        deps=VerifierDeps(
            memory=SqliteRollbackStore(setting.state / "seen.db"), certificates=SigstoreVerifier()
        ),
        times=replace(config.times, waiting=config.limits.waiting_per_client),
        active=lambda: policy.active,
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
        decisions=decisions,
        blob_server=BlobServer(
            cache,
            metrics,
            redirect=config.redirect,
            waiting=config.limits.waiting_per_client,
        ),
        access=Authenticator(rights, config.limits),
        audit=audit,
        metrics=metrics,
        listings=config.listings,
        policy=lambda: policy.active.fingerprint,
        probes={},
        contact=config.contact,
        clients=Clients(config.proxies),
        pace=Pace(config.limits),
    )


def _probes(policy: PolicyInForce, metrics: Metrics, stop: asyncio.Event) -> Probes:
    def ready() -> Answer:
        expired = policy.active.policy.expires <= datetime.now(UTC)
        # Not ready while the last answers are finished, so that a balancer sends new requests
        # elsewhere. A new policy that is broken changes nothing: the old one is in force.
        good = not expired and not stop.is_set()
        document = {
            "ready": good,
            "policy": policy.active.policy.name,
            "version": policy.active.policy.version,
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
        # Without a login: this address is for whoever runs the gate, who decides what reaches it.
        probe = probes.get(request.raw_path.removeprefix("/"))
        answer = Answer(status=404) if probe is None else probe()
        return web.Response(
            status=answer.status, body=answer.body, headers={"Content-Type": answer.content_type}
        )

    return handle


def _signals(stop: asyncio.Event, policy: PolicyInForce, reader: Executor) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(reader, policy.reload))


async def _look(policy: PolicyInForce, reader: Executor) -> None:
    """See again and again whether the policy changed."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        await loop.run_in_executor(reader, policy.refresh)


async def _prune(store: DecisionStore) -> None:
    while True:
        await asyncio.sleep(_PRUNE_SECONDS)
        with contextlib.suppress(OSError, sqlite3.Error):
            await asyncio.to_thread(store.prune, datetime.now(UTC), _PRUNE_AGE)


def _with_files(config: Config) -> Config:
    """Let the process have as many files as it may, and no more connections than files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    limits = config.limits
    room = max(1, (most - _OWN_FILES) // _FILES_OF_CONNECTION)
    if limits.connections <= room:
        return config
    _log.warning(
        "at most %d connections instead of %d, as this process may open %d files only",
        room,
        limits.connections,
        most,
    )
    return replace(config, limits=replace(limits, connections=room))


def _shared(url: str) -> Shared | None:
    if not url:
        return None
    try:
        from imagekit.gate.decisions.redis_store import RedisShared  # only where it is wanted
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

"""Running the webhook: listener, signals, and the policy, which SIGHUP reloads."""

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from msgspec import Struct, field

from imagekit.errors import ImagekitError
from imagekit.gate.clients import Clients
from imagekit.gate.config import Address, Tls
from imagekit.gate.limits import ListenerLimits
from imagekit.gate.listener import ListenerOptions, listen, tls_context
from imagekit.gate.pace import Pace
from imagekit.hosts.kubernetes.admission import admit
from imagekit.hosts.kubernetes.review import Admission, Review
from imagekit.hosts.kubernetes.webhook import Webhook
from imagekit.oci.registry.options import RegistryOptions
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.verify.ports import RollbackStore
from imagekit.verify.verify import Verifier

_log = logging.getLogger(__name__)


class WebhookSetting(Struct, frozen=True, kw_only=True):
    """What a webhook is run with."""

    listen: Address
    tls: Tls | None
    load: Callable[[], OpenedPolicy]
    """Reads the policy."""
    options: RegistryOptions
    memory: RollbackStore
    allow_tags: bool = False
    contact: str = ""
    limits: ListenerLimits = field(default_factory=ListenerLimits)


def run_webhook(setting: WebhookSetting, *, ready: Callable[[str], None]) -> None:
    """Run a webhook until SIGTERM or SIGINT.

    Args:
        setting: what it is run with.
        ready: gets the address once it serves.

    Raises:
        ImagekitError: it cannot begin: a broken policy, an address in use.
    """
    asyncio.run(_serve(_Judgement(setting), ready))


class _Judgement:
    """Judges reviews by the policy in force."""

    def __init__(self, setting: WebhookSetting) -> None:
        self.setting = setting
        self._verifier = self._read()

    def reload(self) -> None:
        """Read the policy again; a broken one is logged and leaves the old one in force."""
        try:
            self._verifier = self._read()
        except ImagekitError as error:
            _log.error("the new policy is broken, the old one stays in force: %s", error.message)
        except Exception:  # noqa: BLE001 - what a file has must not end the webhook
            _log.exception("a fault of the webhook: the old policy stays in force")

    def admit(self, review: Review) -> Admission:
        """Judge a review."""
        setting = self.setting
        judge = self._verifier.verify
        return admit(review, judge, allow_tags=setting.allow_tags, contact=setting.contact)

    def _read(self) -> Verifier:
        setting = self.setting
        return Verifier(setting.load(), options=setting.options, memory=setting.memory)


async def _serve(judgement: _Judgement, ready: Callable[[str], None]) -> None:
    setting = judgement.setting
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        limits, clients = setting.limits, Clients()
        webhook = Webhook(
            admit=judgement.admit,
            heard=_heard,
            malformed=_malformed,
            limits=limits,
            clients=clients,
        )
        stack.callback(webhook.close)
        tls = None if setting.tls is None else tls_context(setting.tls)
        options = ListenerOptions(
            limits=limits,
            clients=clients,
            pace=Pace(limits),
            malformed=_malformed,
            takes_bodies=True,
        )
        address = await listen(stack, webhook.handle, setting.listen, tls=tls, options=options)
        # A withdrawal must not wait for reviews: reading the policy has a thread of its own.
        reader = ThreadPoolExecutor(1, "webhook-policy")
        stack.callback(reader.shutdown, wait=False, cancel_futures=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(
            signal.SIGHUP, lambda: loop.run_in_executor(reader, judgement.reload)
        )
        ready(f"{'https' if tls else 'http'}://{address}/validate")
        await stop.wait()


def _heard(review: Review, admission: Admission) -> None:
    """Write the decision as one line of JSON."""
    line: dict[str, object] = {
        "event": "admission",
        "uid": review.uid,
        "operation": review.operation,
        "kind": review.kind,
        "object": review.name,
        "decision": "allow" if admission.allowed else "deny",
        "images": [{"image": name, "digest": digest} for name, digest in admission.digests],
        "message": admission.message,
    }
    _write(line)


def _malformed(client: str, message: str) -> None:
    """Log a request that is no review."""
    _write({"event": "malformed", "client": client, "message": message})


def _write(line: dict[str, object]) -> None:
    text = json.dumps({"time": datetime.now(UTC).isoformat(), **line}, ensure_ascii=False)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()

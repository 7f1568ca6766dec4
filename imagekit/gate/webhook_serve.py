"""Running the webhook: listener, signals, and the policy read anew on SIGHUP."""

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from imagekit.errors import ImagekitError
from imagekit.gate.config import Address, Tls
from imagekit.gate.serve import listen, tls_context
from imagekit.gate.webhook import Webhook
from imagekit.model.admission import Admission, Review
from imagekit.model.policy import Policy
from imagekit.model.registry import RegistryOptions
from imagekit.pipeline.admission import admit
from imagekit.pipeline.verify import Verifier
from imagekit.ports import Memory

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSetting:
    """What a webhook is run with."""

    listen: Address
    tls: Tls | None
    load: Callable[[], Policy]
    """Reads the policy."""
    options: RegistryOptions
    memory: Memory
    allow_tags: bool = False
    contact: str = ""


def run_webhook(setting: WebhookSetting, *, ready: Callable[[str], None]) -> None:
    """Run a webhook until SIGTERM or SIGINT.

    Args:
        setting: what it is run with.
        ready: is told the address once it serves.

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
        """Read the policy again; a broken one leaves the old one in force, and is shouted about."""
        try:
            self._verifier = self._read()
        except ImagekitError as error:
            _log.error("the new policy is broken, the old one stays in force: %s", error.message)

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
        webhook = Webhook(admit=judgement.admit, heard=_heard)
        tls = None if setting.tls is None else tls_context(setting.tls)
        address = await listen(stack, webhook.handle, setting.listen, tls=tls)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, judgement.reload))
        ready(f"{'https' if tls else 'http'}://{address}/validate")
        await stop.wait()


def _heard(review: Review, admission: Admission) -> None:
    """Write the decision as one line of JSON."""
    line = {
        "time": datetime.now(UTC).isoformat(),
        "event": "admission",
        "uid": review.uid,
        "operation": review.operation,
        "kind": review.kind,
        "object": review.name,
        "decision": "allow" if admission.allowed else "deny",
        "images": [{"image": name, "digest": digest} for name, digest in admission.digests],
        "message": admission.message,
    }
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()

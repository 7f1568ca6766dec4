"""The audit log: one JSON document a line, for every decision and every refusal."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from aiohttp import web

from imagekit.errors import ImagekitError
from imagekit.gate.answers import RequestRefusedError
from imagekit.gate.decisions.decision import Decision
from imagekit.gate.metrics import Metrics
from imagekit.oci.location import LocatedReference
from imagekit.policy.findings import plain

_log = logging.getLogger(__name__)


class Audit:
    """Writes what was decided, and who was refused.

    Args:
        stream: where the lines go.
        metrics: counts.
        now: the time.
    """

    def __init__(
        self,
        stream: TextIO,
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._stream = stream
        self._metrics = metrics
        self._now = now

    def decided(
        self, how: str, outcome: Decision | ImagekitError, reference: LocatedReference
    ) -> None:
        """Write a decision, or why there is none."""
        line: dict[str, object] = {"event": how, "reference": reference.full}
        if isinstance(outcome, Decision):
            self._metrics.count("decision", "allowed" if outcome.allowed else "denied")
            line |= {
                "decision": "allow" if outcome.allowed else "deny",
                "digest": str(outcome.digest) if outcome.digest else None,
                "policy": outcome.policy_name,
                "policy_fingerprint": outcome.policy,
                "until": outcome.fresh.isoformat(),
                "findings": [
                    {"check": finding.check, "code": finding.code, "message": finding.message}
                    for finding in outcome.findings
                    if finding.severity != "ok"
                ],
            }
        else:
            self._metrics.count("decision", "undecided")
            line |= {"decision": None, "code": outcome.code, "message": plain(outcome.message)}
        self.write(line)

    def refused(
        self, request: web.BaseRequest, error: RequestRefusedError, client: str = ""
    ) -> None:
        """Write that a request was refused.

        Args:
            request: what came.
            error: what it is answered with.
            client: the address of the client, where a balancer stands before it.
        """
        self.write(
            {
                "event": "refused",
                "client": client or request.remote or "",
                "method": request.method,
                "target": plain(request.raw_path),
                "status": error.status,
                "code": error.code,
                "message": plain(error.message),
            }
        )

    def malformed(self, client: str, message: str) -> None:
        """Write that something came which is no request."""
        self._metrics.count("refused", "MALFORMED")
        self.write({"event": "malformed", "client": client, "status": 400, "message": message})

    def write(self, line: dict[str, object]) -> None:
        """Write one line; a log that cannot be written stops nothing, but is said and counted."""
        # JSON escapes the ends of lines, so that no text can make a line of its own.
        text = json.dumps({"time": self._now().isoformat(), **line}, ensure_ascii=False)
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._metrics.count("audit", "lost")
            _log.error("the audit log cannot be written: %s", error)

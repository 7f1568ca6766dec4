"""Counters in the text format of Prometheus (exposition format 0.0.4)."""

from collections import Counter
from collections.abc import Callable, Mapping

from imagekit.gate.answers import Answer

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)
_HELP = {
    "manifest": "manifests that were answered: cached, served or stale",
    "blob": "blobs that were begun: cached, fetched into the cache, or passed",
    "refused": "requests that were refused, by the code of the answer",
    "decision": "judgements: allowed, denied or undecided",
    "policy": "times that the policy was loaded, or kept since the new one is broken",
    "connection": "connections that were ended or not accepted, by the limit that they met",
    "cache": "faults of the cache",
    "audit": "lines of the audit log that could not be written",
}


class Metrics:
    """What is counted; only counting is done while requests are answered."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._buckets = [0] * (len(_BUCKETS) + 1)
        self._sum = 0.0

    def count(self, name: str, outcome: str) -> None:
        """Count one more."""
        self._counts[name, outcome] += 1

    def took(self, seconds: float) -> None:
        """Note how long a judgement took."""
        self._sum += seconds
        for number, limit in enumerate(_BUCKETS):
            self._buckets[number] += seconds <= limit
        self._buckets[-1] += 1

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number as it is when somebody looks."""
        self._gauges[name] = (text, read)

    def answer(self) -> Answer:
        """Return all numbers."""
        return Answer(content_type=CONTENT_TYPE, body=self._text().encode())

    def _text(self) -> str:
        lines: list[str] = []
        for name, text in _HELP.items():
            lines += _head(f"imagekit_gate_{name}_total", text, "counter")
            lines += [
                f'imagekit_gate_{name}_total{{outcome="{outcome}"}} {count}'
                for (counted, outcome), count in sorted(self._counts.items())
                if counted == name
            ]
        for name, (text, read) in self._gauges.items():
            lines += [*_head(f"imagekit_gate_{name}", text, "gauge")]
            lines.append(f"imagekit_gate_{name} {read():g}")
        return "\n".join([*lines, *self._histogram(), ""])

    def _histogram(self) -> list[str]:
        name = "imagekit_gate_decision_seconds"
        lines = _head(name, "how long judgements took", "histogram")
        # The exposition format wants the last bucket, +Inf, to hold the whole count.
        limits = [*(f"{limit:g}" for limit in _BUCKETS), "+Inf"]
        lines += [
            f'{name}_bucket{{le="{limit}"}} {count}'
            for limit, count in zip(limits, self._buckets, strict=True)
        ]
        return [*lines, f"{name}_sum {self._sum:.6f}", f"{name}_count {self._buckets[-1]}"]


def _head(name: str, text: str, kind: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


Probes = Mapping[str, Callable[[], Answer]]

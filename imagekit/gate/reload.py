"""The policy in force: read anew when it changes, and kept where the new one is broken."""

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from imagekit.errors import ImagekitError, InputError
from imagekit.gate.decisions.decide import ActivePolicy
from imagekit.gate.decisions.decision import fingerprint
from imagekit.gate.decisions.decision_store import DecisionStore
from imagekit.gate.metrics import Metrics
from imagekit.policy.findings import plain
from imagekit.policy.signers import PolicySigners
from imagekit.verify.policies import load_signed

_log = logging.getLogger(__name__)
_LOOKS = 60
"""After so many looks the files that a policy names are read again, too."""


class PolicyInForce:
    """Holds the policy; requests that are being answered keep the one that they began with.

    Args:
        file: the policy.
        store: remembers which version was accepted last.
        metrics: counts.
        heard: is called with what happened, a line for the audit log.
        signers: who must have signed the policy; None obeys anybody's.

    Raises:
        PolicyError: the policy cannot be accepted: a gate does not begin with a broken one.
    """

    def __init__(
        self,
        file: Path,
        store: DecisionStore,
        *,
        metrics: Metrics,
        heard: Callable[[dict[str, object]], None],
        signers: PolicySigners | None = None,
    ) -> None:
        self._file = file
        self._signers = signers
        self._store = store
        self._metrics = metrics
        self._heard = heard
        self._lock = threading.Lock()
        self.fault = ""
        self._looks = 0
        self._stamp = self._look()
        self._active = self._read(None)

    @property
    def active(self) -> ActivePolicy:
        """The policy in force."""
        return self._active

    def refresh(self) -> None:
        """Read the policy again if its file changed; now and then also for the files it names."""
        self._looks += 1
        if self._look() != self._stamp or self._looks % _LOOKS == 0:
            self.reload()

    def reload(self) -> None:
        """Read the policy again; a broken one leaves the old one in force, and is logged."""
        with self._lock:
            # Before it is read: what changes meanwhile is seen at the next look.
            self._stamp = self._look()
            try:
                self._active = self._read(self._active)
            except ImagekitError as error:
                self._keep(_fault_text(error))
            except (OSError, sqlite3.Error) as error:
                self._keep(f"it cannot be noted which policy is in force: {error}")
            except Exception as error:  # noqa: BLE001 - what a file has must not end the watch
                _log.exception("a fault of the gate, while the policy was read")
                self._keep(f"a fault of the gate: {type(error).__name__}")
            else:
                self.fault = ""

    def _keep(self, why: str) -> None:
        fault = plain(why)
        if fault == self.fault:
            return
        self.fault = fault
        self._metrics.count("policy", "kept")
        _log.error("the new policy is broken, the old one stays in force: %s", fault)
        self._heard({"event": "policy-broken", "message": fault})

    def _read(self, before: ActivePolicy | None) -> ActivePolicy:
        policy = load_signed(self._file, self._signers)
        active = ActivePolicy(policy=policy, fingerprint=fingerprint(policy))
        if before is not None and before.fingerprint == active.fingerprint:
            return before
        warning = self._store.accept(policy)
        if warning:
            _log.warning("%s", warning)
        self._metrics.count("policy", "loaded")
        self._heard(
            {
                "event": "policy",
                "name": policy.name,
                "version": policy.version,
                "digest": str(policy.digest),
                "policy_fingerprint": active.fingerprint,
                "expires": policy.expires.isoformat(),
                **({"warning": warning} if warning else {}),
            }
        )
        return active

    def _look(self) -> tuple[int, ...]:
        try:
            status = self._file.stat()
        except OSError:
            return ()
        # Also by its inode: a file that is replaced within one tick of the clock has the same time.
        return (status.st_mtime_ns, status.st_ino, status.st_size)


def _fault_text(error: ImagekitError) -> str:
    """Return what is wrong, with the first place in the file."""
    if isinstance(error, InputError) and error.diagnostics:
        first = error.diagnostics[0]
        return f"{first.file}:{first.line}:{first.column}: {first.message}"
    return error.message

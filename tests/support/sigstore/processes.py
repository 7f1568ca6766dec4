"""Processes that outlive the command that starts them, and are stopped by their own ids."""

import os
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.sigstore.programs import StackError

_STOP_SECONDS = 10
# Those that this command started itself: they are to be waited for once they end.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that we started; ``began`` tells it from a later one of the same id."""

    name: str
    pid: int
    began: str

    def is_running(self) -> bool:
        """Return whether it still runs."""
        return self.began != "" and _began(self.pid) == self.began


def start(name: str, argv: Sequence[str], folder: Path, /) -> Process:
    """Start a program whose output goes to ``NAME.log`` in the folder, its working directory."""
    with (folder / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(
            argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
        )
    _CHILDREN[child.pid] = child
    return Process(name=name, pid=child.pid, began=_began(child.pid))


def stop(processes: Sequence[Process]) -> None:
    """Stop them all: asked first, killed after ten seconds."""
    running = list(processes)
    for sent, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
        running = [one for one in running if one.is_running()]
        for one in running:
            _send(one, sent)
        end = time.monotonic() + seconds
        while any(one.is_running() for one in running) and time.monotonic() < end:
            time.sleep(0.05)
    for one in processes:
        if one.pid in _CHILDREN and _CHILDREN[one.pid].poll() is not None:
            del _CHILDREN[one.pid]


def wait_for(
    process: Process, ready: Callable[[], bool], folder: Path, seconds: float = 30
) -> None:
    """Wait until a program is ready.

    Raises:
        StackError: It ended, or is not ready in time; with what it said last.
    """
    end = time.monotonic() + seconds
    while not ready():
        if not process.is_running():
            raise StackError(f"{process.name} ended at its start:\n{_said(process, folder)}")
        if time.monotonic() > end:
            raise StackError(
                f"{process.name} is not ready after {seconds:.0f} s:\n{_said(process, folder)}"
            )
        time.sleep(0.05)


def fetch(url: str, seconds: float = 10) -> bytes:
    """Return what an address on loopback answers; no proxy is asked.

    Raises:
        OSError: It does not answer, or not with success.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=seconds) as response:
        return bytes(response.read(1 << 20))


def answers(url: str) -> bool:
    """Return whether an address on loopback answers with success."""
    try:
        fetch(url, 2)
    except OSError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Return ports that are free now, below those that the kernel gives to others at any time.

    Raises:
        StackError: There are none.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(range(20000, 32000), 2000):
        if _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise StackError("no free ports on loopback between 20000 and 32000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            # As wide as the programs' metrics listen.
            probe.bind(("0.0.0.0", port))  # noqa: S104 - never listened on
        except OSError:
            return False
    return True


def _began(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    # A zombie runs no more: whose child it was may still be there.
    return "" if fields[0] in "ZX" else fields[19]


def _send(process: Process, sent: signal.Signals) -> None:
    try:
        os.kill(process.pid, sent)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise StackError(
            f"{process.name} (process {process.pid}) belongs to another user; stop it as that user"
        ) from error


def _said(process: Process, folder: Path) -> str:
    raw = (folder / f"{process.name}.log").read_bytes()[-1500:]
    return raw.decode(errors="replace").strip() or "it said nothing"

"""Daemons that tests start, and stop by their own process ids."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest


class Daemon:
    """A process that is gone when the test ends."""

    def __init__(
        self, argv: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None
    ) -> None:
        """Start it."""
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=env
            )

    def wait_for(self, path: Path, seconds: float = 60) -> None:
        """Wait until it made a socket or file."""
        end = time.monotonic() + seconds
        while not path.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{path} did not appear: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def __enter__(self) -> Self:
        """Return it, running."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which imagekit is this one."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    return kept | {"PYTHONPATH": os.pathsep.join(sys.path)} | more


def said(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a client; return its exit code, and all that it said."""
    ran = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=env,
    )
    return ran.returncode, ran.stdout + ran.stderr

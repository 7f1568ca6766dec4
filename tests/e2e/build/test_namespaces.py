"""Builds of one HOME in two PID namespaces, as of two nodes: neither destroys the other's work."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.command import command, environment, imagekit, tiny_recipe
from tests.support.namespaces import pid_namespace

pytestmark = pytest.mark.real

SECONDS = "90.0051823"


def test_a_build_that_cannot_be_seen_is_not_taken_for_dead(tmp_path: Path) -> None:
    """The second one sees no process of the first, and has a /proc of its own."""
    first = tiny_recipe(tmp_path / "first", f'run: "sleep {SECONDS} || true; echo a > /made"')
    second = tiny_recipe(tmp_path / "second", 'run: "echo b > /made"')
    with subprocess.Popen(
        command("build", str(first), "--no-cache"),
        env=environment(),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            sleeper = _wait_for(running)
            other = imagekit(
                tmp_path, "build", str(second), "--no-cache", before=pid_namespace(environment())
            )
            assert running.poll() is None
        finally:
            for pid in _sleepers():
                os.kill(pid, signal.SIGTERM)
            _, said = running.communicate(timeout=120)

    assert sleeper
    assert other.returncode == 0, other.stderr
    assert running.returncode == 0, said


def _wait_for(running: subprocess.Popen[str]) -> list[int]:
    """Wait until the step of the build runs."""
    end = time.monotonic() + 120
    while not (found := _sleepers()) and running.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    return found


def _sleepers() -> list[int]:
    wanted = f"sleep\0{SECONDS}\0".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == wanted:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found

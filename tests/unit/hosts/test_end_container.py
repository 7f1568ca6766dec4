"""A container ends where somebody asks for it, with all that belongs to it."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.hosts.end_container import EndContainer

Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start a program that ignores requests, as unshare does, with a runtime that runs a script."""
    runtime = tmp_path / "crun"
    shutil.copy("/bin/sh", runtime)

    def started(script: str) -> subprocess.Popen[bytes]:
        inner = tmp_path / "inner"
        inner.write_text(f"echo ready > {tmp_path}/ready\n{script}\n")
        command = f"trap '' TERM HUP; {runtime} {inner} & wait; wait; exit 9"
        process = subprocess.Popen(["sh", "-c", command])
        while not (tmp_path / "ready").exists():
            time.sleep(0.02)
        return process

    return started


def test_a_request_reaches_the_runtime(start: Start) -> None:
    """Which hands it to the container; the others end by themselves."""
    process = start("trap 'exit 0' USR1; while :; do sleep 0.05; done")
    end = EndContainer(60)
    end(process.pid, signal.SIGUSR1)

    assert process.wait(20) == 9
    end.over()


def test_what_does_not_end_is_ended(start: Start, tmp_path: Path) -> None:
    """With what the container started itself; a second request changes nothing."""
    script = f"trap : TERM; sleep 1000 & echo $! > {tmp_path}/pid; echo > {tmp_path}/ready2"
    process = start(f"{script}; wait $!; wait $!; wait $!")
    while not (tmp_path / "ready2").exists():
        time.sleep(0.02)
    end = EndContainer(0.2)
    end(process.pid, signal.SIGTERM)
    end(process.pid, signal.SIGTERM)

    assert process.wait(20) == 9
    assert _ended(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("script", ["sleep 1000; exit 9", ":; read x"])
def test_before_the_container_starts_it_is_given_up(script: str) -> None:
    """At once: nothing of the image runs yet."""
    process = subprocess.Popen(
        ["sh", "-c", f"trap '' TERM; echo ready; {script}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    time.sleep(0.2)
    end = EndContainer(60)
    end(process.pid, signal.SIGTERM)

    assert process.wait(20) == -signal.SIGKILL
    end.over()
    process.stdin.close()
    process.stdout.close()


def test_what_the_terminal_sent_to_all_is_not_sent_twice(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But what does not end by it is ended too."""
    monkeypatch.setattr("imagekit.hosts.end_container.sent_by_terminal", lambda _: True)
    process = start("trap 'exit 0' INT; sleep 1000")
    end = EndContainer(0.5)
    end(process.pid, signal.SIGINT)

    assert process.wait(20) == 9


def _ended(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False

"""Another process of the same user reads no key out of the one that signs."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOLDER = """
import time
from pathlib import Path
from imagekit.sign.open_signer import KeylessOptions, choose
try:
    choose(key=Path("nowhere.key"), keyless=False, options=KeylessOptions(), password=str)
except Exception:
    print("ready", flush=True)
    time.sleep(60)
"""
OPEN = "import time; print('ready', flush=True); time.sleep(60)"
READER = """
import sys
for name in ("environ", "mem", "maps"):
    try:
        with open(f"/proc/{sys.argv[1]}/{name}", "rb") as file:
            print("reached", name)
    except PermissionError:
        print("closed", name)
"""
_DROP, _CAPABILITIES = 24, range(41)


def _without_powers() -> None:
    """Let a child be as every other process of this user is: without root's capabilities."""
    libc = ctypes.CDLL(None)
    for number in _CAPABILITIES:
        libc.prctl(_DROP, number, 0, 0, 0)


@pytest.mark.parametrize(("program", "word"), [(HOLDER, "closed"), (OPEN, "reached")])
def test_memory_and_environment_are_closed_to_others(
    tmp_path: Path, program: str, word: str
) -> None:
    """As soon as a signer is asked for; what signs nothing is open, as the second row shows."""
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, **path},
        stdout=subprocess.PIPE,
        preexec_fn=_without_powers,  # noqa: PLW1509 - no thread is running
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"ready\n"
            read = subprocess.run(
                [sys.executable, "-c", READER, str(holder.pid)],
                capture_output=True,
                text=True,
                check=True,
                preexec_fn=_without_powers,
            ).stdout
        finally:
            holder.kill()

    assert read.splitlines() == [f"{word} {name}" for name in ("environ", "mem", "maps")]

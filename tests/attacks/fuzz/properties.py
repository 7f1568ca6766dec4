"""The property tests of tests/unit at random, for as long as is asked for."""

import re
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass

NAME = "properties"
_LONGEST_ROUND = 1800
_PASSED = re.compile(r"(\d+) passed")


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """How the rounds ended, each of which had other examples."""

    passed: int
    said: str
    good: bool


def run(seconds: float) -> Rounds:
    """Run all property tests, at least once, until the time is over or one fails."""
    ends, passed = time.monotonic() + seconds, 0
    while True:
        seed = secrets.randbelow(1 << 32)
        words = ["-m", "hypothesis", "--hypothesis-profile=random", f"--hypothesis-seed={seed}"]
        argv = [sys.executable, "-m", "pytest", "-q", "-x", "tests/unit", *words]
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LONGEST_ROUND,
            check=False,
            text=True,
            errors="replace",
        )
        passed += sum(int(number) for number in _PASSED.findall(done.stdout))
        if done.returncode != 0 or time.monotonic() >= ends:
            again = f"again: pytest tests/unit {' '.join(words)}"
            said = f"{done.stdout}\n{again}"
            return Rounds(passed=passed, said=said, good=done.returncode == 0)

"""Other people's programs, as tests/support/bench/setup sets them up."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def bench_program(bench: Path, name: str, *, part: str = "") -> Path:
    """Return a program of the bench.

    Without it the test is skipped, which scripts/test counts as a failure (``tests/conftest.py``).

    Args:
        bench: the fixture of that name.
        name: the program.
        part: the word of the setup that brings it, where that is another one.
    """
    program = bench / name
    _require(there=program.exists(), part=part or name)
    return program


def run(*argv: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever that is, with variables besides those of the tests."""
    return subprocess.run(
        [str(word) for word in argv],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def as_root(variable: str) -> tuple[str, ...]:
    """Return what makes root of us, as a mount namespace wants it, and keeps a variable."""
    return () if os.geteuid() == 0 else ("sudo", "-n", f"--preserve-env={variable}")


def needs(name: str, *, part: str) -> None:
    """Skip the test, as ``bench_program`` does, where a program of the system is not installed."""
    _require(there=shutil.which(name) is not None, part=part)


def _require(*, there: bool, part: str) -> None:
    if not there:
        pytest.skip(f"tests/support/bench/setup {part} has not been run on this machine")

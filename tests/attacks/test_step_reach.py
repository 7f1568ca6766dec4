"""Attack 52: a step of the shell looks for processes of the host, and for files through them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import imagekit, tiny_recipe

pytestmark = pytest.mark.real

SECRET = "secret-of-the-home-61823"
SECONDS = "0.6000061823"


@pytest.fixture
def neighbour() -> Iterator[subprocess.Popen[bytes]]:
    """A process of who builds."""
    process = subprocess.Popen(["sleep", "600", SECONDS])
    yield process
    process.kill()
    process.wait()


def test_a_step_reads_nothing_through_processes_of_the_host(
    tmp_path: Path, neighbour: subprocess.Popen[bytes]
) -> None:
    """Nor does it see them: a process that it may see shows it the host's root."""
    key = tmp_path / "imagekit.key"
    key.write_text(SECRET)
    look = (
        f"cat /proc/{neighbour.pid}/root{key} && echo reached the key; "
        f"cat /proc/{neighbour.pid}/cmdline && echo reached the process; echo it looked"
    )
    folder = tiny_recipe(tmp_path / "recipe", f'run: "{look}"')

    said = imagekit(tmp_path, "build", str(folder), "--no-cache", "--verbose")

    shown = said.stderr.replace(look, "")
    assert said.returncode == 0, said.stderr
    assert "it looked" in shown
    assert "reached" not in shown
    assert SECRET not in shown
    assert SECONDS not in shown

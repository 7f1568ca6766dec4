"""Whoever reads the output changes no exit code by leaving: a denied image stays denied.

``imagekit verify IMAGE 2>&1 | head -1`` under ``pipefail`` said 0 of an image that was denied.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DENIED = (
    "import sys\n"
    "from imagekit.cli import main as cli; from imagekit.cli.commands import schema\n"
    "def run(_, console):\n"
    "    console.note('narration')\n"
    "    console.progress\n"
    "    console.result('denied', {'verdict': 'denied'})\n"
    "    return 3\n"
    "schema.run = run\n"
    "sys.argv[1:] = ['schema', 'recipe', *sys.argv[1:]]\n"
    "sys.exit(cli.main())\n"
)
WRONG = "import sys\nfrom imagekit.cli.main import main\nsys.exit(main())\n"


def ended(program: str, *words: str, **streams: int) -> int:
    """Return how a command ends that writes to these streams."""
    # What is buffered, as it is for every user, is written once more when Python ends.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ran = subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**env, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=streams.get("stdout", subprocess.DEVNULL),
        stderr=streams.get("stderr", subprocess.DEVNULL),
        check=False,
        timeout=60,
    )
    return ran.returncode


@pytest.fixture
def left() -> int:
    """The end of a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("words", [[], ["--json"]], ids=["text", "json"])
def test_a_denial_that_nobody_reads_is_one(left: int, stream: str, words: list[str]) -> None:
    """Neither the result nor the narration decides how the command ends."""
    assert ended(DENIED, *words, **{stream: left}) == 3


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_an_error_that_nobody_reads_is_one(left: int, stream: str) -> None:
    """What is wrong is told by the exit code too, in text and in JSON."""
    assert ended(WRONG, "lint", "/nonexistent", "--json", **{stream: left}) == 2


def test_a_full_disk_ends_no_narration_and_every_result() -> None:
    """A log that cannot be written is lost; a result that cannot be is an error, help included."""
    with Path("/dev/full").open("wb") as full:
        assert ended(DENIED, stderr=full.fileno()) == 3
        assert ended(WRONG, "lint", "/nonexistent", stderr=full.fileno()) == 2
        assert ended(DENIED, stdout=full.fileno()) == 6
        assert ended(WRONG, "--help", stdout=full.fileno()) == 6


def test_what_was_not_written_to_its_end_is_no_success(left: int) -> None:
    """A file that goes through a pipe is not there if nobody took it: as of cat, 141."""
    assert ended(WRONG, "--help", stdout=left) == 141

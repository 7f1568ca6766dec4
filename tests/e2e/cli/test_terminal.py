"""What a real build draws on a terminal of 80 columns, as somebody would see it."""

import re

import pytest

from tests.support.command import command, environment
from tests.support.shellbase import shell_base
from tests.support.terminal import COLUMNS, Recorded, record

pytestmark = pytest.mark.real

_LONG = "a-line-of-a-compiler-that-is-longer-than-any-terminal-is-wide " * 5
_RECIPE = """\
schema: 1
name: apps/a-name-that-is-long-enough-to-need-a-line-of-its-own-on-a-terminal
version: 1.0.0
base: {{image: "{base}"}}
steps:
  - run: 'echo {long}; i=0; while [ $i -lt 900000 ]; do i=$((i+1)); done'
  - run: echo hello > /hello
tests: [{{run: cat /hello}}]
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A publish to a layout, with a step that says one long line and then nothing for a while."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "recipe.yaml").write_text(
        _RECIPE.format(base=shell_base(folder / "base"), long=_LONG)
    )
    env = environment() | {"HOME": str(folder), "IMAGEKIT_KEY_PASSWORD": "secret"}
    argv = ["publish", ".", "--to", "oci:images", "--key", "imagekit.key"]
    made = record(command("key", "generate"), env=env, cwd=folder, limit=60)
    assert made.status == 0, made.screens[-1].lines
    return record(command(*argv), env=env, cwd=folder, limit=300)


def test_no_line_is_wider_than_the_terminal(recorded: Recorded) -> None:
    """A wrapped line could not be redrawn: half of it would stay."""
    assert recorded.status == 0, recorded.screens[-1].lines
    drawn = {line for screen in recorded.screens for line in screen.lines}

    # A path or a reference is not broken, so that it can be copied.
    assert [line for line in drawn if len(line) > COLUMNS and " " in line.strip()] == []
    assert any(line.endswith("…") and "a-line-of-a-compiler" in line for line in drawn)


def test_the_clock_moves_while_nothing_is_printed(recorded: Recorded) -> None:
    """Below the same line of output, and what is done is said in numbers."""
    heads = [
        screen.live[0]
        for screen in recorded.screens
        if len(screen.live) > 1 and "a-line-of-a-compiler" in screen.live[1]
    ]

    assert len({re.findall(r"\d+\.\d s", head)[0] for head in heads}) >= 3
    assert all(head.startswith("  … steps ") and "1 of 2" in head for head in heads)


def test_nothing_live_stays_behind(recorded: Recorded) -> None:
    """At the end each stage has one line, with its seconds."""
    last = recorded.screens[-1]
    stages = [line.split()[1] for line in last.lines if line.startswith("  ✓ ")]

    assert last.live == ()
    assert len(stages) == len(set(stages))
    assert {"steps", "tests", "sbom", "push", "attest", "sign", "verify", "tag"} <= set(stages)

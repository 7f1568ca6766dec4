"""How events are shown in a log and to programs."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.cli.console import Console
from imagekit.cli.display import JsonLines, Lines, advanced_text, done_line
from imagekit.errors import Diagnostic, ToolError
from imagekit.progress import (
    Advanced,
    Command,
    Done,
    Event,
    Failed,
    Note,
    OutputLine,
    Started,
)

EVENTS: tuple[Event, ...] = (
    Started(stage="packages", detail="gcc"),
    Command(argv=("apt-get", "install", "a b")),
    OutputLine(stage="packages", line="Setting up gcc"),
    Advanced(stage="packages", done=3, total=145, unit="package", doing="setting up"),
    Note(message="something to know"),
    Done(stage="packages", summary="145 more packages", seconds=14.2),
    Failed(stage="steps", summary="`make` ended with 2", seconds=4.1),
)


def _plain(text: str, kind: str) -> str:
    del kind
    return text


class _Log:
    """A log display whose output can be waited for."""

    def __init__(self, every: float, *, verbose: bool = False) -> None:
        self.stream = io.StringIO()
        self.lines = Lines(self.stream, paint=_plain, verbose=verbose, every=every)

    def wait(self, holds: Callable[[str], bool]) -> str:
        """Return what was printed as soon as it holds."""
        end = time.monotonic() + 20
        while not holds(self.stream.getvalue()):
            assert time.monotonic() < end, self.stream.getvalue()
            time.sleep(0.005)
        return self.stream.getvalue()


@pytest.fixture
def quick() -> Iterator[_Log]:
    """A log that a hundredth of a second is long for."""
    log = _Log(0.01)
    yield log
    log.lines.stop()


def test_a_log_has_each_stage_once() -> None:
    """What begins and advances is printed when it is done."""
    log = _Log(60)

    for event in EVENTS:
        log.lines.show(event)
    log.lines.stop()

    assert log.stream.getvalue().splitlines() == [
        "  ! something to know",
        f"  ✓ packages    {'145 more packages':<62}   14.2 s",
        f"  ✗ steps       {'`make` ended with 2':<62}    4.1 s",
    ]


def test_each_line_of_a_log_names_its_recipe() -> None:
    """Where several are at work at once, a line without a name would be anybody's."""
    log = _Log(60, verbose=True)

    for event in EVENTS:
        log.lines.show(event, of="apps/hello")
    log.lines.stop()

    lines = log.stream.getvalue().splitlines()
    assert len(lines) == 5
    assert all(line.startswith("apps/hello:  ") for line in lines)


def test_a_log_tells_of_all_recipes_that_take_long(quick: _Log) -> None:
    """And of none that has ended."""
    for name in ("a", "b", "c"):
        quick.lines.show(Started(stage="steps", detail="make"), of=name)
    quick.lines.leave("b")

    shown = quick.wait(lambda text: text.count("\n") >= 8)

    assert {line.partition(" 0 s")[0] for line in shown.splitlines()[3:]} == {
        "a:  … steps",
        "c:  … steps",
    }


def test_events_for_programs_name_their_recipe() -> None:
    """By a key of its own; what is of none has no such key."""
    stream = io.StringIO()
    display = JsonLines(stream)

    display.show(Advanced(stage="push", done=1, total=9), of="a")
    display.show(Advanced(stage="push", done=1, total=9), of="b")
    display.show(Note(message="x"))

    documents = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [document.get("recipe") for document in documents] == ["a", "b", None]


def test_a_verbose_log_has_commands_and_their_output() -> None:
    """They can be pasted into a shell."""
    log = _Log(60, verbose=True)

    for event in EVENTS[:3]:
        log.lines.show(event)
    log.lines.stop()

    assert log.stream.getvalue() == "  $ apt-get install 'a b'\n    Setting up gcc\n"


def test_a_long_stage_is_heard_of_in_numbers(quick: _Log) -> None:
    """A pipe is not silent while packages are installed."""
    for event in EVENTS[:4]:
        quick.lines.show(event)

    shown = quick.wait(lambda text: text.count("\n") >= 2)

    assert shown.splitlines()[0] == "  … packages 0 s, setting up 3 of 145 packages"


@pytest.mark.parametrize(
    ("events", "line"),
    [
        ([Started(stage="base")], "  … base 0 s"),
        ([Started(stage="base", detail="debian")], "  … base 0 s, debian"),
        (
            [Started(stage="base"), OutputLine(stage="base", line="I: running\33[2J apt")],
            "  … base 0 s, I: running [2J apt",
        ),
        (
            [Started(stage="tests", detail="1 of 2: " + "x" * 200)],
            "  … tests 0 s, 1 of 2: " + "x" * 91 + "…",
        ),
        (
            [Started(stage="push"), Advanced(stage="push", done=300_000, total=9_000_000)],
            "  … push 0 s, 0.3 MB of 9.0 MB",
        ),
    ],
)
def test_a_stage_without_numbers_says_what_it_has(
    quick: _Log, events: list[Event], line: str
) -> None:
    """Its detail, else its last line, without control characters."""
    for event in events:
        quick.lines.show(event)

    assert quick.wait(bool).splitlines()[0] == line


def test_nothing_is_said_of_a_stage_that_ended(quick: _Log) -> None:
    """Between stages there is nothing to wait for."""
    quick.lines.show(Started(stage="base"))
    quick.lines.show(Done(stage="base", summary="", seconds=0.1))
    time.sleep(0.1)

    assert "…" not in quick.stream.getvalue().partition("✓")[2]


def test_a_log_that_is_left_has_no_clock() -> None:
    """What is printed after it is not mixed with its lines, and no thread stays."""
    log = _Log(0.01)
    log.lines.show(Started(stage="base"))
    before = threading.active_count()

    log.lines.stop()
    said = log.stream.getvalue()
    time.sleep(0.1)

    assert threading.active_count() == before - 1
    assert log.stream.getvalue() == said


def test_parts_of_a_stage_have_one_clock() -> None:
    """The second step of two does not begin at 0 again."""
    log = _Log(0.5)
    log.lines.show(Started(stage="steps", detail="1 of 2"))
    time.sleep(0.6)
    log.lines.show(Started(stage="steps", detail="2 of 2"))

    shown = log.wait(lambda text: "2 of 2" in text)
    log.lines.stop()

    assert "  … steps 1 s, 2 of 2" in shown


def test_programs_get_every_event_as_a_line_of_json() -> None:
    """With its name, and the keys that it has."""
    stream = io.StringIO()
    lines = JsonLines(stream)

    for event in EVENTS:
        lines.show(event)
    lines.stop()

    shown = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in shown] == [
        "started", "command", "output", "advanced", "note", "done", "failed",
    ]  # fmt: skip
    assert shown[3] == {
        "schema": 1,
        "event": "advanced",
        "stage": "packages",
        "done": 3,
        "total": 145,
        "unit": "package",
        "doing": "setting up",
    }


def _shape(value: object) -> Any:
    if isinstance(value, dict):
        return {key: _shape(each) for key, each in value.items()}
    return float if isinstance(value, float) else type(value)


def test_every_event_has_the_keys_that_are_documented(project: Path) -> None:
    """docs/json.md promises them, key by key and in that order."""
    text = (project / "docs/json.md").read_text(encoding="utf-8")
    block = text.partition("```jsonl\n")[2].partition("```")[0]
    stream = io.StringIO()
    lines = JsonLines(stream)
    for event in EVENTS:
        lines.show(event)
    console = Console(progress_form="json", err=stream, out=io.StringIO())
    fault = Diagnostic(code="x", message="y", file="f", line=1, column=1)
    console.diagnostics([fault])
    console.error(ToolError("it failed", hint="mend it", output="\33[2J"))

    documented = {line["event"]: _shape(line) for line in map(json.loads, block.splitlines())}
    written = {
        line["event"]: _shape(line) for line in map(json.loads, stream.getvalue().splitlines())
    }

    assert written == documented
    assert {name: list(shape) for name, shape in written.items()} == {
        name: list(shape) for name, shape in documented.items()
    }


def test_programs_do_not_get_every_piece() -> None:
    """Of a million pieces the last is written, and few of the others."""
    stream = io.StringIO()
    lines = JsonLines(stream)

    for done in range(1, 10_001):
        lines.show(Advanced(stage="push", done=done, total=10_000))

    shown = [json.loads(line)["done"] for line in stream.getvalue().splitlines()]
    assert shown[-1] == 10_000
    assert len(shown) < 100


_HOSTILE = st.text() | st.just("\33[2J\33]0;x\7\r\b\0\x9b31m" + "x" * 1_000_000)


@given(_HOSTILE)
def test_no_output_controls_the_terminal(line: str) -> None:
    """Neither in a verbose log, nor in the lines for programs."""
    for make in (_verbose, JsonLines):
        stream = io.StringIO()
        make(stream).show(OutputLine(stage="steps", line=line))

        assert all(char.isprintable() or char == "\n" for char in stream.getvalue())
        assert stream.getvalue().count("\n") == 1


def _verbose(stream: io.StringIO) -> Lines:
    return Lines(stream, paint=_plain, verbose=True)


def test_a_million_lines_take_no_time() -> None:
    """A log looks at an output line only where it is printed."""
    log = _Log(60)
    log.lines.show(Started(stage="steps"))
    event = OutputLine(stage="steps", line="x" * 65_536)

    began = time.process_time()
    for _ in range(1_000_000):
        log.lines.show(event)
    log.lines.stop()

    # Some 2 s; cleaning each whole line would take hours.
    assert time.process_time() - began < 30


@given(st.text(st.characters(codec="ascii", categories=["L", "Z"]), max_size=300),
       st.integers(min_value=60, max_value=200))  # fmt: skip
def test_a_result_fits_the_terminal(summary: str, width: int) -> None:
    """It is wrapped under its beginning, with the seconds in its first line."""
    event = Done(stage="packages", summary=summary, seconds=14.2)

    first, *rest = done_line(event, "✓", width=width).split("\n")

    assert first.endswith("   14.2 s")
    assert all(line.startswith(" " * 16) for line in rest)
    long = max(map(len, summary.split()), default=0)
    assert all(len(line) <= max(width, 26 + long) for line in (first, *rest))


@pytest.mark.parametrize(
    ("event", "seconds", "text"),
    [
        (Advanced(stage="", done=12_300_000, total=45_000_000), 0, "12.3 MB of 45.0 MB"),
        (Advanced(stage="", done=12_300_000), 3, "12.3 MB, 4.1 MB/s"),
        (Advanced(stage="", done=0, total=45_000_000), 3, "0 bytes of 45.0 MB"),
        (Advanced(stage="", done=1, total=1, unit="layer"), 3, "1 of 1 layer"),
        (Advanced(stage="", done=1, unit="layer", doing="copying"), 0, "copying 1 layer"),
    ],
)
def test_how_far_a_stage_is(event: Advanced, seconds: float, text: str) -> None:
    """Bytes have a rate; pieces have their name."""
    assert advanced_text(event, seconds=seconds) == text

"""The live view on a terminal: a pseudo-terminal, and what arrives at its other end."""

import fcntl
import os
import pty
import re
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from io import TextIOWrapper

import pytest

from imagekit.cli.live import LiveLines
from imagekit.progress import Advanced, Command, Done, Note, OutputLine, Started

_COLUMNS = 60
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# What rich erases and redraws lines with, and the style of output lines.
_HARMLESS = re.compile(r"\x1b\[(?:2K|1A|1B|[02]?m|0;2m)")


class _Terminal:
    """A terminal of 60 columns, and the view that is drawn on it."""

    def __init__(self) -> None:
        self._near, far = pty.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, _COLUMNS, 0, 0))
        self.stream = TextIOWrapper(os.fdopen(far, "wb", buffering=0), write_through=True)
        self._raw = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.view = LiveLines(self.stream, paint=lambda text, _: text)

    def _read(self) -> None:
        while True:
            try:
                self._raw += os.read(self._near, 1 << 16)
            except OSError:
                return

    @property
    def text(self) -> str:
        """All that was written so far."""
        return bytes(self._raw).decode()

    def wait(self, holds: Callable[[str], object]) -> str:
        """Return what was written as soon as it holds."""
        end = time.monotonic() + 20
        while not holds(self.text):
            assert time.monotonic() < end, self.text
            time.sleep(0.01)
        return self.text

    def close(self) -> None:
        """Leave no thread behind."""
        self.view.stop()
        self.stream.close()
        self._reader.join()
        os.close(self._near)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Terminal]:
    """A terminal, as wide as variables say too."""
    monkeypatch.setenv("COLUMNS", str(_COLUMNS))
    monkeypatch.setenv("TERM", "xterm")
    opened = _Terminal()
    yield opened
    opened.close()


def test_the_clock_ticks_by_itself(terminal: _Terminal) -> None:
    """A stage that says nothing for a while is not taken for a frozen program."""
    terminal.view.show(Started(stage="base", detail="debian bookworm"))

    shown = terminal.wait(lambda text: len(set(re.findall(r"\d\.\d s", text))) > 3)

    assert re.match(r"  … base          \d\.\d s  debian bookworm", shown)


def test_numbers_and_the_last_line_are_shown(terminal: _Terminal) -> None:
    """How far it is, and below it what the program printed last."""
    terminal.view.show(Started(stage="packages", detail="gcc"))
    terminal.view.show(
        Advanced(stage="packages", done=61, total=145, unit="package", doing="setting up")
    )
    terminal.view.show(OutputLine(stage="packages", line="Setting up gcc (4:12.2.0-3) ..."))

    terminal.wait(lambda text: re.search(r"s  setting up 61 of 145 packages", text))
    terminal.wait(lambda text: "    Setting up gcc (4:12.2.0-3) ..." in text)


def test_a_stage_that_is_done_leaves_its_line(terminal: _Terminal) -> None:
    """The live lines are erased, and it stands where they were."""
    terminal.view.show(Started(stage="base"))
    terminal.view.show(Done(stage="base", summary="78 packages", seconds=0.9))

    line = re.compile(r"\x1b\[2K.*  ✓ base        78 packages +0\.9 s\r\n$", re.DOTALL)
    terminal.wait(line.search)


def test_notes_stand_above_the_stage_that_goes_on(terminal: _Terminal) -> None:
    """They are not lost when the live lines are redrawn."""
    terminal.view.show(Started(stage="steps"))
    terminal.view.show(Note(message="a private key is in the image"))

    terminal.wait(lambda text: "  ! a private key is in the image\r\n" in text)
    terminal.wait(lambda text: "… steps" in text.partition("private key")[2])


def test_commands_are_not_shown(terminal: _Terminal) -> None:
    """They are for --verbose."""
    terminal.view.show(Command(argv=("buildah", "from")))

    terminal.view.show(Note(message="end"))
    assert "buildah" not in terminal.wait(lambda text: "end" in text)


def test_what_a_program_prints_cannot_control_the_terminal(terminal: _Terminal) -> None:
    """Neither with sequences nor with markup of the library that draws."""
    terminal.view.show(Started(stage="steps", detail="[red]\33[2J\7"))
    terminal.view.show(OutputLine(stage="steps", line="\33]0;title\7\b\r[bold]x[/bold]\x9b2J"))
    shown = terminal.wait(lambda text: "[bold]x[/bold]" in text)

    assert "[red]" in shown
    left = _HARMLESS.sub("", shown)
    assert all(char.isprintable() or char in "\r\n" for char in left)


def test_lines_are_as_wide_as_the_terminal(terminal: _Terminal) -> None:
    """A longer one would be broken by the terminal, and could not be erased."""
    terminal.view.show(Started(stage="steps", detail="a" * 500))
    terminal.view.show(OutputLine(stage="steps", line="b" * 1_000_000))
    shown = terminal.wait(lambda text: "bbbb" in text)

    lines = re.split(r"[\r\n]+", _SEQUENCE.sub("", shown))
    assert max(map(len, lines)) <= _COLUMNS


def test_several_recipes_have_one_line_each(terminal: _Terminal) -> None:
    """Each with its name and what it does; a stage that is done leaves no line of its own."""
    terminal.view.show(Started(stage="packages", detail="gcc"), of="apps/one")
    terminal.view.show(Started(stage="steps", detail="make"), of="apps/two")
    terminal.view.show(OutputLine(stage="steps", line="cc -c x.c"), of="apps/two")
    terminal.view.show(Started(stage="base"), of="apps/three")
    terminal.view.show(Done(stage="base", summary="78 packages", seconds=0.9), of="apps/three")
    terminal.view.show(Note(message="a private key"), of="apps/two")

    one = r"  … apps/one               packages      \d\.\d s  gcc"
    two = r"  … apps/two               steps         \d\.\d s  make"
    shown = terminal.wait(lambda text: re.search(f"key\r\n{one}\r\n{two}", _SEQUENCE.sub("", text)))

    assert "  ! apps/two: a private key\r\n" in shown
    assert "78 packages" not in shown
    assert "cc -c" not in shown


def test_a_recipe_that_ended_has_no_line(terminal: _Terminal) -> None:
    """The others stay, and its own last line stands above them."""
    for name in ("one", "two"):
        terminal.view.show(Started(stage="steps"), of=name)
    terminal.view.leave("one")
    terminal.view.show(Done(stage="published", summary="one 1.0", seconds=2.0))

    shown = terminal.wait(lambda text: "… two" in text.partition("one 1.0")[2])

    assert "… one" not in shown.partition("one 1.0")[2]


def test_the_cursor_stays(terminal: _Terminal) -> None:
    """Who kills the process has a usable terminal."""
    terminal.view.show(Started(stage="base"))
    terminal.view.show(Done(stage="base", summary="", seconds=0.1))

    assert "?25" not in terminal.wait(lambda text: "✓" in text)


def test_a_view_that_is_left_draws_nothing_more(terminal: _Terminal) -> None:
    """An output line that comes late does not begin anew what ended."""
    terminal.view.show(Started(stage="base"))
    terminal.view.stop()
    terminal.stream.write("stopped")
    terminal.wait(lambda text: text.endswith("\x1b[2Kstopped"))

    terminal.view.show(OutputLine(stage="base", line="late"))
    time.sleep(0.3)

    assert terminal.text.endswith("\x1b[2Kstopped")


def test_many_lines_are_not_drawn_one_by_one(terminal: _Terminal) -> None:
    """A terminal that is slow does not slow the build."""
    terminal.view.show(Started(stage="steps"))
    began = time.process_time()
    for number in range(200_000):
        terminal.view.show(OutputLine(stage="steps", line=f"{number} " + "x" * 65_536))

    assert time.process_time() - began < 20
    assert len(terminal.text) < 100_000

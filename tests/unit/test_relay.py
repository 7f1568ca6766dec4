"""What a program draws on a terminal is passed on, and nothing that does more than draw."""

import os
import pty
import re
import select
import sys
import termios
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import ToolError
from imagekit.process import Runner
from imagekit.progress import Event
from imagekit.relay import Relay, harmless, undrawn

_BARS = """
import os, sys, time
assert os.isatty(2) and not os.isatty(1) and os.get_terminal_size(2).columns == 77
for number in range(3):
    print(f"\\x1b[1A\\x1b[Jbar {number}", file=sys.stderr, flush=True)
    time.sleep(0.3)
print("\\x1b]0;title\\x07end", file=sys.stderr)
print("result")
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a terminal of 77 columns: what is seen, and where it is written."""
    near, far = pty.openpty()
    termios.tcsetwinsize(far, (24, 77))
    os.set_blocking(near, False)
    yield near, far
    os.close(near)
    os.close(far)


def _seen(near: int) -> str:
    """Return what came: a terminal hands it on in pieces, and not at once."""
    seen = b""
    while select.select([near], [], [], 0.2)[0]:
        seen += os.read(near, 1 << 16)
    return seen.decode()


def test_a_program_draws_on_a_terminal_like_ours(terminal: tuple[int, int]) -> None:
    """Its stdout stays ours, and its lines are no events."""
    near, far = terminal
    events: list[Event] = []

    argv = (sys.executable, "-c", _BARS, "0")
    outcome = Runner(progress=events.append).run(argv, stage="pull", terminal=far)

    seen = _seen(near)
    assert outcome.stdout == "result\n"
    assert "\x1b[1A\x1b[Jbar 2\r\n" in seen
    assert "end" in seen
    assert "title" not in seen
    assert [type(event).__name__ for event in events] == ["Command"]


def test_what_it_said_last_is_in_the_error(terminal: tuple[int, int]) -> None:
    """Without what it drew with."""
    argv = (sys.executable, "-c", _BARS, "3")

    with pytest.raises(ToolError) as failed:
        Runner().run(argv, terminal=terminal[1])

    assert failed.value.output.splitlines() == ["bar 0", "bar 1", "bar 2", "end"]


def test_what_is_done_soon_shows_nothing(terminal: tuple[int, int]) -> None:
    """An image that is there needs no bars."""
    near, far = terminal

    Runner().run((sys.executable, "-c", "import sys; print('x', file=sys.stderr)"), terminal=far)

    assert _seen(near) == ""


def test_secrets_are_not_drawn(terminal: tuple[int, int]) -> None:
    """What is drawn is not searched for them, so nothing is."""
    near, far = terminal
    script = "import os, sys, time; print(os.isatty(2), 's3cret', file=sys.stderr); time.sleep(1)"

    outcome = Runner(secrets=("s3cret",)).run((sys.executable, "-c", script), terminal=far)

    assert outcome.stderr == "False ***\n"
    assert _seen(near) == ""


def test_what_was_held_back_is_shown_first(terminal: tuple[int, int]) -> None:
    """A character or a sequence may come in two pieces."""
    near, far = terminal
    relay = Relay(far, after=0.05)

    for piece in ("ä".encode()[:1], "ä".encode()[1:], b"\x1b", b"[1", b"Ax\x1b]0;", b"t\7y"):
        relay.feed(piece)
    time.sleep(0.3)
    relay.feed(b"z")
    relay.close()

    assert _seen(near).startswith("ä\x1b[1Ax")
    assert "\7" not in _seen(near)


def test_a_terminal_that_is_gone_ends_nothing() -> None:
    """As all narration: what cannot be written is lost."""
    near, far = pty.openpty()
    relay = Relay(far, after=0.0)
    os.close(far)
    os.close(near)

    relay.feed(b"x" * 100_000)
    relay.close()


@given(st.text() | st.text("\x1b[]0123;?AHJKm\7\\x", max_size=40))
def test_only_what_draws_is_left(text: str) -> None:
    """Whatever comes: printable text, ends of lines, and sequences that draw."""
    left = re.sub(r"\x1b\[[0-9;]*[ABCDGJKm]", "", harmless(text))

    assert all(c.isprintable() or c in "\r\n\t" for c in left)
    assert all(c.isprintable() or c == "\t" for c in undrawn(text))

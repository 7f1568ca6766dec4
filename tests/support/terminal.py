"""A terminal that keeps what a program draws on it, as the screens that somebody would have seen.

``python -m tests.support.terminal COMMAND...`` prints some of them as Markdown: scripts/record.
"""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pyte

COLUMNS = 80
_ROWS = 100
"""So many that nothing scrolls away."""
_MORE = 60
"""Columns beyond the program's, so that a line that is too long is seen as one."""
_LIVE = re.compile(r"^  … (\S+) ")
_PAGE_SECONDS = 12.0


class Screen(NamedTuple):
    """What stood on the terminal at one time."""

    seconds: float
    lines: tuple[str, ...]

    @property
    def live(self) -> tuple[str, ...]:
        """The lines of the stage at work; none between two."""
        begin = next((n for n, line in enumerate(self.lines) if _LIVE.match(line)), None)
        return () if begin is None else self.lines[begin:]


class Recorded(NamedTuple):
    """How a program ended, and what it drew."""

    status: int
    screens: tuple[Screen, ...]


def record(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, every: float = 0.2, limit: float
) -> Recorded:
    """Run a program on a terminal of 80 columns.

    Args:
        argv: the program.
        env: its environment; COLUMNS in it would speak for the terminal.
        cwd: its working folder.
        every: seconds between two screens that are kept.
        limit: seconds after which it is ended.
    """
    screen = pyte.Screen(COLUMNS + _MORE, _ROWS)
    stream = pyte.ByteStream(screen)
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, COLUMNS, 0, 0))
    variables = {key: value for key, value in env.items() if key != "COLUMNS"} | {"TERM": "xterm"}
    began = time.monotonic()
    screens = list[Screen]()
    with subprocess.Popen(
        argv, env=variables, cwd=cwd, stdin=far, stdout=far, stderr=far, start_new_session=True
    ) as process:
        os.close(far)
        for raw in _read(near, every):
            stream.feed(raw)
            seconds = time.monotonic() - began
            if seconds > limit:
                process.kill()
            if not screens or seconds - screens[-1].seconds >= every:
                screens.append(_screen(screen, seconds))
    os.close(near)
    screens.append(_screen(screen, time.monotonic() - began))
    return Recorded(process.returncode, tuple(screens))


def _read(near: int, every: float) -> Iterator[bytes]:
    """Yield what is drawn, and nothing where nothing is for a while."""
    # Linux says EIO where the last process that had the terminal is gone.
    with suppress(OSError):
        while True:
            ready, _, _ = select.select([near], [], [], every)
            raw = os.read(near, 1 << 16) if ready else b""
            if ready and not raw:
                return
            yield raw


def _screen(screen: pyte.Screen, seconds: float) -> Screen:
    lines = [line.rstrip() for line in screen.display]
    while lines and not lines[-1]:
        lines.pop()
    return Screen(seconds, tuple(lines))


def page(command: str, recorded: Recorded) -> str:
    """Return some of the screens as Markdown: what is live every few seconds, and the last one."""
    parts, shown = [f"```console\n$ {command}"], -_PAGE_SECONDS
    for screen in recorded.screens:
        if screen.live and screen.seconds - shown >= _PAGE_SECONDS:
            shown = screen.seconds
            parts += [f"```\n\nAfter {screen.seconds:.0f} s:\n\n```", *screen.live]
    parts += ["```\n\nAt its end:\n\n```", *recorded.screens[-1].lines, "```", ""]
    return "\n".join(parts)


def main() -> None:
    """Run the command of the arguments, and print the page; end as it ended."""
    argv = sys.argv[1:]
    recorded = record(argv, env=os.environ, cwd=Path.cwd(), limit=1800.0)
    sys.stdout.write(page(" ".join(argv), recorded))
    sys.exit(recorded.status)


if __name__ == "__main__":
    main()

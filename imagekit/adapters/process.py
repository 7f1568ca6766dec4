"""Running other programs: the only module that knows ``sh``.

Always an argument vector and never a shell; output is read as it comes, by the line and in bounded
memory; both streams are kept for the error; a time limit and Ctrl-C end the whole process group;
secrets are replaced before anything is shown or raised.
"""

import os
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self

from imagekit.errors import ToolError, ToolNotFoundError, ToolTimeoutError
from imagekit.model.event import Command, Output, Progress, silent

Stream = Literal["stdout", "stderr"]
OnLine = Callable[[Stream, str], None]

_PIECE = 1 << 16
_LONGEST_LINE = 1 << 16
_KEPT_LINES = 400
_KEPT_OUTPUT = 64 << 20
_SIGNALLED = 128
_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a program ended and what it wrote."""

    argv: tuple[str, ...]
    status: int
    """Its exit code; -N where signal N ended it."""
    stdout: str
    stderr: str
    seconds: float

    @property
    def last_lines(self) -> str:
        """What is worth showing of a failure: stderr, else stdout."""
        return self.stderr.strip() or self.stdout.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs programs for one piece of work.

    ``secrets`` are values that are shown as ``***`` wherever they appear.
    """

    progress: Progress = silent
    secrets: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    """The whole environment of the programs; None for that of this process."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stage: str = "",
        stdin: bytes = b"",
        limit: float = 60.0,
        cwd: Path | None = None,
        check: bool = True,
    ) -> Outcome:
        """Run a program to its end.

        Args:
            argv: the program and its arguments.
            stage: the stage that its lines are shown in; empty where they are not shown.
            stdin: what it reads.
            limit: seconds that it may take.
            cwd: the folder that it runs in.
            check: whether another exit code than 0 is an error.

        Returns:
            How it ended.

        Raises:
            ToolNotFoundError: the program is not installed.
            ToolTimeoutError: it took longer than the limit.
            ToolError: it failed and ``check`` was asked for.
        """

        def show(stream: Stream, line: str) -> None:
            del stream
            if stage:
                self.progress(Output(stage=stage, line=line))

        outcome = self.stream(argv, on_line=show, stdin=stdin, limit=limit, cwd=cwd)
        if check and outcome.status != 0:
            raise failure(outcome)
        return outcome

    def stream(
        self,
        argv: Sequence[str],
        *,
        on_line: OnLine,
        stdin: bytes = b"",
        limit: float = 60.0,
        cwd: Path | None = None,
        hold_stdin: bool = False,
    ) -> Outcome:
        """Run a program and hand over its lines as they come, in this thread's place.

        Args:
            argv: the program and its arguments.
            on_line: called with the stream and the line, one at a time.
            stdin: what it reads.
            limit: seconds that it may take.
            cwd: the folder that it runs in.
            hold_stdin: leave its stdin open until it ended, so that it sees when we are gone.

        Returns:
            How it ended, whatever its exit code.

        Raises:
            ToolNotFoundError: the program is not installed.
            ToolTimeoutError: it took longer than the limit.
        """
        shown = tuple(self.redact(word) for word in argv)
        self.progress(Command(argv=shown))
        began = time.monotonic()
        with _Child(argv, env=self.env, cwd=cwd, stdin=stdin, hold_stdin=hold_stdin) as child:

            def take(stream: Stream, line: str) -> None:
                on_line(stream, self.redact(line))

            out = _Reader("stdout", child.stdout, take)
            err = _Reader("stderr", child.stderr, take)
            status = child.wait(limit)
            out.join()
            err.join()
        seconds = time.monotonic() - began
        outcome = Outcome(
            argv=shown,
            status=0 if status is None else status,
            stdout=self.redact(out.text),
            stderr=self.redact(err.text),
            seconds=seconds,
        )
        if status is None:
            raise ToolTimeoutError(
                f"{shown[0]} was stopped after {limit:.0f} s",
                hint="raise `time_limit` in the recipe if it needs longer",
                argv=shown,
                output=outcome.last_lines,
            )
        return outcome

    def foreground(self, argv: Sequence[str]) -> int:
        """Run a program with this process's own terminal and streams; return its exit code.

        Raises:
            ToolNotFoundError: the program is not installed.
        """
        self.progress(Command(argv=tuple(self.redact(word) for word in argv)))
        sh = _sh()
        command = _command(argv[0])
        try:
            command(*argv[1:], _fg=True, _env=dict(self.env) if self.env is not None else None)
        except sh.ErrorReturnCode as error:
            code = int(error.exit_code)
            return code if code >= 0 else _SIGNALLED - code
        return 0

    def redact(self, text: str) -> str:
        """Replace every secret in the text."""
        for secret in self.secrets:
            if secret:
                text = text.replace(secret, "***")
        return text


def failure(outcome: Outcome) -> ToolError:
    """Return the error that says how the program failed."""
    how = f"ended with {outcome.status}"
    if outcome.status < 0:
        how = f"was ended by signal {-outcome.status}"
    return ToolError(
        f"{' '.join(outcome.argv[:3])}: {how}",
        argv=outcome.argv,
        status=outcome.status,
        output=outcome.last_lines,
    )


def which(program: str) -> Path | None:
    """Return where a program is, or None where it is not installed."""
    import shutil

    found = shutil.which(program)
    return None if found is None else Path(found)


def _sh() -> Any:
    # 80 ms to import: only where a program is really run.
    import sh

    return sh


def _command(program: str) -> Any:
    sh = _sh()
    try:
        return sh.Command(program)
    except sh.CommandNotFound as error:
        raise ToolNotFoundError(
            f"{program} is not installed", hint=f"on Debian: apt-get install {Path(program).name}"
        ) from error


class _Child:
    """A program that runs: in a session of its own, its streams as pipes that we read."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None,
        cwd: Path | None,
        stdin: bytes,
        hold_stdin: bool,
    ) -> None:
        self._argv, self._env, self._cwd = argv, env, cwd
        self._stdin, self._hold = stdin, hold_stdin
        self._process: Any = None
        self._held: int | None = None
        self._ended = threading.Event()
        self._status: int | None = None

    def __enter__(self) -> Self:
        command = _command(self._argv[0])
        read_out, write_out = os.pipe()
        read_err, write_err = os.pipe()
        self.stdout, self.stderr = os.fdopen(read_out, "rb"), os.fdopen(read_err, "rb")
        source = self._source()
        with os.fdopen(write_out, "wb") as out, os.fdopen(write_err, "wb") as err, source:
            self._process = command(
                *self._argv[1:],
                _in=source,
                _out=out,
                _err=err,
                _bg=True,
                _bg_exc=False,
                _new_session=True,
                _env=dict(self._env) if self._env is not None else None,
                _cwd=None if self._cwd is None else os.fspath(self._cwd),
                _ok_code=list(range(-65, 256)),
            )
        # sh's own notice of an end comes up to a second late; waiting for it comes at once.
        threading.Thread(target=self._await, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end_group()
        finally:
            self.stdout.close()
            self.stderr.close()
            if self._held is not None:
                os.close(self._held)

    def wait(self, limit: float) -> int | None:
        """Return the exit code, or None when the limit was reached and the group was ended."""
        if self._ended.wait(limit):
            return self._status
        self._end_group()
        return None

    def _source(self) -> IO[bytes]:
        if self._hold:
            read, write = os.pipe()
            self._held = write
            threading.Thread(target=_feed, args=(write, self._stdin), daemon=True).start()
            return os.fdopen(read, "rb")
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        file.write(self._stdin)
        file.seek(0)
        return file

    def _await(self) -> None:
        self._process.wait()
        self._status = self._process.exit_code
        self._ended.set()

    def _end_group(self) -> None:
        """End what is left of the group: politely, then for good."""
        if self._process is None:
            return
        group = self._process.pid
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(group, number)
            except (ProcessLookupError, PermissionError):
                return
            self._ended.wait(_GRACE_SECONDS)


def _feed(handle: int, raw: bytes) -> None:
    view = memoryview(raw)
    try:
        while view:
            view = view[os.write(handle, view) :]
    except OSError:
        return  # the program ended without reading all of it


class _Reader(threading.Thread):
    """Reads one stream by the line, keeps its last lines, and hands each over."""

    _turn = threading.Lock()

    def __init__(self, stream: Stream, file: IO[bytes], on_line: OnLine) -> None:
        super().__init__(daemon=True)
        self._stream, self._file, self._on_line = stream, file, on_line
        self._lines: deque[str] = deque()
        self._kept = 0
        self.start()

    @property
    def text(self) -> str:
        """What was kept."""
        return "\n".join(self._lines) + ("\n" if self._lines else "")

    def run(self) -> None:
        rest = b""
        # read1 returns what is there; a file's iterator would wait for whole lines for ever.
        while piece := self._read():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._take(line)
            while len(rest) > _LONGEST_LINE:
                self._take(rest[:_LONGEST_LINE])
                rest = rest[_LONGEST_LINE:]
        if rest:
            self._take(rest)

    def _read(self) -> bytes:
        try:
            return os.read(self._file.fileno(), _PIECE)
        except (OSError, ValueError):
            return b""

    def _take(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip("\r")
        self._lines.append(line)
        self._kept += len(line) + 1
        while self._kept > _KEPT_OUTPUT:
            self._kept -= len(self._lines.popleft()) + 1
        with self._turn:
            self._on_line(self._stream, line)

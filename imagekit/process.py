"""Running other programs: the only module that knows ``sh``.

Always an argument vector and never a shell; output is read as it comes, by the line and in bounded
memory; both streams are kept for the error; a time limit and Ctrl-C end the whole process group;
secrets are replaced before anything is shown or raised.

Ctrl-C reaches the main thread only. What other threads run is ended by ``interrupt``, which alone
needs to know of all of them: the set of those that run is the one state of this module.
"""

import ctypes
import os
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal, Self

from msgspec import Struct

from imagekit.errors import ToolError, ToolNotFoundError, ToolTimeoutError
from imagekit.progress import Command, OutputLine, Progress, silent
from imagekit.relay import Relay, terminal_like, undrawn

_SET_DUMPABLE = 4

Stream = Literal["stdout", "stderr"]
OnLine = Callable[[Stream, str], None]
Ask = Callable[[int, int], None]

_PIECE = 1 << 16
_LONGEST_LINE = 1 << 16
_KEPT_OUTPUT = 8 << 20
_LINE_COST = 64
"""What a kept line costs beside its text."""
_SHORTEST_SECRET_LINE = 4
_SIGNALLED = 128
_ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""What asks a program to end."""
_HELD_GRACE_SECONDS = 60.0
_DRAIN_SECONDS = 5.0


# In a process of its own: this one may have something else there.
_AS_THIRD = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execvp(sys.argv[2], sys.argv[2:])"


_running: set["_Child"] = set()
_guard = threading.Lock()


class Outcome(Struct, frozen=True, kw_only=True):
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


class Runner(Struct, frozen=True, kw_only=True):
    """Runs programs for one piece of work.

    ``secrets`` are values that are shown as ``***`` wherever they appear.
    """

    progress: Progress = silent
    secrets: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    """The whole environment of the programs; None for that of this process."""
    end_orphans: Callable[[], None] | None = None
    """Ends what a program left running outside of its process group."""
    grace: float = 5.0
    """Seconds between asking a program to end and ending it."""
    wrap: Callable[[Sequence[str]], Sequence[str]] = tuple
    """Returns the command that runs another one in a sandbox or namespace."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stage: str = "",
        stdin: bytes = b"",
        limit: float = 60.0,
        cwd: Path | None = None,
        check: bool = True,
        terminal: int | None = None,
    ) -> Outcome:
        """Run a program to its end.

        Args:
            argv: the program and its arguments.
            stage: the stage that its lines are shown in; empty where they are not shown.
            stdin: what it reads.
            limit: seconds that it may take.
            cwd: the folder that it runs in.
            check: whether another exit code than 0 is an error.
            terminal: as for ``stream``.

        Returns:
            How it ended.

        Raises:
            ToolNotFoundError: the program is not installed.
            ToolTimeoutError: it took longer than the limit.
            ToolError: it failed and ``check`` was asked for.
        """

        def show(stream: Stream, line: str) -> None:
            del stream
            if stage and terminal is None:
                self.progress(OutputLine(stage=stage, line=line))

        outcome = self.stream(
            argv, on_line=show, stdin=stdin, limit=limit, cwd=cwd, terminal=terminal
        )
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
        longest: int = _LONGEST_LINE,
        terminal: int | None = None,
    ) -> Outcome:
        """Run a program and hand over its lines as they come, in this thread's place.

        What ``on_line`` raises ends the program and is raised here. When the program has ended,
        whatever it left running is ended too.

        Args:
            argv: the program and its arguments.
            on_line: called with the stream and the line, one at a time.
            stdin: what it reads.
            limit: seconds that it may take.
            cwd: the folder that it runs in.
            hold_stdin: leave its stdin open until it ended, so that it sees when this process is
                gone; it is then asked to end by closing it, and given time to clean up.
            longest: characters after which a line is cut.
            terminal: a descriptor of ours on which is shown what it writes to stderr: it gets a
                terminal for that, and draws as if it were alone.

        Returns:
            How it ended, whatever its exit code.

        Raises:
            ToolNotFoundError: the program is not installed.
            ToolTimeoutError: it took longer than the limit.
            KeyboardInterrupt: by Ctrl-C in the main thread, by ``interrupt`` in any.
        """
        argv = self.wrap(argv)
        if self.secrets:
            # They are found in lines, and what is drawn has none.
            terminal = None
        shown = tuple(self.redact(word) for word in argv)
        self.progress(Command(argv=shown))
        began = time.monotonic()
        with (
            _shown_on(terminal) as relay,
            _Child(
                argv, self, cwd=cwd, stdin=stdin, hold_stdin=hold_stdin, terminal=terminal
            ) as child,
        ):
            lines = self._lines(on_line, longest)
            out = _Reader("stdout", child.stdout, lines, give_up=child.give_up)
            err = _Reader("stderr", child.stderr, lines, give_up=child.give_up, relay=relay)
            status = child.wait(limit)
            # Before the streams are read to their end: what still runs may hold them open.
            child.end()
            if self.end_orphans is not None:
                self.end_orphans()
            out.join(_DRAIN_SECONDS)
            err.join(_DRAIN_SECONDS)
        _raise_faults(out, err)
        seconds = time.monotonic() - began
        outcome = Outcome(
            argv=shown,
            status=0 if status is None else status,
            stdout=out.text,
            stderr=err.text,
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

    def foreground(self, argv: Sequence[str], *, ask: Ask | None = None) -> int:
        """Run a program with this process's own terminal and streams; return its exit code.

        What asks this process to end meanwhile is handed over to the program, whose end is waited
        for: so nothing goes on behind the back of whoever asked.

        Args:
            argv: the program and its arguments.
            ask: hands such a signal over: gets the program's id and the signal's number.

        Raises:
            ToolNotFoundError: the program is not installed.
            ToolError: it cannot be started.
        """
        argv = tuple(self.wrap(argv))
        self.progress(Command(argv=tuple(self.redact(word) for word in argv)))
        path = which(argv[0])
        if path is None:
            raise _not_installed(argv[0])
        with _held_back(_ENDINGS) as mask:
            try:
                pid = os.posix_spawn(
                    path,
                    argv,
                    os.environ if self.env is None else self.env,
                    setsigmask=mask,
                    # Python ignores it, and so would the program.
                    setsigdef=[signal.SIGPIPE],
                )
            except OSError as error:
                raise ToolError(f"{argv[0]} cannot be started: {error.strerror}") from error
            before = _handed_over(pid, ask or _ask)
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return status if status >= 0 else _SIGNALLED - status

    def redact(self, text: str) -> str:
        """Replace every secret in the text, and every line of a secret of several lines."""
        for secret in _needles(self.secrets):
            text = text.replace(secret, "***")
        return text

    def _lines(self, on_line: OnLine, longest: int) -> "_Lines":
        margin = max(map(len, _needles(self.secrets)), default=0)
        return _Lines(on_line, self.redact, max(longest, 2 * margin), margin)


@contextmanager
def _shown_on(terminal: int | None) -> Iterator[Relay | None]:
    if terminal is None:
        yield None
        return
    relay = Relay(terminal)
    try:
        yield relay
    finally:
        relay.close()


@lru_cache
def _needles(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Return what has to be replaced, the longest first; output comes by the line."""
    lines = {line.strip() for secret in secrets for line in secret.splitlines()}
    long = {line for line in lines if len(line) >= _SHORTEST_SECRET_LINE}
    # A file of a short secret often ends with a line feed, which no line of output has.
    whole = {secret.rstrip("\r\n") for secret in secrets}
    wanted = {text for text in (*secrets, *whole, *long) if text.strip("*\r\n")}
    return tuple(sorted(wanted, key=len, reverse=True))


def _raise_faults(*readers: "_Reader") -> None:
    for reader in readers:
        if reader.fault is not None:
            raise reader.fault


def as_third(argv: Sequence[str], descriptor: int | None) -> tuple[str, ...]:
    """Return a command that has an inherited descriptor as its descriptor 3, the first beside std*.

    Args:
        argv: the command.
        descriptor: one that this process inherited, and that programs inherit from it; None for a
            command that is given none.
    """
    if descriptor is None:
        return tuple(argv)
    return (sys.executable, "-I", "-c", _AS_THIRD, str(descriptor), *argv)


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

    path = shutil.which(program)
    return None if path is None else Path(path)


def _sh() -> Any:
    # 80 ms to import: only where a program is really run.
    import sh

    return sh


def _command(program: str) -> Any:
    sh = _sh()
    try:
        return sh.Command(program)
    except sh.CommandNotFound as error:
        raise _not_installed(program) from error


def _not_installed(program: str) -> ToolNotFoundError:
    return ToolNotFoundError(
        f"{program} is not installed", hint=f"on Debian: apt-get install {Path(program).name}"
    )


def sent_by_terminal(number: int) -> bool:
    """Return whether a signal is one that the terminal sends to all processes of the foreground."""
    if number != signal.SIGINT:
        return False
    with suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp()
        finally:
            os.close(terminal)
    return False


def _ask(pid: int, number: int) -> None:
    if not sent_by_terminal(number):
        # It may have ended, and nobody was told yet.
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def _held_back(numbers: Collection[signal.Signals]) -> Iterator[set[signal.Signals | int]]:
    """Hold signals back for a while; yield the mask of before."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _handed_over(pid: int, ask: Ask) -> dict[signal.Signals, Any]:
    """Have requests to end handed over to a program; return the handlers of before.

    What is ignored, as by nohup(1), stays so; only the main thread can change handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    ours = {
        number: handler
        for number, handler in before.items()
        if handler is not None and handler != signal.SIG_IGN
    }
    for number in ours:
        signal.signal(number, lambda number, _: ask(pid, number))
    return ours


@contextmanager
def _started_first() -> Iterator[None]:
    """Let a signal that ends this process wait until a program is started.

    NOTE: behind os.fork Python runs what libraries registered (os.register_at_fork: logging does),
    and what the handler of a signal raises there is printed and forgotten. So Ctrl-C was lost.
    """
    if threading.current_thread() is not threading.main_thread():
        # No handler runs in it.
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    handlers = {number: handler for number, handler in before.items() if callable(handler)}
    came: list[int] = []

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    try:
        for number in handlers:
            signal.signal(number, lambda came_in, _: came.append(came_in))
        yield
    finally:
        try:
            restore()
        finally:
            # A signal that comes meanwhile has left some of them.
            restore()
    if came:
        handlers[signal.Signals(came[0])](came[0], None)


class _Child:
    """A program that runs: in a session of its own, its streams as pipes that we read."""

    def __init__(
        self,
        argv: Sequence[str],
        runner: Runner,
        *,
        cwd: Path | None,
        stdin: bytes,
        hold_stdin: bool,
        terminal: int | None,
    ) -> None:
        self._terminal = terminal
        self._argv, self._env, self._cwd, self._grace = argv, runner.env, cwd, runner.grace
        self._stdin, self._hold = stdin, hold_stdin
        self._process: Any = None
        self._held: int | None = None
        self._ended, self._wake = threading.Event(), threading.Event()
        self._status: int | None = None
        self._interrupted = False

    def __enter__(self) -> Self:
        command = _command(self._argv[0])
        read_out, write_out = os.pipe()
        read_err, write_err = os.pipe() if self._terminal is None else terminal_like(self._terminal)
        self.stdout, self.stderr = os.fdopen(read_out, "rb"), os.fdopen(read_err, "rb")
        source = self._source()
        # From here on ``interrupt`` reaches it, however far it is.
        with _guard:
            _running.add(self)
        with os.fdopen(write_out, "wb") as out, os.fdopen(write_err, "wb") as err, source:
            try:
                with _started_first():
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
                    # sh's own notice of an end comes up to a second late; waiting comes at once.
                    threading.Thread(target=self._await, daemon=True).start()
            except (_sh().ForkException, OSError, ValueError) as error:
                self.__exit__()
                # sh shows the traceback of the child: its last line says what happened.
                reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
                raise ToolError(f"{self._argv[0]} cannot be started: {reason[0]}") from error
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        with _guard:
            _running.discard(self)
        try:
            self.end()
        finally:
            self._close()

    def wait(self, limit: float) -> int | None:
        """Return the exit code, or None when the limit was reached or the reading failed.

        Raises:
            KeyboardInterrupt: ``interrupt`` was called meanwhile.
        """
        self._wake.wait(limit)
        if self._interrupted:
            raise KeyboardInterrupt
        return self._status if self._ended.is_set() else None

    def interrupt(self) -> None:
        """Let the waiting thread end the program and be interrupted."""
        self._interrupted = True
        self._wake.set()

    def give_up(self) -> None:
        """Let the waiting thread go on: the program's output is not read any more."""
        self._wake.set()

    def end(self) -> None:
        """End what is left of the group: by SIGTERM, then by SIGKILL."""
        if self._process is None:
            return
        if not self._ended.is_set() and self._held is not None:
            self._let_go()
            self._ended.wait(_HELD_GRACE_SECONDS)
        group = self._process.pid
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(group, number)
            except (ProcessLookupError, PermissionError):
                return
            self._ended.wait(self._grace)

    def _close(self) -> None:
        self.stdout.close()
        self.stderr.close()
        self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

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
        self._wake.set()


def _feed(handle: int, raw: bytes) -> None:
    view = memoryview(raw)
    try:
        while view:
            view = view[os.write(handle, view) :]
    except OSError:
        return  # the program ended without reading all of it


class _Lines(Struct, frozen=True):
    """What becomes of lines: secrets are replaced, long ones are cut, and each is passed on."""

    on_line: OnLine
    redact: Callable[[str], str]
    longest: int
    margin: int
    """Length of the longest secret: no cut goes through one."""

    def cut(self, text: str) -> tuple[str, str]:
        """Return what of an unfinished line is passed on now, and what waits for the rest."""
        text = self.redact(text)
        if len(text) <= self.longest:
            return "", text
        return text[: self.longest - self.margin], text[self.longest - self.margin :]


class _Reader(threading.Thread):
    """Reads one stream by the line, keeps its last lines, and hands each over."""

    _turn = threading.Lock()

    def __init__(
        self,
        stream: Stream,
        file: IO[bytes],
        lines: _Lines,
        *,
        give_up: Callable[[], None],
        relay: Relay | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self._relay = relay
        self._stream, self._file, self._lines, self._give_up = stream, file, lines, give_up
        self._kept: deque[str] = deque()
        self._cost = 0
        self.fault: BaseException | None = None
        """What stopped the reading before the end."""
        self.start()

    @property
    def text(self) -> str:
        """What was kept."""
        return "\n".join(self._kept) + ("\n" if self._kept else "")

    def run(self) -> None:
        try:
            self._read_all()
        except BaseException as fault:  # noqa: BLE001 - a thread has no caller: the waiting one raises it
            self.fault = fault
            # The program sees at once that its output is not read any more.
            self._file.close()
            self._give_up()

    def _read_all(self) -> None:
        rest = bytearray()
        while piece := self._read():
            if self._relay is not None:
                self._relay.feed(piece)
            first, *lines = piece.split(b"\n")
            rest += first
            for line in lines:
                self._take(rest)
                rest = bytearray(line)
            while len(rest) > self._lines.longest and len(shorter := self._cut(rest)) < len(rest):
                rest = shorter
        if rest:
            self._take(rest)

    def _read(self) -> bytes:
        # What is there already: a file's iterator would wait for whole lines for ever.
        try:
            return os.read(self._file.fileno(), _PIECE)
        except (OSError, ValueError):
            return b""

    def _cut(self, rest: bytearray) -> bytearray:
        now, later = self._lines.cut(rest.decode("utf-8", "surrogateescape"))
        if now:
            self._take(bytearray(now.encode("utf-8", "surrogateescape")))
        return bytearray(later.encode("utf-8", "surrogateescape"))

    def _take(self, raw: bytearray) -> None:
        text = raw.decode("utf-8", "replace").rstrip("\r")
        line = self._lines.redact(text if self._relay is None else undrawn(text))
        self._kept.append(line)
        self._cost += len(line) + _LINE_COST
        while self._cost > _KEPT_OUTPUT and len(self._kept) > 1:
            self._cost -= len(self._kept.popleft()) + _LINE_COST
        with self._turn:
            self._lines.on_line(self._stream, line)


def interrupt() -> None:
    """End the programs that run now; whoever waits for one gets KeyboardInterrupt.

    What they start from then on, to clean up, runs as ever.
    """
    with _guard:
        for child in _running:
            child.interrupt()


def hide_memory() -> None:
    """Let no other process of this user read this one's memory, environment or files.

    The kernel then treats it as another user's (prctl(2), PR_SET_DUMPABLE): it cannot be traced,
    and it leaves no core behind. Programs that it starts are not affected.

    Raises:
        ToolError: the kernel refuses it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise ToolError(f"cannot hide this process: {os.strerror(ctypes.get_errno())}")

"""Programs are run to their end, with bounded memory and time, and without secrets in the open."""

import os
import pty
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imagekit import process
from imagekit.errors import ToolError, ToolNotFoundError, ToolTimeoutError
from imagekit.process import Outcome, Runner, Stream, failure, which
from imagekit.progress import Command, Event, OutputLine
from imagekit.subreaper import adopt_orphans, end_orphans


def _sh(text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


def _lines(runner: Runner, argv: list[str], **how: object) -> list[str]:
    found: list[str] = []

    def take(stream: Stream, line: str) -> None:
        del stream
        found.append(line)

    runner.stream(argv, on_line=take, **how)  # type: ignore[arg-type]  # the options of stream()
    return found


def _gone(pid: int) -> bool:
    """Return whether the process ended; a zombie has."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_missing_program_is_named_with_its_remedy() -> None:
    """What is not installed is told as such, and how to install it."""
    with pytest.raises(ToolNotFoundError, match="no-such-program is not installed") as caught:
        Runner().run(["no-such-program"])

    assert "apt-get install no-such-program" in caught.value.hint


def test_failure_has_both_streams_and_the_status() -> None:
    """The error says how it ended, and stderr before stdout."""
    with pytest.raises(ToolError, match="ended with 3") as caught:
        Runner().run(_sh("echo out; echo err >&2; exit 3"))

    assert (caught.value.status, caught.value.output) == (3, "err")


def test_failure_without_stderr_shows_stdout() -> None:
    """Programs that complain on stdout are heard too."""
    with pytest.raises(ToolError) as caught:
        Runner().run(_sh("echo complaint; exit 1"))

    assert caught.value.output == "complaint"


def test_unchecked_failure_is_an_outcome() -> None:
    """Where the caller judges himself, nothing is raised."""
    outcome = Runner().run(_sh("exit 9"), check=False)

    assert outcome.status == 9


def test_end_by_a_signal_is_told_by_its_number() -> None:
    """A program that crashed did not just end with some code."""
    outcome = Runner().run(_sh("kill -SEGV $$"), check=False)

    assert outcome.status == -signal.SIGSEGV
    assert f"signal {int(signal.SIGSEGV)}" in failure(outcome).message


def test_a_folder_that_is_not_there_is_a_tool_error(tmp_path: Path) -> None:
    """A program that cannot be started is an error with its name, not a traceback."""
    with pytest.raises(ToolError, match="/bin/sh cannot be started"):
        Runner().run(_sh("true"), cwd=tmp_path / "none")


def test_arguments_that_the_kernel_refuses_are_a_tool_error() -> None:
    """An argument of megabytes cannot be given to any program."""
    with pytest.raises(ToolError, match="cannot be started"):
        Runner().run(["/bin/true", "x" * (8 << 20)])


def test_the_time_limit_ends_the_whole_group() -> None:
    """Children in the group are ended with the program, and what it said so far is kept."""
    with pytest.raises(ToolTimeoutError, match="stopped after 1 s") as caught:
        Runner().run(_sh("sleep 1000 & echo $!; wait"), limit=1.0)

    assert _gone(int(caught.value.output))
    assert "time_limit" in caught.value.hint


def test_a_program_that_ignores_sigterm_is_killed() -> None:
    """Politeness has an end."""
    began = time.monotonic()

    with pytest.raises(ToolTimeoutError) as caught:
        Runner(grace=0.3).run(_sh("trap '' TERM; echo $$; while :; do sleep 0.1; done"), limit=0.5)

    assert _gone(int(caught.value.output))
    assert time.monotonic() - began < 10


def test_what_stays_in_the_background_does_not_hold_us_up() -> None:
    """A child that holds the streams open is ended when the program has ended."""
    began = time.monotonic()

    outcome = Runner().run(_sh("sleep 1000 & echo $!"))

    assert _gone(int(outcome.stdout))
    assert time.monotonic() - began < 10


def test_strays_in_sessions_of_their_own_are_ended() -> None:
    """What left the group, and closed its streams, is found by its parent."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # a process of its own: adopting concerns the whole process
        adopt_orphans()
        runner = Runner(end_orphans=end_orphans)
        said = runner.run(_sh("setsid sh -c 'trap \"\" TERM HUP; sleep 1000' >&- 2>&- & echo $!"))
        os.write(write, said.stdout.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)

    assert _gone(int(os.read(read, 100)))
    os.close(read)


def test_stdin_is_what_was_given() -> None:
    """Bytes, whole, and then the end."""
    raw = b"\0binary\n" * 50_000

    outcome = Runner().run(["/usr/bin/wc", "-c"], stdin=raw)

    assert int(outcome.stdout) == len(raw)


def test_a_held_stdin_stays_open_until_the_program_ended() -> None:
    """It reads its line, and only then ends, though more could come."""
    assert _lines(Runner(), _sh("read x; echo got $x"), stdin=b"word\n", hold_stdin=True) == [
        "got word"
    ]


def test_a_program_with_held_stdin_is_asked_by_closing_it() -> None:
    """It gets the time to clean up that a signal to its group would take away."""
    script = "echo up; cat; sleep 0.5; echo cleaned"
    found: list[str] = []

    def take(stream: Stream, line: str) -> None:
        del stream
        found.append(line)

    with pytest.raises(ToolTimeoutError):
        Runner().stream(_sh(script), on_line=take, limit=0.5, hold_stdin=True)

    assert found == ["up", "cleaned"]


def test_what_the_listener_raises_ends_the_program_and_is_raised() -> None:
    """A listener that cannot go on does not leave the program blocked for ever."""

    def fail(stream: Stream, line: str) -> None:
        raise LookupError(line)

    began = time.monotonic()
    with pytest.raises(LookupError, match=r"^y$"):
        Runner().stream(["/usr/bin/yes"], on_line=fail, limit=60.0)

    assert time.monotonic() - began < 30


def test_binary_output_is_text_all_the_same() -> None:
    """Bytes that are no UTF-8 become replacement characters."""
    assert _lines(Runner(), ["/usr/bin/printf", r"a\377b\r\n"]) == ["a\N{REPLACEMENT CHARACTER}b"]


@pytest.mark.parametrize("letter", ["x", "\N{SNOWMAN}"])
def test_a_line_without_end_is_cut(letter: str) -> None:
    """Megabytes without a line's end are handed over in pieces, and nothing is lost."""
    code = f"import sys; sys.stdout.write({letter!r} * 1_000_000)"

    found = _lines(Runner(), [sys.executable, "-X", "utf8", "-c", code])

    assert sum(map(len, found)) == 1_000_000
    assert max(map(len, found)) <= 2 << 16


def test_a_long_message_comes_whole_where_it_may() -> None:
    """Who speaks in long lines gets them in one piece."""
    code = "print('x' * 3_000_000)"

    assert _lines(Runner(), [sys.executable, "-c", code], longest=8 << 20) == ["x" * 3_000_000]


def test_only_the_last_output_is_kept() -> None:
    """A program that never stops printing does not fill the memory."""
    code = "import sys\nfor n in range(400_000): sys.stdout.write(f'line {n}\\n')"

    outcome = Runner().run([sys.executable, "-c", code])

    assert outcome.stdout.endswith("line 399999\n")
    assert len(outcome.stdout) < 8 << 20
    assert not outcome.stdout.startswith("line 0\n")


def test_lines_and_commands_are_told_as_they_come() -> None:
    """Whoever watches sees the command, then its lines with their stage."""
    told: list[Event] = []

    Runner(progress=told.append).run(_sh("echo one"), stage="steps")

    assert told == [
        Command(argv=("/bin/sh", "-c", "echo one")),
        OutputLine(stage="steps", line="one"),
    ]


def test_without_a_stage_lines_are_not_told() -> None:
    """What a program prints for us alone is shown to nobody."""
    told: list[Event] = []

    Runner(progress=told.append).run(_sh("echo one"))

    assert [type(event) for event in told] == [Command]


def test_secrets_are_replaced_everywhere() -> None:
    """In the command, in events, in what is kept and in errors."""
    told: list[Event] = []
    runner = Runner(progress=told.append, secrets=("hunter2", ""))

    with pytest.raises(ToolError) as caught:
        runner.run(_sh("echo a hunter2 b; echo hunter2 >&2; exit 1"), stage="steps")

    everything = f"{told} {caught.value.argv} {caught.value.output} {caught.value.message}"
    assert "hunter2" not in everything
    assert OutputLine(stage="steps", line="a *** b") in told


def test_every_line_of_a_long_secret_is_replaced() -> None:
    """A private key has many lines, and output comes by the line."""
    secret = "-----BEGIN KEY-----\nMIGHAgEAMBMGByqGSM49\nAwEHBG0wawIBAQQg\n-----END KEY-----"
    outcome = Runner(secrets=(secret,)).run(["/bin/cat"], stdin=secret.encode())

    assert outcome.stdout == "***\n" * 4


def test_no_cut_goes_through_a_secret() -> None:
    """Where a line is cut in pieces, no piece has a part of a secret."""
    code = "import sys; sys.stdout.write(('.' * 4090 + 'hunter2-hunter2') * 100)"

    found = _lines(Runner(secrets=("hunter2-hunter2",)), [sys.executable, "-c", code])

    assert "hunter" not in "".join(found)
    assert "".join(found).count("***") == 100


def test_a_secret_of_stars_changes_nothing() -> None:
    """Replacing it by itself would never end."""
    assert Runner(secrets=("*", "**")).redact("a * b") == "a * b"


def test_the_environment_is_what_was_given() -> None:
    """Nothing of this process's own comes along."""
    outcome = Runner(env={"ONLY": "this"}).run(["/usr/bin/env"])

    assert outcome.stdout == "ONLY=this\n"


def test_foreground_gives_the_exit_code() -> None:
    """Also where a signal ended it, as a shell tells it."""
    assert Runner().foreground(_sh("exit 0")) == 0
    assert Runner().foreground(_sh("exit 5")) == 5
    assert Runner().foreground(_sh("kill -TERM $$")) == 128 + signal.SIGTERM


# What handles signals is a process of its own: the one that runs tests has workers and a terminal.
_ALONE = """
import signal, sys
from imagekit import process

process.sent_by_terminal = lambda _: {terminal}
number = signal.SIG{name}
signal.signal(number, {before})
before = signal.getsignal(number)
code = process.Runner().foreground(("sh", "-c", sys.argv[1]))
sys.exit(code if signal.getsignal(number) == before else 99)
"""


def _foreground(script: str, name: str, *, terminal: bool = False, before: str = "") -> int:
    """Run a script in the foreground of a process of its own; return what that returned."""
    before = before or ("signal.default_int_handler" if name == "INT" else "signal.SIG_DFL")
    program = _ALONE.format(terminal=terminal, name=name, before=before)
    done = subprocess.run([sys.executable, "-c", program, script], timeout=60, check=False)
    return done.returncode


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT"])
def test_who_asks_to_end_asks_the_program(name: str) -> None:
    """Its end is waited for; what is asked afterwards is for this process again."""
    script = f"trap 'exit 7' {name}; kill -{name} $PPID; for i in $(seq 100); do sleep 0.1; done"

    assert _foreground(script, name) == 7


def test_what_the_terminal_sends_to_all_is_sent_once() -> None:
    """The program has it already."""
    script = "trap 'exit 7' INT; kill -INT $PPID; sleep 0.5; exit 3"

    assert _foreground(script, "INT", terminal=True) == 3


def test_what_is_ignored_stays_so() -> None:
    """As nohup wants it."""
    assert _foreground("kill -HUP $PPID; exit 3", "HUP", before="signal.SIG_IGN") == 3


def test_another_thread_runs_programs_too() -> None:
    """Only that nothing is handed over there."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(Runner().foreground, _sh("exit 4")).result() == 4


_SIGNALLED_AT_FORK = """
import os, signal, sys
from pathlib import Path
from imagekit.process import Runner

def stop(number, frame):
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)

if sys.argv[1] == "TERM":
    signal.signal(signal.SIGTERM, stop)
number = signal.Signals["SIG" + sys.argv[1]]
os.register_at_fork(after_in_parent=lambda: signal.raise_signal(number))
try:
    Runner().run(["/bin/sh", "-c", "echo $$ > new; mv new pid; exec sleep 600"])
except BaseException as ended:
    print(type(ended).__name__)
"""


@pytest.mark.parametrize(("name", "ending"), [("INT", "KeyboardInterrupt"), ("TERM", "SystemExit")])
def test_a_signal_that_comes_while_a_program_is_started_is_not_lost(
    tmp_path: Path, name: str, ending: str
) -> None:
    """Python forgets what a handler raises in what libraries do behind a fork."""
    ran = subprocess.run(
        [sys.executable, "-c", _SIGNALLED_AT_FORK, name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (ran.stdout, ran.stderr) == (f"{ending}\n", "")
    pid = tmp_path / "pid"
    assert not pid.exists() or _gone(int(pid.read_text()))


def test_interrupt_ends_what_other_threads_run(tmp_path: Path) -> None:
    """Each is interrupted where it waits, its program ends, and what cleans up behind it runs."""

    def work(number: int) -> str:
        ready = tmp_path / str(number)
        try:
            Runner().run(_sh(f"echo $$ > {ready}.new; mv {ready}.new {ready}; exec sleep 600"))
        except KeyboardInterrupt:
            return Runner().run(_sh("echo cleaned")).stdout
        return "not interrupted"

    with ThreadPoolExecutor(2) as threads:
        working = [threads.submit(work, number) for number in range(2)]
        for _ in range(1000):
            if len([path for path in tmp_path.iterdir() if not path.suffix]) == len(working):
                break
            time.sleep(0.01)
        process.interrupt()
        ended = [each.result(20) for each in working]

    assert ended == ["cleaned\n", "cleaned\n"]
    assert all(_gone(int((tmp_path / str(number)).read_text())) for number in range(2))


def test_an_interruption_in_the_listener_ends_the_program() -> None:
    """It is raised to whoever waits, as an error is."""

    def stop(stream: Stream, line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Runner().stream(_sh("echo line; exec sleep 600"), on_line=stop)


def test_a_program_ends_where_nobody_reads_it_any_more() -> None:
    """By SIGPIPE, which Python itself ignores."""
    assert Runner().foreground(_sh("yes | head -n 1 >/dev/null; kill -PIPE $$")) == 128 + 13


def test_what_is_no_program_is_told(tmp_path: Path) -> None:
    """Neither is one that is not there."""
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)

    with pytest.raises(ToolError, match="cannot be started"):
        Runner().foreground([str(broken)])
    with pytest.raises(ToolNotFoundError, match="no-such"):
        Runner().foreground(["no-such"])


def test_no_terminal_sends_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it never sends SIGTERM."""
    assert not process.sent_by_terminal(signal.SIGTERM)

    def none(*_: object) -> int:
        raise OSError

    monkeypatch.setattr(os, "open", none)
    assert not process.sent_by_terminal(signal.SIGINT)


def test_the_foreground_of_a_terminal_has_it() -> None:
    """In a session whose terminal this is."""
    pid, handle = pty.fork()
    if pid == 0:
        os._exit(42 if process.sent_by_terminal(signal.SIGINT) else 1)
    status = os.waitpid(pid, 0)[1]
    os.close(handle)

    assert os.waitstatus_to_exitcode(status) == 42


def test_every_command_is_wrapped() -> None:
    """Whoever runs a program does not see that it runs inside of another one."""
    runner = Runner(wrap=lambda argv: ("env", "WRAPPED=yes", *argv))

    assert runner.run(_sh('echo "$WRAPPED"')).stdout == "yes\n"
    assert runner.foreground(_sh('test "$WRAPPED" = yes')) == 0


def test_which_finds_programs_or_none() -> None:
    """A program that is not there is None."""
    assert which("sh") is not None
    assert which("no-such-program") is None


def test_last_lines_of_silence_are_empty() -> None:
    """A program that said nothing has no last lines."""
    outcome = Outcome(argv=("x",), status=1, stdout=" \n", stderr="", seconds=0.0)

    assert not outcome.last_lines

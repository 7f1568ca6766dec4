"""``imagekit shell``: in the working container as steps are, and nothing of it is kept or left."""

import errno
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import at_home
from tests.support.left_behind import left_behind
from tests.support.tinyroot import tiny_root
from tests.support.users import USERS_PYTHON, OrdinaryUser, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPE = """\
schema: 1
name: tiny
version: 1.0.0
base: scratch
entrypoint: [/usr/bin/sh, -c]
steps:
  - copy: {from: root, to: /}
  - run: echo one > /one
  - {run: echo two > /two; test ! -e /fail, network: none}
  - run: echo three > /three
env: {WHO: recipe}
"""
PROGRAMS = ("cat", "id", "ls", "rm", "sh", "sleep", "stty", "tty")
# Another run of the tests on this machine sleeps for another time.
SLEEP = f"4243.{os.getpid()}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME with a recipe whose image is built."""
    home = tmp_path_factory.mktemp("site")
    _recipe(home)
    built = _imagekit(home, "build", "tiny", "--no-test")
    assert built.returncode == 0, built.stderr
    return home


def _recipe(home: Path) -> None:
    tiny_root(home / "tiny/root", PROGRAMS)
    (home / "tiny/recipe.yaml").write_text(RECIPE)


def _env(home: Path) -> dict[str, str]:
    return at_home(home, TERM="vt100")


def _imagekit(home: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imagekit", *words],
        env=_env(home),
        cwd=home,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _left_behind(home: Path) -> list[str]:
    """Return what a shell should have removed, processes in it included."""
    return left_behind(home) + _sleepers()


def _sleepers() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            # imagekit itself may be told to run it.
            is_sleep = words[0].endswith(b"sleep") and SLEEP.encode() in words
            found += [str(words)] if is_sleep else []
    return found


def _soon(holds: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.1)
    return holds()


def test_after_a_step(site: Path) -> None:
    """Later steps have not run; the network, the variables and the user are those of the step."""
    ran = _imagekit(
        site, "shell", "tiny", "--after", "3", stdin="ls /; cat /proc/net/dev; echo $WHO; id -u\n"
    )

    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert "two" in lines
    assert "three" not in lines
    assert not [line for line in lines if line.strip().startswith("eth")]
    assert lines[-2:] == ["recipe", "0"]
    assert "step 3 of 4" in ran.stderr
    assert _left_behind(site) == []


def test_behind_all_of_it(site: Path) -> None:
    """The image as it was built; a command's exit code is that of imagekit."""
    ran = _imagekit(site, "shell", "tiny", "--", "sh", "-c", "cat /three; exit 5")

    assert (ran.returncode, ran.stdout) == (5, "three\n"), ran.stderr
    assert "from the cache" in ran.stderr


def test_as_the_step_that_fails_leaves_it(site: Path) -> None:
    """What it wrote before it failed can be looked at, without its network."""
    shutil.copytree(site / "tiny", site / "bad", symlinks=True)
    (site / "bad/root/fail").touch()

    ran = _imagekit(site, "shell", "bad", "--failed", stdin="cat /two; ls /\n")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("two\n")
    assert "three" not in ran.stdout
    assert "ended with 1" in ran.stderr
    assert _left_behind(site) == []


def test_nothing_of_it_is_kept(site: Path) -> None:
    """Neither the cache nor the image has what was done; the next shell does not see it."""
    cache = site / ".cache/imagekit/layers"
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    index = (site / ".local/share/imagekit/images/index.json").read_bytes()

    for _ in range(2):
        for words in ((), ("--after", "4")):
            ran = _imagekit(
                site, "shell", "tiny", *words, stdin="ls /mine; echo x > /mine; rm /one\n"
            )
            assert "/mine" in ran.stderr

    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before
    assert (site / ".local/share/imagekit/images/index.json").read_bytes() == index


def test_it_is_contained_as_a_step_is(site: Path) -> None:
    """It sees no home, no process and no socket of the host."""
    looks = f"ls {site}; cat /proc/1/cmdline; ls /root /home; ls /run\n"

    ran = _imagekit(site, "shell", "tiny", stdin=looks)

    assert "recipe.yaml" not in ran.stdout
    assert "systemd" not in ran.stdout
    assert str(site) in ran.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--after", "5"), "has no step 5: it has 4"),
        (("--after", "0"), "counted from 1"),
        (("--after", "1", "--failed"), "not allowed with"),
    ],
)
def test_a_step_that_is_not_there(site: Path, words: Sequence[str], message: str) -> None:
    """Nothing is built for it."""
    ran = _imagekit(site, "shell", "tiny", *words)

    assert ran.returncode in {2, 64}
    assert message in ran.stderr


class _Terminal:
    """A command with a terminal of its own, which this test holds the other end of."""

    def __init__(self, argv: Sequence[str], env: dict[str, str], cwd: Path, uid: int = 0) -> None:
        self.handle, own = pty.openpty()
        # setsid(1) makes it the terminal of the session that the command leads.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *argv],
            env=env,
            cwd=cwd,
            stdin=own,
            stdout=own,
            stderr=own,
            user=uid or None,
            group=uid or None,
            extra_groups=[] if uid else None,
        )
        self.pid = self.process.pid
        os.close(own)
        self.shown = ""

    def until(self, text: str, seconds: float = 120) -> str:
        """Read until the terminal shows a text."""
        end = time.monotonic() + seconds
        while text not in self.shown and time.monotonic() < end:
            self._read()
        assert text in self.shown, self.shown
        before, _, self.shown = self.shown.partition(text)
        return before

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self.handle, text.encode())

    def end(self, seconds: float = 60) -> int:
        """Wait for the command's end, and return its exit code."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read()
            if self.process.poll() is not None:
                return self.process.returncode
        raise AssertionError(f"it goes on: {self.shown}")

    def _read(self) -> None:
        if select.select([self.handle], [], [], 0.2)[0]:
            try:
                self.shown += os.read(self.handle, 65536).decode(errors="replace")
            except OSError as error:
                # pty(7): the other end was closed.
                if error.errno != errno.EIO:
                    raise
                time.sleep(0.1)


@contextmanager
def _shell(home: Path, *words: str) -> Iterator[_Terminal]:
    argv = [sys.executable, "-m", "imagekit", "shell", "tiny", *words]
    terminal = _Terminal(argv, _env(home), home)
    try:
        # The shell echoes what is typed: the sum is not what was typed.
        terminal.type("")
        terminal.until("exit ends it")
        terminal.type("echo $((40 + 2))ready\n")
        terminal.until("42ready")
        yield terminal
    finally:
        os.close(terminal.handle)
        terminal.process.kill()
        terminal.process.wait()


def test_a_terminal(site: Path) -> None:
    """Job control, its size, and Ctrl-C for what runs in the shell; its exit code is the end."""
    with _shell(site) as terminal:
        before = termios.tcgetattr(terminal.handle)
        terminal.type("tty; echo $((1 + 1))two\n")
        assert "/dev/pts/" in terminal.until("2two")
        terminal.type(f"sleep {SLEEP}\n")
        assert _soon(lambda: bool(_sleepers()))
        terminal.type("\x03")
        assert _soon(lambda: not _sleepers())
        terminal.type("echo $((2 + 1))three\n")
        terminal.until("3three")
        terminal.type("exit 7\n")
        assert terminal.end() == 7
        after = termios.tcgetattr(terminal.handle)

    assert before[3] & termios.ICANON == 0
    assert after[3] & termios.ICANON
    assert _left_behind(site) == []


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_it(site: Path, number: signal.Signals) -> None:
    """Neither container, mount nor process, whatever ended imagekit."""
    with _shell(site, "--after", "3") as terminal:
        terminal.type(f"sleep {SLEEP}\n")
        assert _soon(lambda: bool(_sleepers()))
        os.kill(terminal.pid, number)
        assert terminal.end() == -number

        assert _soon(lambda: not _sleepers())
    assert _soon(lambda: _left_behind(site) == []), _left_behind(site)


def test_a_terminal_that_is_closed_ends_it(site: Path) -> None:
    """As when a window is closed."""
    with _shell(site) as terminal:
        terminal.type(f"sleep {SLEEP}\n")
        assert _soon(lambda: bool(_sleepers()))

    assert _soon(lambda: not _sleepers() and _left_behind(site) == []), _left_behind(site)


def test_ctrl_c_without_a_terminal_in_the_container(site: Path) -> None:
    """A command that reads no terminal is ended with imagekit, by one signal to all of them."""
    words = [sys.executable, "-m", "imagekit", "shell", "tiny", "--", "sleep", SLEEP]
    with subprocess.Popen(
        words,
        env=_env(site),
        cwd=site,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        sleeps = _soon(lambda: bool(_sleepers()))
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=90)
        assert sleeps

    assert process.returncode == 130
    assert "Traceback" not in said
    assert _soon(lambda: _left_behind(site) == []), _left_behind(site)


@pytest.mark.parametrize("isolation", ["auto", "chroot"])
def test_without_a_terminal_of_its_own_it_reaches_none(site: Path, isolation: str) -> None:
    """What runs in it could type into the user's shell: ioctl_tty(2), TIOCSTI."""
    looks = "(exec 3<>/dev/tty) 2>/dev/null && echo reached || echo none"
    line = f"imagekit shell tiny --isolation {isolation} -- sh -c '{looks}' > out 2> err"
    line = line.replace("imagekit", f"{sys.executable} -m imagekit", 1)

    terminal = _Terminal(["sh", "-c", line], _env(site), site)

    assert terminal.end(120) == 0, (site / "err").read_text()
    os.close(terminal.handle)
    assert (site / "out").read_text() == "none\n"


@pytest.fixture(scope="module")
def user() -> Iterator[OrdinaryUser]:
    """A user with subordinate ids, and the recipe."""
    with ordinary_user(f"iks{os.getpid() % 100000}") as user:
        _recipe(user.home)
        user.give(user.home)
        yield user


@pytest.mark.root
def test_an_ordinary_user(user: OrdinaryUser) -> None:
    """In a user namespace, from a pipe and at a terminal."""
    imagekit = (USERS_PYTHON, "-m", "imagekit")
    ran = user.run(
        [*imagekit, "shell", "tiny", "--after", "2", "--", "sh", "-c", "cat /one; id -u"], {}
    )
    assert (ran.returncode, ran.stdout) == (0, "one\n0\n"), ran.stderr
    env = {
        "HOME": str(user.home),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(user.packages),
        "TERM": "vt100",
    }
    terminal = _Terminal([*imagekit, "shell", "tiny"], env, user.home, user.uid)
    terminal.until("exit ends it")
    terminal.type("tty; echo $((40 + 2))ready\n")
    assert "/dev/pts/" in terminal.until("42ready")
    terminal.type("exit 3\n")
    assert terminal.end() == 3
    os.close(terminal.handle)
    data = user.home / ".local/share/imagekit"
    assert list(data.glob("work/job-*")) == []
    assert list(data.glob("locks/job-*")) == []

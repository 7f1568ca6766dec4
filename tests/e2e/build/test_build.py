"""Builds with the real Buildah: what comes out, what is left behind, and what is not."""

import gzip
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.command import at_home
from tests.support.left_behind import left_behind
from tests.support.users import copy_packages

pytestmark = [pytest.mark.real, pytest.mark.slow]

HEAD = """\
schema: 1
name: {name}
version: 1.0.0
"""
ON_DEBIAN = HEAD + "base: {{recipe: base/debian}}\n"
# Another run of the tests on this machine sleeps for another time.
_SLEEP = f"sleep 4242.{os.getpid()}"


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, project: Path, debian: Callable[[Path], None]
) -> Path:
    """A HOME with the project's Debian base in its recipes and in its cache."""
    home = tmp_path_factory.mktemp("site")
    debian(home)
    shutil.copytree(project / "recipes/base", home / "recipes/base")
    (home / "recipes/imagekit.toml").touch()
    return home


def _recipe(site: Path, name: str, text: str) -> Path:
    folder = site / "recipes" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(text.format(name=name))
    return folder


def _imagekit(home: Path, *words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imagekit", *map(str, words)],
        env=at_home(home, **more),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_failing_step_says_where_and_leaves_nothing(site: Path) -> None:
    """The step's line, its last output and exit code 6; no container, mount or folder."""
    recipe = _recipe(site, "failing", ON_DEBIAN + "steps:\n  - run: echo almost; exit 7\n")

    outcome = _imagekit(site, "build", recipe, "--no-test")

    assert outcome.returncode == 6, outcome.stderr
    assert "recipe.yaml:6:" in outcome.stderr
    assert "ended with 7" in outcome.stderr
    assert "almost" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    log = Path(outcome.stderr.rpartition("the whole log: ")[2].strip())
    assert "almost" in log.read_text()
    assert left_behind(site) == []


def test_time_limit_ends_a_step(site: Path) -> None:
    """What takes too long is ended with everything that it started."""
    text = ON_DEBIAN + f"time_limit: 2\nsteps:\n  - run: {_SLEEP} & {_SLEEP}\n"
    recipe = _recipe(site, "slow", text)

    began = time.monotonic()
    outcome = _imagekit(site, "build", recipe, "--no-test")

    assert outcome.returncode == 6
    assert "time_limit" in outcome.stderr
    assert time.monotonic() - began < 60
    assert not _processes(_SLEEP)
    assert left_behind(site) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing(site: Path, number: signal.Signals) -> None:
    """Ctrl-C, a kill, and a kill -9 of the command: the worker cleans up by itself."""
    recipe = _recipe(site, "interrupted", ON_DEBIAN + f"steps:\n  - run: {_SLEEP}\n")
    argv = [sys.executable, "-m", "imagekit", "build", str(recipe), "--no-test"]
    # Who starts the tests in the background has SIGINT ignored, and a build would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(argv, env=at_home(site), stderr=subprocess.DEVNULL)
    signal.signal(signal.SIGINT, before)
    try:
        _until(lambda: bool(_processes(_SLEEP)), 90)

        process.send_signal(number)
        process.wait(60)
    finally:
        process.kill()

    _until(lambda: not _processes(_SLEEP) and not left_behind(site), 30)


def test_a_secret_is_nowhere(site: Path) -> None:
    """The step reads it; no layer, configuration, log or message has it."""
    secret = "hunter2-hunter2"
    text = (
        ON_DEBIAN
        + "secrets: {{token: {{env: SITE_TOKEN}}}}\n"
        + "steps:\n"
        + "  - run: cat /run/secrets/token; test -s /run/secrets/token; date > /stamp; exit 3\n"
    )
    failing = _recipe(site, "secret-failing", text)
    good = _recipe(site, "secret", text.replace("; exit 3", ""))

    said = _imagekit(site, "build", failing, "--no-test", "--verbose", SITE_TOKEN=secret)
    built = _imagekit(site, "build", good, "--no-test", "--verbose", SITE_TOKEN=secret)

    assert (said.returncode, built.returncode) == (6, 0), built.stderr
    assert secret not in said.stdout + said.stderr + built.stdout + built.stderr
    assert "***" in said.stderr
    for path in (site / ".local").rglob("*"):
        if path.is_file() and not path.is_symlink() and "containers" not in path.parts:
            raw = path.read_bytes()
            plain = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
            assert secret.encode() not in plain, path


def test_missing_secret_is_told_before_anything_is_built(site: Path) -> None:
    """Bad input, with the place in the recipe."""
    text = ON_DEBIAN + "secrets: {{token: {{env: NO_SUCH}}}}\nsteps:\n  - run: 'true'\n"

    outcome = _imagekit(site, "build", _recipe(site, "missing-secret", text), "--no-test")

    assert outcome.returncode == 2
    assert "NO_SUCH" in outcome.stderr


def test_a_failing_test_stops_the_build(site: Path) -> None:
    """The recipe's test is shown with its line and what it printed."""
    text = ON_DEBIAN + 'steps:\n  - run: "true"\ntests:\n  - run: id -u\n    stdout: ^0$\n'

    outcome = _imagekit(site, "build", _recipe(site, "untrue", text))

    assert outcome.returncode == 6
    assert "48211" in outcome.stderr
    assert "recipe.yaml:8:" in outcome.stderr


def test_plan_does_nothing(site: Path, tmp_path: Path) -> None:
    """No folder is made."""
    outcome = _imagekit(tmp_path, "plan", site / "recipes/base/debian", "--json")

    assert json.loads(outcome.stdout)["plans"][0]["name"] == "base/debian"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def user() -> Iterator[pwd.struct_passwd]:
    """A user without privileges: this one, or one that is made and removed with all it has."""
    if os.geteuid() != 0:
        yield pwd.getpwuid(os.geteuid())
        return
    name = f"imagekit-test-{os.getpid()}"
    subprocess.run(["useradd", "--create-home", name], check=True)
    try:
        yield pwd.getpwnam(name)
    finally:
        subprocess.run(["pkill", "-KILL", "-u", name], check=False)
        subprocess.run(["userdel", "--remove", name], capture_output=True, check=False)


def test_root_and_a_user_build_the_same_digest(
    project: Path, user: pwd.struct_passwd, tmp_path: Path
) -> None:
    """The Debian base, made anew by each, and a Containerfile on it."""
    root = os.geteuid() == 0
    home = Path(user.pw_dir) if root else tmp_path / "user"
    mine = tmp_path / "mine"
    for folder in (home, mine):
        shutil.copytree(project / "recipes/base", folder / "recipes/base")
        (folder / "recipes/imagekit.toml").touch()
        app = _recipe(folder, "app", HEAD + "containerfile: Containerfile\n")
        (app / "Containerfile").write_text(
            "FROM localhost/base/debian AS base\nRUN echo x > /x\nFROM base\nCOPY . /app\n"
        )
    packages = home / "site-packages"
    copy_packages(packages)
    if root:
        subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", home], check=True)

    for words in (("base/debian", "--no-cache"), ("app",)):
        as_user = _build(words, home, home, packages, user=user if root else None)
        as_root = _build(words, mine, tmp_path / "root", packages, sudo=not root)

        assert (as_user.returncode, as_root.returncode) == (0, 0), as_user.stderr + as_root.stderr
        assert as_user.stdout.partition("@")[2] == as_root.stdout.partition("@")[2]


def _build(
    words: Sequence[str],
    recipes: Path,
    home: Path,
    packages: Path,
    *,
    user: pwd.struct_passwd | None = None,
    sudo: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Build with Debian's Python, which every user can read, as this user, another, or root."""
    env = {"HOME": str(home), "PYTHONPATH": str(packages), "PATH": os.environ["PATH"]}
    env["SOURCE_DATE_EPOCH"] = "1700000000"
    env |= {"SUDO_UID": str(os.getuid())} if sudo else {}
    given = [f"{key}={value}" for key, value in env.items()]
    recipe, *options = words
    argv = ["/usr/bin/python3", "-m", "imagekit", "build", str(recipes / "recipes" / recipe)]
    return subprocess.run(
        [*(["sudo", "-n"] if sudo else []), "env", "-i", *given, *argv, *options, "--no-test"],
        cwd=recipes,
        user=None if user is None else user.pw_uid,
        group=None if user is None else user.pw_gid,
        extra_groups=None if user is None else [],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _processes(words: str) -> list[str]:
    listed = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [line for line in listed if line.startswith("sleep") and words in line]


def _until(claim: "object", seconds: float) -> None:
    assert callable(claim)
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.2)

"""Completion in bash, zsh and fish, and man pages by man and mandoc."""

import os
import pty
import re
import select
import subprocess
import time
from datetime import date
from pathlib import Path

import pytest

from imagekit.cli.commands.completion import completion
from imagekit.cli.manpage import man_pages
from tests.support.programs import needs

pytestmark = pytest.mark.real

BASH = """
source ./imagekit.bash
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
_shtab_imagekit imagekit "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
CASES = [
    pytest.param(["ver"], {"verify", "verifier"}, id="commands"),
    pytest.param(["verify", "--policy-"], {"--policy-key", "--policy-authority"}, id="options"),
    pytest.param(["policy", "te"], {"test"}, id="verbs"),
    pytest.param(["run", "--engine", ""], {"podman", "docker", "apptainer"}, id="values"),
    pytest.param(["verify", "--policy", "./site"], {"./site.yaml"}, id="files"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts, as users install them, and a file."""
    folder = tmp_path_factory.mktemp("shells")
    for shell in ("bash", "fish"):
        (folder / f"imagekit.{shell}").write_text(completion(shell))
    (folder / "functions").mkdir()
    (folder / "functions/_imagekit").write_text(completion("zsh"))
    (folder / "site.yaml").touch()
    return folder


def _run(folder: Path, *argv: str) -> list[str]:
    env = {**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    ran = subprocess.run(
        argv, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stderr == ""
    return ran.stdout.splitlines()


@pytest.mark.parametrize(("words", "wanted"), CASES)
def test_bash_completes(folder: Path, words: list[str], wanted: set[str]) -> None:
    """What Tab would offer, and nothing else."""
    shown = _run(folder, "bash", "--norc", "-c", BASH, "bash", "imagekit", *words)

    assert set(shown) == wanted


@pytest.mark.parametrize(("words", "wanted"), CASES)
def test_fish_completes(folder: Path, words: list[str], wanted: set[str]) -> None:
    """The same, with a line about each."""
    needs("fish", part="shells")
    line = " ".join(["imagekit", *words])
    shown = _run(folder, "fish", "-c", f"source imagekit.fish; complete -C '{line}'")

    assert {offer.partition("\t")[0] for offer in shown} == wanted


@pytest.mark.parametrize(("words", "wanted"), CASES)
def test_zsh_completes(folder: Path, words: list[str], wanted: set[str]) -> None:
    """Its completion lives in its line editor, so a terminal types Tab."""
    needs("zsh", part="shells")
    typed = " ".join(["imagekit", *words])
    # The first Tab completes what all offers begin with, the second lists them.
    screen = _typed_in_zsh(folder, typed + "\t" * min(len(wanted), 2))

    offered = screen.rpartition(typed)[2] if len(wanted) == 1 else screen
    # A single offer is completed in the line: only its rest is new on the screen.
    shown = {word.removeprefix(words[-1]) for word in wanted} if len(wanted) == 1 else wanted
    assert all(word in offered for word in shown), screen


def _typed_in_zsh(folder: Path, keys: str) -> str:
    env = {"HOME": str(folder), "PATH": os.environ["PATH"], "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    terminal, inside = pty.openpty()
    with subprocess.Popen(
        ["zsh", "-f", "-i"],
        cwd=folder,
        env=env,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    ) as shell:
        os.close(inside)
        try:
            setup = "PS1=; fpath=($PWD/functions $fpath); autoload -U compinit; compinit -u -D"
            os.write(terminal, f"{setup}; unsetopt beep; echo LO''ADED\n".encode())
            _read_until(terminal, "LOADED")
            os.write(terminal, keys.encode())
            return _read_until(terminal, "", quiet=2.0)
        finally:
            shell.kill()
            os.close(terminal)


def _read_until(terminal: int, mark: str, *, quiet: float = 30.0) -> str:
    """Read what the screen shows until the mark is there, or nothing comes for a while."""
    shown, end = "", time.monotonic() + 60
    while time.monotonic() < end and not (mark and mark in shown):
        if not select.select([terminal], [], [], quiet)[0]:
            break
        shown += os.read(terminal, 65536).decode(errors="replace")
    assert not mark or mark in shown, shown
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every man page, as a file."""
    folder = tmp_path_factory.mktemp("man1")
    made = man_pages("1.2.3", date(2026, 1, 2))
    for page in made:
        (folder / page.file).write_text(page.text)
    return [folder / page.file for page in made]


def test_mandoc_has_nothing_to_warn_of(pages: list[Path]) -> None:
    """It is the stricter one of the two."""
    needs("mandoc", part="shells")
    argv = ["mandoc", "-T", "lint", "-W", "warning", *map(str, pages)]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


def test_man_has_nothing_to_warn_of(pages: list[Path]) -> None:
    """And what it shows is what --help says."""
    needs("man", part="shells")
    env = {**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
    for page in pages:
        argv = ["man", "--warnings", "-E", "UTF-8", "-l", str(page)]
        ran = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=True)
        assert ran.stderr == ""
        if page.name == "imagekit-verify.1":
            assert "--policy-authority FILE" in ran.stdout
            assert "imagekit verify --local --policy site.yaml" in ran.stdout

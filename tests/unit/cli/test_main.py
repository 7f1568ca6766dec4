"""The frame of the command line: words, exit codes, output streams."""

import io
import json
import os
import subprocess
import sys
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from imagekit.cli import main as cli
from imagekit.cli.console import Console
from imagekit.cli.help import COMMANDS
from imagekit.cli.parsers import command_parser
from imagekit.errors import (
    DeniedError,
    ImagekitError,
    InputError,
    IntegrityError,
    ToolError,
    UsageError,
    VerificationError,
)
from imagekit.files import write_output


class _Command(ModuleType):
    """A command module that raises what the test says."""

    def __init__(self, error: BaseException | None) -> None:
        super().__init__("imagekit.cli.commands.lint")
        self._error = error
        self.seen: Namespace | None = None

    def configure(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", nargs="*")

    def run(self, arguments: Namespace, console: Console) -> int:
        self.seen = arguments
        if self._error is not None:
            raise self._error
        console.result("text", {"schema": 1})
        return 0


Install = Callable[..., _Command]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that puts a command module in the place of ``lint``."""

    def put(error: BaseException | None = None) -> _Command:
        command = _Command(error)
        monkeypatch.setitem(sys.modules, "imagekit.cli.commands.lint", command)
        return command

    return put


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ImagekitError("x"), 1),
        (InputError("x"), 2),
        (DeniedError("x"), 3),
        (VerificationError("x"), 4),
        (IntegrityError("x"), 5),
        (ToolError("x"), 6),
        (UsageError("x"), 64),
        (RuntimeError("x"), 1),
        (OSError(28, "No space left on device"), 6),
        (PermissionError(13, "Permission denied", "/x"), 6),
        (MemoryError(), 6),
        (ModuleNotFoundError("No module named 'redis'", name="redis"), 6),
        (ModuleNotFoundError("No module named 'imagekit.x'", name="imagekit.x"), 1),
        (ImportError("cannot import name"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_each_error_ends_with_its_exit_code(
    install: Install, error: BaseException, code: int
) -> None:
    """The README's table of exit codes holds for errors that reach the border."""
    install(error)

    assert cli.main(["lint"]) == code


def test_a_fault_shows_no_traceback(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault of imagekit is one sentence, unless --verbose asks for more."""
    install(RuntimeError("boom"))

    cli.main(["lint"])

    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device", "/var/x"), "/var/x: No space left on device"),
        (ModuleNotFoundError("No module named 'bcrypt'", name="bcrypt"), "'imagekit[gate]'"),
        (ModuleNotFoundError("No module named 'cyclonedx'", name="cyclonedx"), "cyclonedx"),
    ],
)
def test_what_this_machine_lacks_is_named(
    install: Install, capsys: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    """A full disk and a missing package are no faults of imagekit; the remedy is."""
    install(error)

    cli.main(["lint"])

    said = capsys.readouterr().err
    assert words in said
    assert "fault in imagekit" not in said


@pytest.mark.parametrize(
    "words", [["verify", "BAD:", "--policy", "x"], ["no-such"], ["lint", "/x"]]
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_an_error_that_cannot_be_told_is_no_fault(stream: str, words: list[str]) -> None:
    """The document about an error meets the full disk, too; the exit code is the error's."""
    command = [sys.executable, "-P", "-m", "imagekit", *words, "--json"]
    told = subprocess.run(command, capture_output=True, check=False)
    with Path("/dev/full").open("wb") as full:
        both: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full}
        untold = subprocess.run(command, check=False, **both)

    assert told.returncode in {2, 64}
    assert untold.returncode == told.returncode
    assert b"Traceback" not in (untold.stderr or b"")


def test_unknown_command_guesses(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt command ends with 64 and names the close one."""
    assert cli.main(["publsh"]) == 64
    assert "imagekit publish" in capsys.readouterr().err


def test_an_option_before_its_command_is_told_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """The hint is the command as it has to be typed."""
    assert cli.main(["--quiet", "lint", "x"]) == 64
    said = capsys.readouterr().err
    assert "'--quiet' has to come after the command" in said
    assert "imagekit lint --quiet x" in said


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        pytest.param(
            ["verify", "x", "--polcy", "y"],
            "imagekit verify has no --polcy",
            "did you mean `--policy`? see: imagekit verify --help",
            id="in the place of what is required",
        ),
        pytest.param(
            ["lint", "x", "--jsn"],
            "imagekit lint has no --jsn",
            "did you mean `--json`?",
            id="besides",
        ),
        pytest.param(
            ["policy", "new", "--imge", "x"],
            "imagekit policy new has no --imge",
            "did you mean `--image`? see: imagekit policy new --help",
            id="of a verb",
        ),
        pytest.param(
            ["policy", "lint", "x", "--jsno=1"],
            "imagekit policy has no --jsno",
            "did you mean `--json`?",
            id="with a value, behind a verb",
        ),
        pytest.param(
            ["policy", "nwe", "--image", "x"],
            "imagekit policy has no nwe",
            "did you mean `new`? see: imagekit policy --help",
            id="a verb",
        ),
        pytest.param(
            ["verify", "-Z", "x"],
            "imagekit verify has no -Z",
            "see: imagekit verify --help",
            id="of one letter",
        ),
        pytest.param(["help", "verfy"], "'verfy' is not a command", "imagekit verify", id="help"),
        pytest.param(["key"], "required: generate|show", "imagekit key --help", id="missing"),
        pytest.param(["verify", "r.site/x:1"], "names the policy", "IMAGEKIT_POLICY", id="policy"),
    ],
)
def test_what_is_misspelt_is_named_with_what_is_close(
    words: list[str], message: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Argparse would name what is required instead, or list all that there is."""
    assert cli.main(words) == 64
    first, second = capsys.readouterr().err.splitlines()
    assert message in first
    assert hint in second


def _commands() -> list[tuple[str, ...]]:
    """Return every command, and every verb of those that have some."""
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        verbs = command_parser(name).verbs()
        found += [(name, verb) for verb in verbs] or [(name,)]
    return found


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
@pytest.mark.parametrize("option", ["--no-such-option", "--no-such=1", "-Z"])
def test_an_unknown_option_is_named_by_every_command(
    words: tuple[str, ...], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where words are missing that are required, as they mostly are."""
    assert cli.main([*words, option]) == 64
    assert f"has no {option.partition('=')[0]}\n" in capsys.readouterr().err


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
@pytest.mark.parametrize(
    ("given", "form"),
    [
        (["-q"], "none"),
        (["--quiet"], "none"),
        (["--progress", "none"], "none"),
        (["--progress=json"], "json"),
        (["--progress", "plain"], "plain"),
        ([], "auto"),
    ],
    ids=" ".join,
)
def test_every_command_can_be_silent(words: tuple[str, ...], given: list[str], form: str) -> None:
    """``-q`` is one of the forms that progress has, before a verb and behind it."""
    command = command_parser(words[0])
    for parser in (command, *command.verbs().values()):
        _ask_for_nothing(parser)

    behind = command.parse_args([*words[1:], *given])
    before = command.parse_args([*given, *words[1:]])

    assert behind.progress == before.progress == form
    assert behind.json is behind.verbose is False


def _ask_for_nothing(parser: ArgumentParser) -> None:
    for action in parser._actions:
        action.required = False
    for group in parser._mutually_exclusive_groups:
        group.required = False


@pytest.mark.parametrize("words", [["--version"], ["--version", "--json"]])
def test_a_checkout_has_a_version(
    words: list[str],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where nothing is installed it is that of the checkout."""
    monkeypatch.setattr("importlib.metadata.version", _not_installed)
    here = project / "imagekit/cli/own_version.py"
    monkeypatch.setattr("imagekit.cli.own_version.__file__", str(here))
    stated = tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"]

    assert cli.main(words) == 0
    assert stated in capsys.readouterr().out


def _not_installed(name: str) -> str:
    raise PackageNotFoundError(name)


def test_words_of_a_container_are_no_options(capsys: pytest.CaptureFixture[str]) -> None:
    """What stands behind two dashes is the container's."""
    assert cli.main(["run", "r.site/x:1", "--", "--polcy"]) == 64
    assert "names the policy" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["help"], ["--help"], ["-h"]])
def test_no_command_shows_the_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever types the bare name wants to know what there is."""
    assert cli.main(words) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("usage: imagekit COMMAND")
    assert shown.err == ""


def test_help_explains_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """``imagekit help policy new`` is ``imagekit policy new --help``."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["help", "policy", "new"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: imagekit policy new")


@pytest.mark.parametrize("words", [["--no-such"], ["lint", "--no-such"]])
def test_wrong_usage_ends_with_64(install: Install, words: list[str]) -> None:
    """Exit code 2 stays free for bad input."""
    install()

    assert cli.main(words) == 64


def test_json_error_is_one_document_on_stdout(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under --json also a failure prints exactly one document."""
    install(InputError("bad thing", hint="mend it", code="x/y"))

    cli.main(["lint", "--json"])

    document = json.loads(capsys.readouterr().out)
    assert document["error"] == {"code": "x/y", "message": "bad thing", "hint": "mend it"}
    assert document["exit_code"] == 2


def test_words_behind_dashes_are_passed_on(install: Install) -> None:
    """What follows ``--`` belongs to the container, even ``--json``."""
    command = install()

    cli.main(["lint", "a", "--", "--json", "b"])

    assert command.seen is not None
    assert command.seen.passed == ("--json", "b")
    assert command.seen.json is False


def test_result_goes_to_stdout_and_narration_to_stderr() -> None:
    """A pipe sees the result only."""
    console = Console(out=io.StringIO(), err=io.StringIO())

    console.note("narration")
    console.result("result", {})

    assert isinstance(console.out, io.StringIO)
    assert isinstance(console.err, io.StringIO)
    assert console.out.getvalue() == "result\n"
    assert console.err.getvalue() == "narration\n"


def test_quiet_says_nothing_on_stderr() -> None:
    """--quiet leaves the result only."""
    console = Console(progress_form="none", out=io.StringIO(), err=io.StringIO())

    console.note("narration")

    assert isinstance(console.err, io.StringIO)
    assert console.err.getvalue() == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_results_are_utf8_in_every_locale(encoding: str) -> None:
    """A terminal of another encoding, or a name of odd bytes, is no fault of imagekit."""
    program = (
        "import sys; from imagekit.cli import main as cli\n"
        "from imagekit.cli.commands import schema\n"
        "schema.run = lambda _, console: console.result('\\u2713 \\udcff', {}) or 0\n"
        "sys.argv[1:] = ['schema', 'recipe']\n"
        "sys.exit(cli.main())\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )

    assert (ran.returncode, ran.stdout) == (0, b"\xe2\x9c\x93 \\udcff\n"), ran.stderr


def test_a_full_disk_under_an_output_is_no_bad_input() -> None:
    """The name is right, the disk is not: exit 6, as everywhere, and the remedy."""
    with pytest.raises(ToolError, match="cannot write /dev/full: No space left") as caught:
        write_output(Path("/dev/full"), b"x")

    assert "make room" in caught.value.hint

"""Running a command: finds its module, parses its words, turns errors into exit codes.

Only the module of the command that is asked for is imported.
"""

import argparse
import functools
import importlib
import keyword
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, cast

from imagekit.cli.console import Console
from imagekit.cli.help import COMMANDS, HELP_WORDS, print_help
from imagekit.cli.streams import discard
from imagekit.errors import ImagekitError, ToolError, ToolNotFoundError, UsageError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_EXTRAS = {
    "aiohttp": "gate",
    "bcrypt": "gate",
    "yarl": "gate",
    "redis": "gate-redis",
    "asn1crypto": "pkcs11",
    "PyKCS11": "pkcs11",
}
"""Packages that an extra of ours brings."""
_ANY_WIDTH = 80
"""While options are declared nothing is printed, and the width of the terminal is not asked for."""
_LEFT_ALONE = 141
"""The exit code that shells give a program that SIGPIPE ended."""


class _Parser(argparse.ArgumentParser):
    """A parser that ends with 64 (EX_USAGE), as 2 means bad input here."""

    _words: Sequence[str] = ()
    _verb: argparse.Action | None = None

    def add_subparsers(self, **words: Any) -> Any:
        self._verb = super().add_subparsers(**words)
        return self._verb

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._words = tuple(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        # argparse misses what is required before it looks at what it does not know, and one is
        # often the other, misspelt.
        from imagekit.documents.report import did_you_mean

        word, known = self._unknown()
        guess = did_you_mean(word, known)
        raise UsageError(
            f"{self.prog} has no {word}" if word else message,
            hint=f"{guess} see: {self.prog} --help".lstrip(),
        )

    def options(self) -> list[str]:
        """Return the options of the command and of its own verbs."""
        options = [option for action in self._actions for option in action.option_strings]
        return options + [option for verb in self._verbs().values() for option in verb.options()]

    def _unknown(self) -> tuple[str, list[str]]:
        """Return the first option or verb that is unknown, and the known ones; or none."""
        options, verbs = self.options(), list(self._verbs())
        for word in self._words:
            name = word.partition("=")[0]
            if name.startswith("--") and not any(option.startswith(name) for option in options):
                return name, options
        verb = self._words[0] if self._words and verbs else ""
        return (verb, verbs) if verb and verb[0] != "-" and verb not in verbs else ("", [])

    def _verbs(self) -> "Mapping[str, _Parser]":
        """Return the parsers of the command's own verbs: ``new`` and ``lint`` of ``policy``."""
        return cast("Mapping[str, _Parser]", self._verb.choices) if self._verb is not None else {}

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        # argparse ignores that it cannot be written.
        print(self.format_help(), file=file or sys.stdout, end="")
        sys.stdout.flush()


def execute(words: list[str]) -> int:
    """Run a command; every error ends here, printed and as an exit code.

    Args:
        words: those after ``imagekit``.

    Returns:
        The exit code.
    """
    console = Console(json="--json" in _own(words))
    try:
        return _dispatch(words, console)
    except ImagekitError as error:
        return _told(error, console)
    except KeyboardInterrupt:
        console.settle()
        print("interrupted: nothing was left half done", file=console.err)
        return 130
    except BrokenPipeError:
        # What was not written may have been the whole result.
        discard(sys.stdout.fileno())
        return _LEFT_ALONE
    except Exception as error:  # noqa: BLE001 - the outermost border: no user ever sees a traceback
        return _fault(error, console)


def _dispatch(words: list[str], console: Console) -> int:
    if not words or words[0] not in COMMANDS:
        return _without_command(words, console)
    module = _module(words[0])
    command = _command_parser(words[0], module)
    mine, passed = _split(words[1:])
    arguments = command.parse_args(mine)
    arguments.passed = passed
    console.json, console.quiet = arguments.json, arguments.quiet
    console.verbose = arguments.verbose
    return int(module.run(arguments, console))


def _without_command(words: list[str], console: Console) -> int:
    if words[:1] == ["help"] and len(words) > 1:
        if words[1] not in COMMANDS:
            raise _unknown(words[1:])
        return _dispatch([*words[1:], "--help"], console)
    if not words or words == ["help"] or HELP_WORDS.intersection(words):
        print_help()
    elif "--version" in words:
        console.result(*_version())
    else:
        raise _unknown(words)
    return 0


def _command_parser(name: str, module: ModuleType) -> _Parser:
    parser = _Parser(
        prog=f"imagekit {name}",
        description=module.__doc__,
        formatter_class=functools.partial(argparse.HelpFormatter, width=_ANY_WIDTH),
    )
    module.configure(parser)
    shared = parser.add_argument_group("output")
    shared.add_argument("--json", action="store_true", help="one JSON document on stdout")
    shared.add_argument("--quiet", "-q", action="store_true", help="no narration on stderr")
    shared.add_argument(
        "--verbose",
        # To run, -v is what it is to Podman.
        *(() if "-v" in parser.options() else ("-v",)),
        action="store_true",
        help="show the commands that are run, and their output",
    )
    # Only what is printed needs the width of the terminal, for which argparse imports shutil.
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser


def _version() -> tuple[str, dict[str, object]]:
    # importlib.metadata costs more than all the rest of --help.
    from importlib.metadata import version

    number = version("imagekit")
    return f"imagekit {number}", {"schema": 1, "version": number}


def _module(name: str) -> ModuleType:
    own = f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
    return importlib.import_module(f"imagekit.cli.commands.{own}")


def _own(words: list[str]) -> list[str]:
    """Return the words before ``--``: those behind it belong to the container."""
    return words[: words.index("--")] if "--" in words else words


def _split(words: list[str]) -> tuple[list[str], tuple[str, ...]]:
    mine = _own(words)
    return mine, tuple(words[len(mine) + 1 :])


def _unknown(words: list[str]) -> UsageError:
    import difflib

    command = next((word for word in words if not word.startswith("-")), words[0])
    rest = [word for word in words if word != command]
    if command in COMMANDS:
        hint = f"imagekit {' '.join([command, *rest])}"
        return UsageError(f"{words[0]!r} has to come after the command", hint=hint)
    close = difflib.get_close_matches(command, COMMANDS, n=1)
    guess = f"did you mean `imagekit {' '.join([close[0], *rest])}`?" if close else ""
    return UsageError(f"{command!r} is not a command", hint=guess or "see: imagekit --help")


def _of_this_machine(error: Exception) -> ImagekitError | None:
    """Return the error for a full disk, too little memory or a library that is not installed.

    None where imagekit itself is at fault.
    """
    if isinstance(error, ImportError):
        name = (error.name or "").partition(".")[0]
        if name in {"", "imagekit"}:
            return None
        return ToolNotFoundError(
            f"the Python package {name} is needed, and cannot be imported: {error}",
            hint=f"pip install 'imagekit[{_EXTRAS[name]}]'"
            if name in _EXTRAS
            else "install imagekit again, with all that it depends on",
            code="NO_EXTRA" if name in _EXTRAS else "NOT_INSTALLED",
        )
    if isinstance(error, MemoryError):
        return ToolError("there is not enough memory", hint="give the process more")
    if not isinstance(error, OSError):
        return None
    named = f"{error.filename}: " if error.filename else ""
    return ToolError(
        f"{named}{error.strerror or str(error) or type(error).__name__}",
        hint="the operating system refused: look at the disk, the rights and the limits here",
        code="SYSTEM",
    )


def _fault(error: Exception, console: Console) -> int:
    """Report an unexpected error; the traceback is printed with --verbose."""
    console.settle()
    if console.verbose:
        import traceback

        traceback.print_exception(error, file=console.err)
    failure = _of_this_machine(error) or ImagekitError(
        f"a fault in imagekit: {type(error).__name__}: {error}",
        hint="run it again with --verbose and report what it shows",
        code="internal",
    )
    return _told(failure, console)


def _told(error: ImagekitError, console: Console) -> int:
    """Print an error, where it can be printed, and return its exit code.

    A result that cannot be written to a full disk is an error, and the document about that cannot
    be written either.
    """
    try:
        console.error(error)
        sys.stdout.flush()
    except OSError:
        # What is still buffered would be written at exit, fail again, and end Python with 120.
        discard(sys.stdout.fileno())
    return error.exit_code

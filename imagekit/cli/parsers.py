"""The parsers of the commands, each made of its module's ``configure``."""

import argparse
import functools
import importlib
import keyword
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, cast

from msgspec import Struct

from imagekit.cli.console import PROGRESS_FORMS
from imagekit.cli.help import COMMANDS
from imagekit.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_ANY_WIDTH = 80
"""While options are declared nothing is printed, and the width of the terminal is not asked for."""


class Group(Struct, frozen=True, kw_only=True):
    """Options and arguments that stand together in the help."""

    title: str
    description: str
    actions: tuple[argparse.Action, ...]


class Parser(argparse.ArgumentParser):
    """A parser that ends with 64 (EX_USAGE), as 2 means bad input here."""

    _words: Sequence[str] = ()
    _verb: argparse.Action | None = None

    def add_subparsers(self, **words: Any) -> Any:
        """Take the parsers of verbs, which are remembered."""
        self._verb = super().add_subparsers(**words)
        return self._verb

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the words, which an error is explained by."""
        self._words = tuple(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the words.

        argparse misses what is required before it looks at what it does not know, and one is often
        the other, misspelt.

        Raises:
            UsageError: always.
        """
        from imagekit.documents.report import did_you_mean

        word, known = self._unknown()
        guess = did_you_mean(word, known)
        raise UsageError(
            f"{self.prog} has no {word}" if word else message,
            hint=f"{guess} see: {self.prog} --help".lstrip(),
        )

    def actions(self) -> Sequence[argparse.Action]:
        """Return the options and arguments, without those of verbs."""
        return self._actions

    def groups(self) -> "tuple[Group, ...]":
        """Return the groups, as the help has them."""
        return tuple(
            Group(
                title=group.title or "",
                description=group.description or "",
                actions=tuple(group._group_actions),  # noqa: SLF001 - argparse has no public one
            )
            for group in self._action_groups
        )

    def options(self) -> list[str]:
        """Return the options of the command and of its own verbs."""
        options = [option for action in self._actions for option in action.option_strings]
        return options + [option for verb in self.verbs().values() for option in verb.options()]

    def _unknown(self) -> tuple[str, list[str]]:
        """Return the first option or verb that is unknown, and the known ones; or none."""
        options, verbs = self.options(), list(self.verbs())
        for word in self._words:
            name = word.partition("=")[0]
            # The value of a short option may follow it in the same word; -4 is a value.
            name = name if name.startswith("--") or not name[1:2].isalpha() else name[:2]
            option = name[:1] == "-" and name.strip("-0123456789.") != ""
            if option and not any(known.startswith(name) for known in options):
                return name, options
        verb = self._words[0] if self._words and verbs else ""
        return (verb, verbs) if verb and verb[0] != "-" and verb not in verbs else ("", [])

    def verbs(self) -> "Mapping[str, Parser]":
        """Return the parsers of the command's own verbs: ``new`` and ``lint`` of ``policy``."""
        return cast("Mapping[str, Parser]", self._verb.choices) if self._verb is not None else {}

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        """Print the help; unlike argparse's it is an error where that cannot be written."""
        print(self.format_help(), file=file or sys.stdout, end="")
        sys.stdout.flush()


def command_module(name: str) -> ModuleType:
    """Return the module of a command, which is imported only now."""
    own = f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
    return importlib.import_module(f"imagekit.cli.commands.{own}")


def command_parser(name: str) -> Parser:
    """Return the parser of one command."""
    parser = Parser(
        prog=f"imagekit {name}",
        formatter_class=functools.partial(argparse.HelpFormatter, width=_ANY_WIDTH),
    )
    _configure(parser, name)
    for whole in (parser, *parser.verbs().values()):
        # Only what is printed needs the width of the terminal, for which argparse imports shutil.
        whole.formatter_class = _help_format
    return parser


def _help_format(prog: str) -> argparse.HelpFormatter:
    from imagekit.cli.help_format import HelpFormat

    return HelpFormat(prog)


def whole_parser() -> Parser:
    """Return the parser of all commands, for completions and man pages; it imports all of them."""
    parser = Parser(prog="imagekit", description="Recipes to self-contained, verified OCI images.")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, text in COMMANDS.items():
        _configure(commands.add_parser(name, help=text), name)
    parser.add_argument("--version", action="store_true", help="print the version")
    return parser


def _configure(parser: Parser, name: str) -> None:
    module = command_module(name)
    parser.description = module.__doc__
    module.configure(parser)
    _add_output_options(parser)


def _add_output_options(parser: Parser, *, verb: bool = False) -> None:
    """Add the options that every command has, before its verbs and behind them."""
    for inner in parser.verbs().values():
        _add_output_options(inner, verb=True)

    def absent(value: object) -> object:
        # A default of a verb would overwrite what stood before it.
        return argparse.SUPPRESS if verb else value

    shared = parser.add_argument_group("output")
    shared.add_argument(
        "--json", action="store_true", default=absent(False), help="one JSON document on stdout"
    )
    told = shared.add_mutually_exclusive_group()
    told.add_argument(
        "--progress",
        choices=PROGRESS_FORMS,
        default=absent("auto"),
        help="how progress is shown on stderr: auto (live on a terminal, else plain), plain (lines "
        "for a log), json (an object a line), none",
    )
    told.add_argument(
        "--quiet",
        "-q",
        action="store_const",
        dest="progress",
        const="none",
        default=absent("auto"),
        help="nothing but errors on stderr: --progress none",
    )
    shared.add_argument(
        "--verbose",
        # To run, -v is what it is to Podman.
        *(() if "-v" in parser.options() else ("-v",)),
        action="store_true",
        default=absent(False),
        help="show the commands that are run, and their output",
    )

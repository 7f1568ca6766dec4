"""Commands of several verbs, each in a module of its own: ``COMMAND_VERB``."""

import argparse
import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

from imagekit.cli.console import Console

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # has no other name


def add_verbs(parser: argparse.ArgumentParser, command: str, verbs: Mapping[str, str]) -> None:
    """Declare every verb of a command, with its words.

    Args:
        parser: the command's.
        command: its name.
        verbs: what each is for, in one line.
    """
    added: Verbs = parser.add_subparsers(dest="verb", required=True, metavar="|".join(verbs))
    for name, text in verbs.items():
        module = _module(command, name)
        verb = added.add_parser(
            name,
            help=text,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.configure(verb)


def run_verb(command: str, arguments: argparse.Namespace, console: Console) -> int:
    """Run the verb that was asked for, and return its exit code."""
    return int(_module(command, arguments.verb).run(arguments, console))


def _module(command: str, verb: str) -> ModuleType:
    return importlib.import_module(f"imagekit.cli.commands.{command}_{verb}")

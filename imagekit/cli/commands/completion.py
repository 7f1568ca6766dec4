"""Print the completion script of a shell: commands, their verbs, options and files.

  imagekit completion bash > ~/.local/share/bash-completion/completions/imagekit
  imagekit completion zsh > ~/.zfunc/_imagekit          (~/.zfunc in fpath, before compinit)
  imagekit completion fish > ~/.config/fish/completions/imagekit.fish

For all users: /usr/share/bash-completion/completions, /usr/share/zsh/site-functions
and /usr/share/fish/vendor_completions.d. The script is made of the options that this version has:
print it again after an update. Nothing of imagekit is started to complete a word.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from imagekit.cli.console import Console
from imagekit.cli.parsers import Parser, whole_parser

SHELLS = ("bash", "zsh", "fish")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's argument."""
    parser.add_argument("shell", choices=SHELLS, help="which shell")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the script."""
    script = completion(arguments.shell)
    console.result(script, {"schema": 1, "shell": arguments.shell, "script": script})
    return 0


def completion(shell: str) -> str:
    """Return the completion script of a shell."""
    import shtab

    parser = whole_parser()
    for command in _parsers(parser):
        # Shells show it in one line.
        command.description = (command.description or "").partition("\n")[0]
    for action in (action for command in _parsers(parser) for action in command.actions()):
        # By type and metavar, as the help has them: what names a file is completed as one.
        if action.metavar == "FOLDER":
            # shtab reads it there.
            vars(action)["complete"] = shtab.DIRECTORY
        elif action.type is Path or action.metavar in {"FILE", "PATH"}:
            vars(action)["complete"] = shtab.FILE
    return shtab.complete(parser, shell)


def _parsers(parser: Parser) -> Iterator[Parser]:
    """Yield the parser, and those of its verbs."""
    yield parser
    for verb in parser.verbs().values():
        yield from _parsers(verb)

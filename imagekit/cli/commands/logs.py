"""Show the log of the last build: every command, and every line that it printed.

  imagekit logs
  imagekit logs recipes/hello-mpi
  imagekit logs hello-mpi --list
  less "$(imagekit logs --path)"

RECIPE is a recipe's folder or file, or the name that it has. On a terminal control characters are
replaced. A build that takes all layers from the cache leaves no log.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console

if TYPE_CHECKING:
    from imagekit.build.logs import Log

_HEADS = ("WRITTEN", "RECIPE", "SIZE", "PATH")
_MOST = 128 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "recipe", nargs="?", default="", metavar="RECIPE", help="a recipe (default: any)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list the logs, the newest first")
    what.add_argument("--path", action="store_true", help="print the file's path only")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Show a log, its path, or the list."""
    import os

    from imagekit.build.logs import find_logs, last_log
    from imagekit.build.tools.storage import Folders

    folders, name = Folders.of(os.environ), _name(arguments.recipe)
    if arguments.list:
        _show(console, find_logs(folders, name), "")
        return 0
    log = last_log(folders, name)
    if arguments.path:
        console.result(str(log.path), _document((log,), ""))
        return 0
    console.note(f"  {log.path}")
    _show_text(console, log)
    return 0


def _name(recipe: str) -> str:
    """Return the name of the recipe that a word of the command line means."""
    from imagekit.recipe import Recipes

    path = Path(recipe)
    return Recipes().load(path).name if recipe and path.exists() else recipe


def _show(console: Console, logs: "tuple[Log, ...]", text: str) -> None:
    from imagekit.cli.table import size_text, table, time_text

    terminal = console.out.isatty()
    rows = [
        (
            time_text(log.written),
            log.name,
            size_text(log.size) if terminal else str(log.size),
            str(log.path),
        )
        for log in logs
    ]
    console.result(table(_HEADS, rows, terminal=terminal) if rows else "", _document(logs, text))


def _show_text(console: Console, log: "Log") -> None:
    from imagekit.cli.display import clean
    from imagekit.files import storage_errors
    from imagekit.inputs import read_regular

    with storage_errors(f"the log {log.path}"):
        text = read_regular(log.path, limit=_MOST, follow=False).decode("utf-8", "backslashreplace")
    if console.out.isatty():
        text = "\n".join(clean(line) for line in text.split("\n"))
    console.result(text, _document((log,), text))


def _document(logs: "tuple[Log, ...]", text: str) -> dict[str, object]:
    from imagekit.cli.table import time_text

    return {
        "schema": 1,
        "logs": [
            {
                "recipe": log.name,
                "path": str(log.path),
                "size": log.size,
                "written": time_text(log.written),
            }
            for log in logs
        ],
        "text": text,
    }

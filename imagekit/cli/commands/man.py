"""Print a man page, or write all of them into a folder.

  imagekit man verify | man -l -
  imagekit man --to ~/.local/share/man/man1        (then: man imagekit-verify)
  sudo imagekit man --to /usr/local/share/man/man1

They are made of the options that this version has: write them again after an update. They are dated
by SOURCE_DATE_EPOCH where that is set, and by today where it is not.
"""

import argparse
import os
from datetime import UTC, date, datetime
from pathlib import Path

from imagekit.cli.console import Console
from imagekit.cli.help import COMMANDS
from imagekit.errors import InputError, UsageError
from imagekit.files import write_output


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("page", nargs="?", metavar="COMMAND", help="which (default: imagekit(1))")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="write all of them there")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print a page, or write all."""
    from imagekit.cli.manpage import man_pages
    from imagekit.cli.own_version import own_version

    if arguments.page is not None and arguments.page not in COMMANDS:
        raise UsageError(f"{arguments.page!r} is not a command", hint="see: imagekit --help")
    pages = {page.name: page for page in man_pages(own_version(), _day())}
    if arguments.to is None:
        page = pages[f"imagekit-{arguments.page}" if arguments.page else "imagekit"]
        console.result(page.text, {"schema": 1, "name": page.name, "page": page.text})
        return 0
    if arguments.page is not None:
        raise UsageError("--to writes all pages", hint=f"leave {arguments.page} out")
    try:
        arguments.to.mkdir(parents=True, exist_ok=True)
        for page in pages.values():
            write_output(arguments.to / page.file, page.text.encode())
    except OSError as error:
        raise InputError(f"cannot write to {arguments.to}: {error.strerror}") from error
    files = [str(arguments.to / page.file) for page in pages.values()]
    console.result("\n".join(files), {"schema": 1, "files": files})
    return 0


def _day() -> date:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now(UTC)
    return now.date()

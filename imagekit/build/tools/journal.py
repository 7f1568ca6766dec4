"""The log of a build: every command and every line, kept in the state folder."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from imagekit.errors import ToolError
from imagekit.files import storage_errors
from imagekit.progress import Command, Event, Note, OutputLine, Progress

_KEPT = 50
_MOST = 64 << 20


@contextmanager
def journal(folder: Path, name: str, progress: Progress) -> Iterator[Progress]:
    """Write every event to a log, and pass it on.

    Secrets were removed from events before. The newest 50 logs are kept.

    Args:
        folder: where logs are kept.
        name: what is built.
        progress: gets the events as well.

    Raises:
        ToolError: what the work raised, with the path of the log in its hint; or the folder cannot
            be written, or the disk is full.
    """
    stamp = time.strftime("%Y-%m-%dT%H-%M-%S")
    # Builds that begin in the same second have a log each.
    unique = secrets.token_hex(3)
    path = folder / f"{stamp}-{unique}-{name_in_file(name)}.log"
    with storage_errors(f"the log {path}"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in sorted(folder.glob("*.log"))[: 1 - _KEPT]:
            old.unlink(missing_ok=True)
        # Line by line: what was reported is in the file, and a full disk fails where it happens.
        file = path.open("x", encoding="utf-8", errors="backslashreplace", buffering=1)

    def tell(event: Event) -> None:
        with storage_errors(f"the log {path}"):
            _write(file, event)
        progress(event)

    progress(Note(message=f"the whole log: {path}"))
    try:
        yield tell
    except ToolError as error:
        error.hint = f"{error.hint}\n   = " if error.hint else ""
        error.hint += f"the whole log: {path}"
        raise
    finally:
        # A full disk was reported already; closing would raise it once more.
        with suppress(OSError):
            file.close()


def name_in_file(name: str) -> str:
    """Return a recipe's name as a part of a file's name; no other recipe's becomes the same."""
    # No name has a plus sign: see ``recipe.items``.
    return name.replace("/", "+")


def _write(file: TextIO, event: Event) -> None:
    if file.tell() > _MOST:
        return
    if isinstance(event, Command):
        file.write(f"$ {' '.join(event.argv)}\n")
    elif isinstance(event, OutputLine):
        file.write(f"{event.line}\n")

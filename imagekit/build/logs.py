"""The logs of builds, as ``imagekit.build.tools.journal`` names and writes them."""

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from imagekit.build.tools.journal import name_in_file
from imagekit.build.tools.storage import Folders
from imagekit.errors import NotFoundError
from imagekit.files import storage_errors

_FILE = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-[0-9a-f]{6}-(.+)\.log")


class Log(Struct, frozen=True, kw_only=True):
    """The log of one build."""

    path: Path
    name: str
    """The recipe's, as the file has it."""
    written: float
    """When its last line was written, in seconds since 1970."""
    size: int


def logs_folder(folders: Folders) -> Path:
    """Return where logs are kept."""
    return folders.state / "logs"


def find_logs(folders: Folders, name: str = "") -> tuple[Log, ...]:
    """Return the logs of builds, the newest first.

    Args:
        folders: where imagekit keeps what.
        name: the recipe's; empty for those of all recipes.

    Raises:
        RegistryError: the folder cannot be read.
    """
    with storage_errors(f"the logs in {logs_folder(folders)}"):
        found = [log for log in _logs(logs_folder(folders)) if _is_of(log, name)]
    return tuple(sorted(found, key=lambda log: (-log.written, log.path.name)))


def last_log(folders: Folders, name: str = "") -> Log:
    """Return the log of the last build.

    Args:
        folders: where imagekit keeps what.
        name: the recipe's; empty for that of any recipe.

    Raises:
        NotFoundError: there is none.
        RegistryError: the folder cannot be read.
    """
    found = find_logs(folders, name)
    if not found:
        raise NotFoundError(
            f"there is no log of a build{f' of {name}' if name else ''}",
            hint=f"a build that makes a layer leaves one in {logs_folder(folders)}",
            code="build/no-log",
        )
    return found[0]


def _is_of(log: Log, name: str) -> bool:
    return not name or log.name == name_in_file(name)


def _logs(folder: Path) -> Iterator[Log]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        parts = _FILE.fullmatch(path.name)
        # Nothing that leads elsewhere is a log of ours.
        if parts is None or path.is_symlink() or not path.is_file():
            continue
        status = path.lstat()
        yield Log(path=path, name=parts[1], written=status.st_mtime, size=status.st_size)

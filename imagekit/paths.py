"""Paths that are handed to tools, and the user's home.

Tools interpret parts of a path: Buildah takes the folder of a layout for a name, sources for
patterns and lists by comma; Podman parts volumes by colon; the kernel takes the options of an
overlay by comma and colon. So they are given paths of plain characters: those of our own folders,
under a neutral name where that is needed.
"""

import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path

from imagekit.errors import InputError, ToolError

SHARED = Path("/tmp")  # noqa: S108 - short and plain; names in it are random, or their owner is checked
"""The common folder for temporary files, where TMPDIR's path cannot be given to a tool."""
_PLAIN = re.compile(r"(/[A-Za-z0-9_.@+-]+)+")
"""What no tool takes for anything but a path."""
_NAME = re.compile(r"(/[a-z0-9]+([_-][a-z0-9]+)*)+")
"""What Buildah and Podman can make a repository's name of, too."""


def is_plain(path: Path) -> bool:
    """Return whether no tool takes the path for anything but a path."""
    return _PLAIN.fullmatch(str(path)) is not None


def is_name(path: Path) -> bool:
    """Return whether Buildah and Podman can make a repository's name of the path, too."""
    return _NAME.fullmatch(str(path)) is not None


def plain(path: Path, what: str) -> Path:
    """Return a path that the user chose and that a tool is given as it is.

    Args:
        path: the path.
        what: what it is, for the message.

    Raises:
        InputError: a tool would take it for something else.
    """
    if not is_plain(path.absolute()):
        raise InputError(
            f"{what} {str(path)!r}: tools take some of its characters for parts of an option",
            hint="choose a path of letters, digits and . _ @ + - only",
        )
    return path


def temporary_place() -> Path:
    """Return the folder for temporary files: that of TMPDIR, where tools can be given its path."""
    import tempfile

    given = Path(tempfile.gettempdir())
    return given if is_name(given) else SHARED


def home_of(env: Mapping[str, str]) -> Path:
    """Return the user's home: HOME, unless it is empty, or what the system knows.

    Raises:
        ToolError: HOME is not set, and the system does not know this user.
    """
    given = env.get("HOME", "")
    if given:
        return Path(given)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError as error:
        raise ToolError(
            f"HOME is not set, and the system knows no user {os.getuid()}",
            hint="set HOME to a folder of yours",
        ) from error


def expanded(text: str, env: Mapping[str, str]) -> Path:
    """Return a path that may begin with ``~/``.

    Raises:
        ToolError: the user's home is not known.
    """
    rest = text.removeprefix("~/")
    return Path(text) if rest == text else home_of(env) / rest


def xdg_folder(variable: str, default: str, env: Mapping[str, str]) -> Path:
    """Return imagekit's folder below one of the XDG Base Directory Specification.

    Args:
        variable: such as XDG_STATE_HOME.
        default: below the user's home, where the variable does not say.
        env: for the variable, and HOME.

    Raises:
        ToolError: the user's home is not known, and the folder depends on it.
    """
    given = env.get(variable, "")
    # The specification: a relative path is invalid and ignored.
    base = Path(given) if given.startswith("/") else home_of(env) / default
    return base / "imagekit"

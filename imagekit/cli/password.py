"""Where the password of a key comes from."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from imagekit.errors import SigningKeyError
from imagekit.inputs import read_input

_MAX_FILE = 1 << 20
VARIABLES = ("IMAGEKIT_KEY_PASSWORD", "COSIGN_PASSWORD")
_MAY_BE_EMPTY = "COSIGN_PASSWORD"
_LONGEST = 4096


def password_source(password_file: Path | None, *, new: bool = False) -> Callable[[], str]:
    """Return a function that returns the password when a key needs it.

    Args:
        password_file: of ``--password-file``, used where no variable is set.
        new: ask twice at a prompt, as the password is a new one.
    """

    def find() -> str:
        for variable in VARIABLES:
            # An empty one of ours is a secret that a CI did not fill in. cosign's says that the key
            # has an empty password (cosign, "COSIGN_PASSWORD").
            if os.environ.get(variable) or (variable == _MAY_BE_EMPTY and variable in os.environ):
                return os.environ[variable]
        if password_file is not None:
            return _first_line(password_file)
        return _prompt(new=new)

    return find


def _first_line(path: Path) -> str:
    try:
        raw = read_input(path, limit=_MAX_FILE)
        line = raw.partition(b"\n")[0].removesuffix(b"\r")
        text = line.decode("utf-8")
    except OSError as error:
        raise SigningKeyError(f"{path}: {error.strerror or error}", code="NO_PASSWORD") from error
    except UnicodeDecodeError as error:
        raise SigningKeyError(f"{path} is not text in UTF-8", code="NO_PASSWORD") from error
    if len(line) > _LONGEST:
        raise SigningKeyError(f"{path} has a first line too long for a password")
    return text


def _prompt(*, new: bool) -> str:
    if not sys.stdin.isatty():
        raise SigningKeyError(
            "the key needs a password and there is no terminal to ask for it",
            hint=f"set {VARIABLES[0]}, or give --password-file",
            code="NO_PASSWORD",
        )
    import getpass

    try:
        password = getpass.getpass("Password of the key: ")
        if new and getpass.getpass("Once more: ") != password:
            raise SigningKeyError("the two passwords differ; nothing was written")
    except EOFError as error:
        raise SigningKeyError("no password was given", code="NO_PASSWORD") from error
    return password

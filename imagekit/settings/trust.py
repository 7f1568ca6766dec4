"""Which files of folders their user trusts: by path and bytes, until one of them changes.

A cloned repository brings its ``imagekit.toml`` along, and then it is its user's own file. A
policy, a key, a registry without TLS or a destination in it would decide what is trusted, what
signs, and who gets the image, without anybody having been asked. So nothing of it is obeyed that
decides such things before its user has said so, once: ``imagekit config trust``.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from imagekit.errors import ToolError
from imagekit.owners import is_own
from imagekit.paths import xdg_folder


def is_trusted(file: Path, raw: bytes, env: Mapping[str, str]) -> bool:
    """Return whether the user has said to trust this file, as it is.

    Args:
        file: where it is.
        raw: its bytes.
        env: for XDG_STATE_HOME and HOME.
    """
    try:
        return is_own(_record(file, raw, env).lstat())
    except (OSError, ToolError):
        return False


def trust(file: Path, raw: bytes, env: Mapping[str, str]) -> None:
    """Record that the user trusts this file, as it is.

    Raises:
        ToolError: it cannot be recorded.
    """
    record = _record(file, raw, env)
    try:
        record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        record.write_text(f"{file}\n")
    except OSError as error:
        raise ToolError(f"cannot write {record}: {error.strerror}", code="SYSTEM") from error


def _record(file: Path, raw: bytes, env: Mapping[str, str]) -> Path:
    digest = hashlib.sha256(os.fsencode(os.path.realpath(file)) + b"\0" + raw).hexdigest()
    return xdg_folder("XDG_STATE_HOME", ".local/state", env) / "trusted" / digest

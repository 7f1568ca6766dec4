"""Where ``imagekit.toml`` is looked for, and whose it must be.

1. The nearest one, in the working folder or above it; ``IMAGEKIT_CONFIG`` names another instead.
2. The user's: ``$XDG_CONFIG_HOME/imagekit/imagekit.toml``.
3. The system's: ``/etc/imagekit/imagekit.toml``.

All of them are read, and for each setting the first counts that has it. The file and its folder
must be the user's or root's and writable by nobody else. The nearest one comes with a ``git clone``
as well, as the user's own file: see ``imagekit.settings.trust``.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from imagekit.errors import InputError, ToolError
from imagekit.inputs import read_regular
from imagekit.owners import other_writer
from imagekit.paths import xdg_folder
from imagekit.settings.keys import FILE_NAME

VARIABLE: Final = "IMAGEKIT_CONFIG"
NONE: Final = "/dev/null"
"""What the variable names where no file of a folder is to be read."""
MAX_BYTES: Final = 16 << 10

Kind = Literal["folder", "named", "user", "system"]


class Place(Struct, frozen=True, kw_only=True):
    """Where a file is, or may be."""

    path: Path
    kind: Kind

    @property
    def needs_trust(self) -> bool:
        """Whether its user may not have written it, nor chosen it."""
        return self.kind == "folder"


def places(env: Mapping[str, str], folder: Path | None, root: Path = Path("/")) -> list[Place]:
    """Return where files are looked for, in the order in which they count.

    Args:
        env: for IMAGEKIT_CONFIG, XDG_CONFIG_HOME and HOME.
        folder: the working folder; None where it is gone.
        root: where the system's file is.
    """
    lasting = [Place(path=root / "etc/imagekit" / FILE_NAME, kind="system")]
    # Whoever has no home has no file in it.
    with suppress(ToolError):
        own = xdg_folder("XDG_CONFIG_HOME", ".config", env) / FILE_NAME
        lasting.insert(0, Place(path=own, kind="user"))
    named = env.get(VARIABLE, "")
    if named:
        return ([] if named == NONE else [Place(path=Path(named), kind="named")]) + lasting
    near = _nearest(folder) if folder is not None else None
    if near is None or any(near == place.path for place in lasting):
        return lasting
    return [Place(path=near, kind="folder"), *lasting]


def read_place(place: Place) -> bytes | None:
    """Return the bytes of the file at a place; None where there is none.

    Raises:
        InputError: it cannot be read, or somebody else may write it.
    """
    try:
        # A user's own files may be links, as many keep them together elsewhere.
        follow = place.kind != "folder"
        raw = read_regular(place.path, limit=MAX_BYTES, follow=follow, check=_check)
        real = Path(os.path.realpath(place.path)).parent
        _check(real, real.stat())
    except (FileNotFoundError, NotADirectoryError) as error:
        if place.kind != "named":
            return None
        raise _unreadable(place, error) from error
    except OSError as error:
        raise _unreadable(place, error) from error
    return raw


def _nearest(folder: Path) -> Path | None:
    for ancestor in (folder, *folder.parents):
        if os.path.lexists(ancestor / FILE_NAME):
            return ancestor / FILE_NAME
    return None


def _check(path: Path, status: os.stat_result) -> None:
    other = other_writer(path, status)
    if other is None:
        return
    copy = f"copy what you need of it to {FILE_NAME} in a folder of your own"
    raise InputError(
        f"a configuration of somebody else: {other.message}",
        hint=f"{other.remedy or copy}; {VARIABLE}={NONE} leaves it out",
        code="config/foreign",
    )


def _unreadable(place: Place, error: OSError) -> InputError:
    linked = place.kind == "folder" and place.path.is_symlink()
    reason = "it is a link" if linked else error.strerror or str(error)
    return InputError(
        f"{place.path} cannot be read: {reason}",
        hint=f"mend it, or take it out; {VARIABLE}={NONE} leaves out the file of a folder",
        code="config/unreadable",
    )

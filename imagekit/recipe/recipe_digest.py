"""The digest of a recipe: of recipe.yaml and every file beside it.

It is the SHA-256 of canonical JSON (sorted keys, no spaces, UTF-8): an object with ``version`` 1
and ``files``, a list of ``[path, kind, value]`` in the order of the paths' bytes. ``kind`` is

- ``file`` or ``executable`` (the owner may execute it), ``value`` the hexadecimal SHA-256,
- ``link``, ``value`` the target's text as it stands,
- ``folder``, only where it is empty, ``value`` an empty text.

Owners, times and other permission bits take no part. Neither do, at any depth, a ``recipe.lock``,
which is made of the recipe, and what version control and editors leave: see ``is_excluded``; such a
file cannot be copied into an image either.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from imagekit.documents import strictjson
from imagekit.errors import RecipeError
from imagekit.oci.digest import Digest
from imagekit.recipe.recipe import is_excluded
from imagekit.rooted import link_text

MAX_FILES = 20_000
MAX_BYTES = 2 << 30
MAX_DEPTH = 32
_CHUNK = 1 << 20


Row = tuple[str, str, str]
"""Path, kind and value of a file, link or empty folder: see the module's text."""
Judge = Callable[[Path, os.stat_result], None]
"""Looks at what the digest is made of, and raises RecipeError."""


def digest(folder: Path, judge: Judge | None = None) -> Digest:
    """Return the digest of the recipe in the folder.

    Args:
        folder: the recipe's folder.
        judge: looks at the folder and at everything in it that takes part.

    Raises:
        RecipeError: a file cannot be read, is neither file, folder nor link, has a name that is
            not UTF-8, or there are too many or too large ones.
    """
    return digest_of_rows(rows_of(folder, judge))


def digest_of_rows(rows: Sequence[Row]) -> Digest:
    """Return the digest that rows of ``rows_of`` make."""
    return Digest.of(strictjson.dumps({"version": 1, "files": rows}))


def rows_of(folder: Path, judge: Judge | None = None) -> list[Row]:
    """Return what the digest of the recipe in the folder is made of.

    Args:
        folder: the recipe's folder.
        judge: looks at the folder and at everything in it that takes part.

    Raises:
        RecipeError: as ``digest``.
    """
    rows: list[Row] = []
    left = MAX_BYTES
    see = judge or _see
    for path in _walk(folder, 0, see):
        if len(rows) == MAX_FILES:
            raise RecipeError(
                f"{folder} holds more than {MAX_FILES} files", code="recipe/too-large"
            )
        kind, value, size = _entry(path, left, see)
        left -= size
        rows.append((_name(path, folder), kind, value))
    rows.sort(key=lambda row: row[0].encode())
    return rows


def content_digest(path: Path) -> Digest:
    """Return the digest of what a file or folder of a recipe is where it is copied into an image.

    It covers what the digest of the recipe covers of it, without its own name.

    Args:
        path: the file or folder; a link is followed.

    Raises:
        RecipeError: as ``digest``.
    """
    if path.is_dir():
        return digest(path)
    try:
        kind, value, _ = _entry(path.resolve(strict=True), MAX_BYTES, _see)
    except OSError as error:
        raise _unreadable(path, error) from error
    return Digest.of(strictjson.dumps({"version": 1, "file": [kind, value]}))


def _see(path: Path, status: os.stat_result) -> None:
    """Judge nothing."""


def _walk(folder: Path, depth: int, see: Judge) -> Iterator[Path]:
    """Yield files, links and empty folders."""
    if depth > MAX_DEPTH:
        raise RecipeError(f"{folder} is nested too deeply", code="recipe/too-large")
    try:
        see(folder, folder.stat())
        with os.scandir(folder) as entries:
            included = [entry for entry in entries if not is_excluded(entry.name)]
    except OSError as error:
        raise _unreadable(folder, error) from error
    if not included and depth:
        yield folder
    for entry in included:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, depth + 1, see)
        else:
            yield folder / entry.name


def _name(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix()
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        message = f"the name of {name!r} in {folder} is not UTF-8"
        raise RecipeError(message, hint="rename it", code="recipe/encoding") from error
    return name


def _entry(path: Path, left: int, see: Judge) -> tuple[str, str, int]:
    try:
        status = path.lstat()
        mode = status.st_mode
        see(path, status)
        if stat.S_ISLNK(mode):
            return "link", _link(path), 0
        if stat.S_ISDIR(mode):
            return "folder", "", 0
        if stat.S_ISREG(mode):
            return _regular(path, left, see)
    except OSError as error:
        raise _unreadable(path, error) from error
    raise RecipeError(
        f"{path} is neither a file, a folder nor a link",
        hint="take it out of the recipe's folder",
        code="recipe/special-file",
    )


def _link(path: Path) -> str:
    text = link_text(path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        message = f"the link {path} leads to {text!r}, which is not UTF-8"
        raise RecipeError(
            message, hint="rename what it leads to", code="recipe/encoding"
        ) from error
    return text


def _regular(path: Path, left: int, see: Judge) -> tuple[str, str, int]:
    # NOTE: O_NONBLOCK, as the file may have become a FIFO meanwhile; it is looked at once more.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise RecipeError(f"{path} changed while it was read", code="recipe/special-file")
        see(path, status)
        hashed, size = hashlib.sha256(), 0
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > left:
                message = f"the files beside {path} have more than {MAX_BYTES} bytes"
                hint = "fetch large files in a step, by URL and sha256"
                raise RecipeError(message, hint=hint, code="recipe/too-large")
            hashed.update(chunk)
    kind = "executable" if status.st_mode & stat.S_IXUSR else "file"
    return kind, hashed.hexdigest(), size


def _unreadable(path: Path, error: OSError) -> RecipeError:
    return RecipeError(f"cannot read {path}: {error.strerror}", code="recipe/unreadable")

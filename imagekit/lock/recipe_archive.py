"""A recipe, the recipes that it stands on, and their locks as one archive, kept beside an image.

It is a plain tar archive (POSIX.1-2001 pax), the same bytes for the same files: paths below the
tree of recipes in the order of their bytes, no owners, no times, mode 0755 for what the owner may
execute and 0644 for other files. Of each recipe it has what the recipe's digest covers, and its
lock. Who unpacks it has a tree of recipes again: the digests of the recipes are the same.

What must hold of an archive, which comes from a registry:

1. Archive and path are bounded. Files, folders and links are all that it may have, each once.
2. A link leads to a place in the archive: its text is relative, and ``..`` stands at its front
   only, where no other link can give it another meaning. Links are made last, and nothing lies
   behind one, so that nothing is written through one.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath
from tarfile import DIRTYPE, PAX_FORMAT, REGTYPE, SYMTYPE, TarFile, TarInfo
from urllib.parse import quote, unquote

from msgspec import Struct

from imagekit.errors import RecipeError
from imagekit.lock.lock import FILE
from imagekit.lock.lock_file import lock_bytes, read_lock
from imagekit.oci.digest import Digest
from imagekit.oci.layer_stream import Stream
from imagekit.oci.tar import EntryKind, TarEntry, entries
from imagekit.recipe.recipe import Recipe
from imagekit.recipe.recipe_digest import MAX_DEPTH, digest_of_rows, rows_of
from imagekit.recipe.tree import Recipes
from imagekit.rooted import read

MAX_ARCHIVE = 32 << 20
"""Most bytes of an archive."""
NOT_KEPT = "recipe/not-kept"
"""The code of the error that a recipe cannot be kept, as it is."""
_URI = "recipe-archive:"
_MAX_PARTS = 2 * MAX_DEPTH
"""Most parts of a path: of a folder in the tree, and of what lies in it."""
_MODES = {"file": 0o644, "executable": 0o755, "link": 0o777, "folder": 0o755}
_CHANGED = "its files changed since it was read"
_TYPES = {"link": SYMTYPE, "folder": DIRTYPE}


class RecipeArchive(Struct, frozen=True, kw_only=True):
    """An archive, and which of its recipes is the image's own."""

    digest: Digest
    """Of the archive."""
    path: str
    """Of the recipe's file in it."""

    @property
    def uri(self) -> str:
        """What a provenance calls it."""
        return f"{_URI}{quote(self.path)}"

    @classmethod
    def named(cls, uri: str, digest: Digest) -> "RecipeArchive | None":
        """Return what a provenance names by a URI; None where that names no such archive."""
        path = unquote(uri.removeprefix(_URI))
        return cls(digest=digest, path=path) if uri.startswith(_URI) and path else None


def pack_recipe(recipe: Recipe, recipes: Recipes) -> tuple[RecipeArchive, bytes]:
    """Return a recipe as an archive.

    Args:
        recipe: the recipe.
        recipes: where those are found that it stands on.

    Raises:
        RecipeError: files changed since the recipe was read, a link leads elsewhere, or they have
            more than ``MAX_ARCHIVE`` bytes (``NOT_KEPT``); or a file cannot be read.
    """
    content: dict[str, tuple[str, bytes]] = {}
    for each in recipes.with_bases(recipe):
        top = PurePosixPath(recipes.shown(each)).parent
        for name, kind, value in _files(each, left=MAX_ARCHIVE - _size(content)):
            content[str(top / name)] = (kind, value)
    raw = _tar(content)
    if len(raw) > MAX_ARCHIVE:
        raise _not_kept(recipe, f"they have more than {MAX_ARCHIVE} bytes")
    for path, (kind, value) in content.items():
        if kind == "link" and not _leads_inside(path, value.decode()):
            raise _not_kept(recipe, f"the link {path} leads out of the recipes")
    return RecipeArchive(digest=Digest.of(raw), path=recipes.shown(recipe)), raw


def unpack_recipe(raw: bytes, archive: RecipeArchive, folder: Path) -> Path:
    """Unpack an archive into an empty folder, and return the path of the recipe's file there.

    Args:
        raw: the archive.
        archive: what is said of it by somebody who is trusted.
        folder: the folder, which then is a tree of recipes.

    Raises:
        DocumentError: it is no such archive.
        IntegrityError: it is another one.
    """
    archive.digest.check(raw, what="the archive of the recipe")
    stream = Stream(iter((raw,)), where="the archive of the recipe", limit=MAX_ARCHIVE)
    links: dict[str, str] = {}
    seen = {""}
    try:
        for entry in entries(stream):
            if entry.path in seen or entry.path.count("/") >= _MAX_PARTS:
                raise stream.broken(f"the path {entry.path[:80]!r} is none, too deep, or a second")
            seen.add(entry.path)
            (folder / entry.path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            if entry.kind is EntryKind.SYMLINK and _leads_inside(entry.path, entry.target):
                links[entry.path] = entry.target
            else:
                _unpack(entry, stream, folder)
        for path, target in links.items():
            (folder / path).symlink_to(target)
    except (OSError, ValueError) as error:
        # Such as a name that is too long, a file where a folder should be, or NUL.
        raise stream.broken(f"it cannot be unpacked: {error}") from error
    if archive.path not in seen - links.keys():
        raise stream.broken(f"it has no recipe {archive.path[:80]!r}")
    return folder / archive.path


def _unpack(entry: TarEntry, stream: Stream, folder: Path) -> None:
    path = folder / entry.path
    match entry.kind:
        case EntryKind.FOLDER:
            path.mkdir(mode=0o755, exist_ok=True)
        case EntryKind.FILE:
            mode = _MODES["executable" if entry.executable else "file"]
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, mode), "wb") as file:
                # Sizes are bounded by the stream; what is read is no more than the archive.
                file.write(stream.exactly(entry.size) if entry.size else b"")
                os.fchmod(file.fileno(), mode)
        case _:
            raise stream.broken(
                f"{entry.path[:80]!r} is no file, folder, or link that stays inside"
            )


def _leads_inside(path: str, target: str) -> bool:
    parts = target.split("/")
    up = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    return bool(target) and parts[0] != "" and up < len(path.split("/")) and ".." not in parts[up:]


def _files(recipe: Recipe, *, left: int) -> Iterable[tuple[str, str, bytes]]:
    """Yield path, kind and content of all of a recipe and its lock.

    Raises:
        RecipeError: it is not what it was when it was read, or too large.
    """
    rows = rows_of(recipe.folder)
    if digest_of_rows(rows) != recipe.digest:
        raise _not_kept(recipe, _CHANGED)
    for name, kind, value in rows:
        content = b"" if kind == "folder" else value.encode()
        if kind in {"file", "executable"}:
            content = _content(recipe, name, limit=left)
            if hashlib.sha256(content).hexdigest() != value:
                raise _not_kept(recipe, _CHANGED)
        left -= len(content)
        yield name, kind, content
    lock = read_lock(recipe.folder)
    if lock is not None:
        yield FILE, "file", lock_bytes(lock)


def _content(recipe: Recipe, name: str, *, limit: int) -> bytes:
    try:
        content = read(recipe.folder, name, limit=limit + 1, follow=False)
    except OSError as error:
        raise _not_kept(recipe, _CHANGED) from error
    if len(content) > limit:
        raise _not_kept(recipe, f"they have more than {limit} bytes")
    return content


def _size(content: Mapping[str, tuple[str, bytes]]) -> int:
    return sum(len(value) for _, value in content.values())


def _tar(content: Mapping[str, tuple[str, bytes]]) -> bytes:
    raw = BytesIO()
    with TarFile(fileobj=raw, mode="w", format=PAX_FORMAT, encoding="utf-8") as tar:
        for path, (kind, value) in sorted(content.items(), key=lambda item: item[0].encode()):
            member = TarInfo(path)
            member.type, member.mode = _TYPES.get(kind, REGTYPE), _MODES[kind]
            if kind == "link":
                member.linkname = value.decode()
            elif kind != "folder":
                member.size = len(value)
            tar.addfile(member, BytesIO(value) if member.isreg() else None)
    return raw.getvalue()


def _not_kept(recipe: Recipe, why: str) -> RecipeError:
    return RecipeError(
        f"the recipe {recipe.name} and what it stands on cannot be kept beside its image: {why}",
        code=NOT_KEPT,
    )
